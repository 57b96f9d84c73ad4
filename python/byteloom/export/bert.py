"""BERT as ``transformers`` has it: ``BertForPreTraining`` and ``BertForMaskedLM``, both ways."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from byteloom.export import pretrained
from byteloom.export.hf.files import SHARD_BYTES
from byteloom.export.pretrained import (
    Settings,
    State,
    renamed,
    require_same,
    setting,
    with_keys_of,
    with_width,
)
from byteloom.models.encoder import Encoder, EncoderConfig
from byteloom.nn import GELUConfig, LayerNormConfig, MultiHeadConfig, ReLUConfig

NAMES = {
    "token_embeddings": "bert.embeddings.word_embeddings",
    "token_types": "bert.embeddings.token_type_embeddings",
    "encoder.position": "bert.embeddings.position_embeddings",
    "encoder.ln_embedding": "bert.embeddings.LayerNorm",
    "encoder.layers.#.attn.q_proj": "bert.encoder.layer.#.attention.self.query",
    "encoder.layers.#.attn.k_proj": "bert.encoder.layer.#.attention.self.key",
    "encoder.layers.#.attn.v_proj": "bert.encoder.layer.#.attention.self.value",
    "encoder.layers.#.attn.output_proj": "bert.encoder.layer.#.attention.output.dense",
    "encoder.layers.#.ln1": "bert.encoder.layer.#.attention.output.LayerNorm",
    "encoder.layers.#.ffn.w1": "bert.encoder.layer.#.intermediate.dense",
    "encoder.layers.#.ffn.w2": "bert.encoder.layer.#.output.dense",
    "encoder.layers.#.ln2": "bert.encoder.layer.#.output.LayerNorm",
    "lm_head.dense": "cls.predictions.transform.dense",
    "lm_head.norm": "cls.predictions.transform.LayerNorm",
    "lm_head": "cls.predictions.decoder",
    "next_sentence.dense": "bert.pooler.dense",
    "next_sentence.output": "cls.seq_relationship",
}
#: Their names of activations, and what they are here.
_ACTIVATIONS: dict[str, GELUConfig | ReLUConfig] = {
    "gelu": GELUConfig(bias=True),
    "gelu_new": GELUConfig(bias=True, approximate="tanh"),
    "relu": ReLUConfig(bias=True),
}


def read(folder: str | os.PathLike[str]) -> Encoder:
    """Reads a folder that ``save_pretrained`` or :func:`write` made.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no BERT, or one with what byteloom does not have; the message says what.
    """
    settings, state = pretrained.read(folder, "bert")
    # Weights of 2018 have the names of then.
    state = {
        name.replace(".gamma", ".weight").replace(".beta", ".bias"): tensor
        for name, tensor in state.items()
    }
    model = config_of(settings, "cls.seq_relationship.weight" in state).build()
    model.load_state_dict(from_transformers(model, state))
    return model.eval()


def write(
    model: Encoder,
    folder: str | os.PathLike[str],
    pad_id: int = 0,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes a folder that ``BertForPreTraining`` opens, or without ``next_sentence`` another.

    Args:
        model: what is written.
        folder: to make.
        pad_id: the id that fills up.
        shard_bytes: weights of more are put into several files.

    Raises:
        ValueError: BERT does not compute this; the message says what differs.
    """
    settings = settings_of(model) | {"pad_token_id": pad_id}
    pretrained.write(folder, settings, to_transformers(model), shard_bytes=shard_bytes)


def config_of(settings: Settings, next_sentence: bool = True) -> EncoderConfig:
    """What ``config.json`` says.

    Args:
        settings: its contents.
        next_sentence: whether there are weights of that head.

    Raises:
        ValueError: it says what byteloom does not have, or too little.
    """
    if (kind := settings.get("position_embedding_type", "absolute")) != "absolute":
        raise ValueError(f"position_embedding_type is {kind}; byteloom's BERT has absolute ones")
    act = setting(settings, "hidden_act", "gelu")
    if act not in _ACTIVATIONS:
        raise ValueError(f"hidden_act is {act}; byteloom's BERT has {', '.join(_ACTIVATIONS)}")
    return EncoderConfig(
        vocab_size=setting(settings, "vocab_size"),
        context_length=setting(settings, "max_position_embeddings", 512),
        d_model=setting(settings, "hidden_size"),
        num_layers=setting(settings, "num_hidden_layers"),
        num_heads=setting(settings, "num_attention_heads"),
        norm=LayerNormConfig(eps=setting(settings, "layer_norm_eps", 1e-12), bias=True),
        ffn=replace(_ACTIVATIONS[act], d_ff=setting(settings, "intermediate_size")),
        attention=MultiHeadConfig(
            causal=False,
            bias=True,
            output_bias=True,
            dropout=setting(settings, "attention_probs_dropout_prob", 0.1),
        ),
        dropout=setting(settings, "hidden_dropout_prob", 0.1),
        token_types=setting(settings, "type_vocab_size", 2),
        next_sentence=next_sentence,
    )


def settings_of(model: Encoder) -> Settings:
    """What ``config.json`` is to say.

    Raises:
        ValueError: BERT does not compute this; the message says what differs.
    """
    ours = model.config
    ffn, width = with_width(ours.ffn, model.encoder.layers)
    known: dict[object, str] = {
        replace(act, d_ff=width): name for name, act in _ACTIVATIONS.items()
    }
    attention = ours.attention
    if attention.head_size(ours.d_model, ours.num_heads) * ours.num_heads == ours.d_model:
        attention = replace(attention, d_head=None)  # said in another way
    wanted = replace(ours, ffn=ffn, attention=attention, token_types=_token_types(ours))
    architecture = "BertForPreTraining" if ours.next_sentence else "BertForMaskedLM"
    settings: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": "bert",
        "vocab_size": ours.vocab_size,
        "max_position_embeddings": ours.context_length,
        "hidden_size": ours.d_model,
        "num_hidden_layers": ours.num_layers,
        "num_attention_heads": ours.num_heads,
        "layer_norm_eps": ours.norm.eps if isinstance(ours.norm, LayerNormConfig) else 1e-12,
        "hidden_act": known.get(ffn, "gelu"),
        "intermediate_size": width,
        "hidden_dropout_prob": ours.dropout,
        "attention_probs_dropout_prob": getattr(ours.attention, "dropout", 0.0),
        "type_vocab_size": wanted.token_types,
        "tie_word_embeddings": True,
    }
    found = config_of(settings, ours.next_sentence)
    found = replace(found, attention=with_keys_of(found.attention, ours.attention, "backend"))
    require_same(wanted, found, architecture)
    return settings


def from_transformers(model: Encoder, state: Mapping[str, Tensor]) -> State:
    """Their weights -> a state dict of the model.

    Raises:
        ValueError: a weight is missing.
    """
    found = {}
    for name in model.state_dict():
        theirs = _theirs(name)
        if theirs not in state:
            raise ValueError(f"the weights lack {theirs}")
        found[name] = state[theirs]
    return found


def to_transformers(model: Encoder) -> State:
    """The model's weights, by their names."""
    found = {_theirs(name): tensor for name, tensor in model.state_dict().items()}
    if not model.config.token_types:
        rows, columns = _token_types(model.config), model.config.d_model
        found[_theirs("token_types.weight")] = torch.zeros(rows, columns)
    return found


def _token_types(ours: EncoderConfig) -> int:
    """Kinds of segments there, where some must be; what is added to them may be zeros."""
    return ours.token_types or (2 if ours.next_sentence else 1)


def _theirs(name: str) -> str:
    if name == "lm_head.bias":
        return "cls.predictions.bias"
    # Tied: files hold it once.
    return renamed("token_embeddings.weight" if name == "lm_head.weight" else name, NAMES)
