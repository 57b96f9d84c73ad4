"""nanoGPT's ``ckpt.pt``, as its train.py writes and its sample.py and train.py read it.

A transformer with GPT-2's parts (Radford et al. 2019): norms before the parts, learned positions, a
network four times as wide with GELU, one table for embeddings and output.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from byteloom.atomic import atomic_write
from byteloom.export.expressible import differences, refuse
from byteloom.export.source import Source
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import GELUConfig, LayerNormConfig, MultiHeadConfig
from byteloom.nn.position.learned import LearnedConfig

_FIXED = {
    "norm.kind": "layernorm",
    "norm.eps": 1e-5,
    "position.kind": "learned",
    "attention.kind": "multi_head",
    "ffn.kind": "gelu",
    "ffn.approximate": "none",
    "block.kind": "pre",
    "tie_embeddings": True,
}
#: Its one switch for all biases.
_BIASES = ("norm.bias", "attention.bias", "attention.output_bias", "ffn.bias")
#: Names in a block: ours -> nanoGPT's. Queries, keys and values are one map there.
_NAMES = {
    "ln1": "ln_1",
    "attn.output_proj": "attn.c_proj",
    "ln2": "ln_2",
    "ffn.w1": "mlp.c_fc",
    "ffn.w2": "mlp.c_proj",
}
_MAPS = ("q_proj", "k_proj", "v_proj")


def write(source: Source, destination: Path) -> list[str]:
    """Writes the file, to be sampled from or trained on; the optimizer begins anew.

    Biases that a model has only in part are zeros elsewhere.

    Raises:
        ValueError: the model has other parts than GPT-2's; the message names the keys.
    """
    config = source.config
    problems = differences(config, _FIXED, frozenset(_BIASES))
    if not problems:
        d_ff = len(source.model.state_dict()["layers.0.ffn.w1.weight"])
        if d_ff != 4 * config.d_model:
            problems = [f"ffn.d_ff is not 4 d_model, {4 * config.d_model}"]
    refuse("nanoGPT", problems)
    names = dict(source.model.named_parameters())
    bias = any(name.endswith("bias") for name in names)
    weights = _weights(source.model, bias)
    content = {
        "model": weights,
        "optimizer": _optimizer(weights),
        "model_args": {
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_embd": config.d_model,
            "block_size": config.context_length,
            "bias": bias,
            "vocab_size": config.vocab_size,
            "dropout": config.dropout,
        },
        "iter_num": source.iteration,
        "best_val_loss": float(source.figures.get("best_valid_loss", 1e9)),
        "config": {"out_dir": source.name, "init_from": "scratch"},
    }
    with atomic_write(destination) as file:
        torch.save(content, file)
    return [
        "nanoGPT takes a tokenizer from its dataset's meta.pkl, or GPT-2's: give ids from yours"
    ]


def read(path: str | Path) -> Source:
    """The model of a ``ckpt.pt`` that nanoGPT wrote. Nothing in the file is executed.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no checkpoint of nanoGPT.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        args, state = found["model_args"], found["model"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no checkpoint of nanoGPT: {error}") from None
    bias = bool(args["bias"])
    model = ModelConfig(
        vocab_size=args["vocab_size"],
        context_length=args["block_size"],
        d_model=args["n_embd"],
        num_layers=args["n_layer"],
        num_heads=args["n_head"],
        norm=LayerNormConfig(bias=bias),
        position=LearnedConfig(),
        attention=MultiHeadConfig(bias=bias, output_bias=bias),
        ffn=GELUConfig(bias=bias),
        dropout=float(args.get("dropout", 0.0)),
        tie_embeddings=True,
    ).build()
    # As torch.compile names them; the causal mask of old versions is no weight.
    state = {name.removeprefix("_orig_mod."): tensor for name, tensor in state.items()}
    try:
        model.load_state_dict(_our_weights(state, args["n_layer"], bias))
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: the weights are not those of its model_args: {error}") from None
    figures: dict[str, float] = {"iteration": int(found.get("iter_num", 0))}
    if "best_val_loss" in found:
        figures["best_valid_loss"] = float(found["best_val_loss"])
    name = path.resolve().parent.name
    return Source(model.eval(), None, name, int(figures["iteration"]), figures)


def _weights(model: TransformerLM, bias: bool) -> dict[str, Tensor]:
    """The state dict under nanoGPT's names."""
    state = {name: tensor.detach().float() for name, tensor in model.state_dict().items()}
    table = state["token_embeddings.weight"]
    found = {"transformer.wte.weight": table, "transformer.wpe.weight": state["position.weight"]}

    def put(ours: str, theirs: str) -> None:
        weight = state[f"{ours}.weight"]
        found[f"{theirs}.weight"] = weight
        if bias:
            found[f"{theirs}.bias"] = state.get(f"{ours}.bias", weight.new_zeros(len(weight)))

    for i in range(model.config.num_layers):
        for kind in ("weight", "bias") if bias else ("weight",):
            maps = [f"layers.{i}.attn.{name}" for name in _MAPS]
            zeros = table.new_zeros(table.shape[1])
            parts = [state.get(f"{name}.{kind}", zeros) for name in maps]
            found[f"transformer.h.{i}.attn.c_attn.{kind}"] = torch.cat(parts)
        for ours, theirs in _NAMES.items():
            put(f"layers.{i}.{ours}", f"transformer.h.{i}.{theirs}")
    put("ln_final", "transformer.ln_f")
    return found | {"lm_head.weight": table}


def _our_weights(theirs: dict[str, Tensor], num_layers: int, bias: bool) -> dict[str, Tensor]:
    """The inverse of :func:`_weights`."""
    kinds = ("weight", "bias") if bias else ("weight",)
    found = {
        "token_embeddings.weight": theirs["transformer.wte.weight"],
        "lm_head.weight": theirs["transformer.wte.weight"],
        "position.weight": theirs["transformer.wpe.weight"],
    }
    for kind in kinds:
        found[f"ln_final.{kind}"] = theirs[f"transformer.ln_f.{kind}"]
        for i in range(num_layers):
            parts = theirs[f"transformer.h.{i}.attn.c_attn.{kind}"].chunk(3)
            for name, part in zip(_MAPS, parts, strict=True):
                found[f"layers.{i}.attn.{name}.{kind}"] = part
            for ours, name in _NAMES.items():
                found[f"layers.{i}.{ours}.{kind}"] = theirs[f"transformer.h.{i}.{name}.{kind}"]
    return found


def _optimizer(weights: dict[str, Tensor]) -> dict[str, Any]:
    """An AdamW that has made no step yet, with nanoGPT's groups: matrices decay, vectors do not."""
    learned = [weight for name, weight in weights.items() if name != "lm_head.weight"]
    matrices = [torch.nn.Parameter(weight) for weight in learned if weight.ndim >= 2]
    vectors = [torch.nn.Parameter(weight) for weight in learned if weight.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95)).state_dict()
