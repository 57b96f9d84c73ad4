"""T5 1.0 and 1.1 as ``transformers`` has them, ``T5ForConditionalGeneration``, both ways."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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
from byteloom.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from byteloom.nn import (
    GeGLUConfig,
    MultiHeadConfig,
    ReLUConfig,
    RMSNormConfig,
    SwiGLUConfig,
)
from byteloom.nn.position import RelativeConfig

#: Our names within a stack, and theirs: the parts of a block are numbered.
_STACK = {
    "position": "block.0.layer.0.SelfAttention.relative_attention_bias",
    "ln_final": "final_layer_norm",
    "layers.#.ln1": "block.#.layer.0.layer_norm",
    "layers.#.attn.q_proj": "block.#.layer.0.SelfAttention.q",
    "layers.#.attn.k_proj": "block.#.layer.0.SelfAttention.k",
    "layers.#.attn.v_proj": "block.#.layer.0.SelfAttention.v",
    "layers.#.attn.output_proj": "block.#.layer.0.SelfAttention.o",
}
_CROSS = {
    "layers.#.ln_cross": "block.#.layer.1.layer_norm",
    "layers.#.cross.q_proj": "block.#.layer.1.EncDecAttention.q",
    "layers.#.cross.k_proj": "block.#.layer.1.EncDecAttention.k",
    "layers.#.cross.v_proj": "block.#.layer.1.EncDecAttention.v",
    "layers.#.cross.output_proj": "block.#.layer.1.EncDecAttention.o",
}


def _feed_forward(part: int, is_gated: bool) -> dict[str, str]:
    name = f"block.#.layer.{part}.DenseReluDense"
    inner = {"w1": "wi_0", "w3": "wi_1"} if is_gated else {"w1": "wi"}
    return {f"layers.#.ffn.{ours}": f"{name}.{theirs}" for ours, theirs in inner.items()} | {
        "layers.#.ffn.w2": f"{name}.wo",
        "layers.#.ln2": f"block.#.layer.{part}.layer_norm",
    }


def names(is_gated: bool) -> dict[str, str]:
    """Our names of modules to theirs."""
    encoder = _STACK | _feed_forward(1, is_gated)
    decoder = _STACK | _CROSS | _feed_forward(2, is_gated)
    return (
        {"token_embeddings": "shared", "lm_head": "lm_head"}
        | {f"encoder.{ours}": f"encoder.{theirs}" for ours, theirs in encoder.items()}
        | {f"decoder.{ours}": f"decoder.{theirs}" for ours, theirs in decoder.items()}
    )


#: Their names of feed-forward networks, and what they are here.
_FEED_FORWARD: dict[str, ReLUConfig | GeGLUConfig | SwiGLUConfig] = {
    "relu": ReLUConfig(),
    "gated-gelu": GeGLUConfig(approximate="tanh"),
    "gated-silu": SwiGLUConfig(),
}


def read(folder: str | os.PathLike[str]) -> EncoderDecoder:
    """Reads a folder that ``save_pretrained`` or :func:`write` made.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no T5, or one with what byteloom does not have; the message says what.
    """
    settings, state = pretrained.read(folder, "t5")
    model = config_of(settings).build()
    model.load_state_dict(from_transformers(model, state))
    return model.eval()


def write(
    model: EncoderDecoder,
    folder: str | os.PathLike[str],
    end_id: int | Sequence[int] = 1,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes a folder that ``T5ForConditionalGeneration`` opens.

    Args:
        model: what is written.
        folder: to make.
        end_id: the id that ends a text, or each that does.
        shard_bytes: weights of more are put into several files.

    Raises:
        ValueError: T5 does not compute this; the message says what differs.
    """
    settings = settings_of(model) | {"eos_token_id": end_id}
    # Where generate() looks first: what is begun with, ended with, and filled up with.
    keys = ("decoder_start_token_id", "eos_token_id", "pad_token_id")
    generation = {key: settings[key] for key in keys}
    pretrained.write(folder, settings, to_transformers(model), generation, shard_bytes)


def config_of(settings: Settings) -> EncoderDecoderConfig:
    """What ``config.json`` says; T5 knows no longest text: ``n_positions``, or 512.

    Raises:
        ValueError: it says what byteloom does not have, or too little.
    """
    kind = setting(settings, "feed_forward_proj", "relu")
    if kind not in _FEED_FORWARD:
        raise ValueError(
            f"feed_forward_proj is {kind}; byteloom's T5 has {', '.join(_FEED_FORWARD)}"
        )
    pad = setting(settings, "pad_token_id", 0)
    tied = setting(settings, "tie_word_embeddings", True)
    scaled = setting(settings, "scale_decoder_outputs", tied)
    return EncoderDecoderConfig(
        vocab_size=setting(settings, "vocab_size"),
        context_length=setting(settings, "n_positions", 512),
        d_model=setting(settings, "d_model"),
        num_layers=setting(settings, "num_layers"),
        num_decoder_layers=settings.get("num_decoder_layers"),
        num_heads=setting(settings, "num_heads"),
        norm=RMSNormConfig(eps=setting(settings, "layer_norm_epsilon", 1e-6)),
        position=RelativeConfig(
            num_buckets=setting(settings, "relative_attention_num_buckets", 32),
            max_distance=setting(settings, "relative_attention_max_distance", 128),
        ),
        # Theirs drops weights of attention too, as often as all else.
        attention=MultiHeadConfig(
            d_head=setting(settings, "d_kv"),
            scale=1.0,
            dropout=setting(settings, "dropout_rate", 0.1),
        ),
        ffn=replace(_FEED_FORWARD[kind], d_ff=setting(settings, "d_ff")),
        dropout=setting(settings, "dropout_rate", 0.1),
        # Newer versions of transformers say that all are tied, and mean their scale by the other.
        tie_embeddings=tied and scaled,
        start_id=settings.get("decoder_start_token_id", pad),
    )


def settings_of(model: EncoderDecoder) -> Settings:
    """What ``config.json`` is to say.

    Raises:
        ValueError: T5 does not compute this; the message says what differs.
    """
    ours = model.config
    ffn, width = with_width(ours.ffn, model.encoder.layers)
    known: dict[object, str] = {
        replace(kind, d_ff=width): name for name, kind in _FEED_FORWARD.items()
    }
    wanted = replace(
        ours,
        num_decoder_layers=ours.decoder_layers,
        target_length=None if ours.decoder_length == ours.context_length else ours.target_length,
        attention=replace(
            ours.attention, d_head=ours.attention.head_size(ours.d_model, ours.num_heads)
        ),
        ffn=ffn,
        position=replace(ours.position, bidirectional=False)
        if isinstance(ours.position, RelativeConfig)
        else ours.position,
    )
    start = 0 if ours.start_id is None else ours.start_id
    settings: dict[str, Any] = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": ours.vocab_size,
        "n_positions": ours.context_length,
        "d_model": ours.d_model,
        "d_kv": wanted.attention.d_head,
        "d_ff": width,
        "num_layers": ours.num_layers,
        "num_decoder_layers": ours.decoder_layers,
        "num_heads": ours.num_heads,
        "layer_norm_epsilon": ours.norm.eps if isinstance(ours.norm, RMSNormConfig) else 1e-6,
        "feed_forward_proj": known.get(ffn, "relu"),
        "dropout_rate": ours.dropout,
        "tie_word_embeddings": ours.tie_embeddings,
        "pad_token_id": start,
        "decoder_start_token_id": start,
    }
    if isinstance(ours.position, RelativeConfig):
        settings["relative_attention_num_buckets"] = ours.position.num_buckets
        settings["relative_attention_max_distance"] = ours.position.max_distance
    found = config_of(settings)
    # These two change no logits; what is dropped in training is one number there.
    attention = with_keys_of(found.attention, ours.attention, "backend", "dropout")
    found = replace(found, attention=attention)
    require_same(
        # How long texts may be written is no setting of T5's.
        replace(wanted, start_id=start, target_length=None),
        found,
        "T5ForConditionalGeneration",
    )
    return settings


def from_transformers(model: EncoderDecoder, state: Mapping[str, Tensor]) -> State:
    """Their weights -> a state dict of the model.

    Raises:
        ValueError: a weight is missing.
    """
    found = {}
    for name, theirs in _pairs(model).items():
        if theirs not in state:
            raise ValueError(f"the weights lack {theirs}")
        found[name] = state[theirs]
    return found


def to_transformers(model: EncoderDecoder) -> State:
    """The model's weights, by their names."""
    state = model.state_dict()
    return {theirs: state[name] for name, theirs in _pairs(model).items()}


def _pairs(model: EncoderDecoder) -> dict[str, str]:
    """Names of all weights, and theirs."""
    known = names(is_gated=hasattr(model.encoder.layers[0].ffn, "w3"))
    is_tied = model.config.tie_embeddings
    return {
        name: "shared.weight" if name == "lm_head.weight" and is_tied else renamed(name, known)
        for name in model.state_dict()
    }
