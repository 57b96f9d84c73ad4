"""Each preset is what transformers makes of the published ``config.json``, key by key."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
import transformers

from byteloom import config, presets
from byteloom.export import bert, t5
from byteloom.export.hf.canonical import canonical, differences
from byteloom.export.hf.families import FAMILIES
from byteloom.models import EncoderConfig, EncoderDecoderConfig


def turning(theta: float, **scaling: Any) -> dict[str, Any]:
    """Rotary positions, as transformers 5 says them."""
    return {"rope_theta": theta, "rope_type": "default", **scaling}


LLAMA_3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

#: The class whose defaults a published model has, and in what it differs from them: docs/presets.md
#: says where that was read.
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", {}),
    "gemma2": ("Gemma2Config", {}),
    "llama2": ("LlamaConfig", {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5}),
    "llama3": (
        "LlamaConfig",
        {
            "vocab_size": 128256,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "rms_norm_eps": 1e-5,
            "rope_parameters": turning(500000.0, **LLAMA_3),
        },
    ),
    "qwen2": (
        "Qwen2Config",
        {
            "vocab_size": 152064,
            "max_position_embeddings": 131072,
            "hidden_size": 3584,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18944,
            "rope_parameters": turning(1000000.0),
        },
    ),
    "qwen3": (
        "Qwen3Config",
        {
            "max_position_embeddings": 40960,
            "num_hidden_layers": 36,
            "num_key_value_heads": 8,
            "intermediate_size": 12288,
            "rope_parameters": turning(1000000.0),
        },
    ),
    "qwen3-moe": (
        "Qwen3MoeConfig",
        {
            "max_position_embeddings": 40960,
            "num_hidden_layers": 48,
            "head_dim": 128,
            "norm_topk_prob": True,
            "rope_parameters": turning(1000000.0),
        },
    ),
    "mixtral": ("MixtralConfig", {"max_position_embeddings": 32768}),
    "olmo2": (
        "Olmo2Config",
        {
            "vocab_size": 100352,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "rope_parameters": turning(500000.0),
        },
    ),
    "smollm3": (
        "SmolLM3Config",
        {"max_position_embeddings": 65536, "rope_parameters": turning(5000000.0)},
    ),
    "command-r": ("CohereConfig", {"rope_parameters": turning(8000000.0)}),
    "command-r7b": (
        "Cohere2Config",
        {
            "max_position_embeddings": 132096,
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "logit_scale": 0.25,
            "rope_parameters": turning(50000.0),
        },
    ),
    "nanochat": (
        "NanoChatConfig",
        {
            "vocab_size": 65536,
            "hidden_size": 1280,
            "num_hidden_layers": 20,
            "num_attention_heads": 10,
            "num_key_value_heads": 10,
            "intermediate_size": 5120,
        },
    ),
}


@pytest.mark.parametrize("name", presets.names())
def test_a_decoder_is_what_its_published_configuration_says(name: str) -> None:
    kind, published = DECODERS[name]
    settings = getattr(transformers, kind)(**published).to_dict()
    family = {family.model_type: family for family in FAMILIES}[settings["model_type"]]
    ours, theirs = canonical(presets.load(name)), canonical(family.read(settings))
    assert differences(ours, theirs) == []


def test_bert_is_what_its_published_configuration_says() -> None:
    assert EncoderConfig.presets.names() == ["bert"]
    published = bert.config_of(transformers.BertConfig().to_dict())
    assert config.load(EncoderConfig, {"preset": "bert"}) == published


#: Of T5, the defaults are the small one's.
SECOND_T5 = {
    "num_layers": 8,
    "num_heads": 6,
    "d_ff": 1024,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(("name", "published"), [("t5", {}), ("t5-1.1", SECOND_T5)])
def test_a_t5_is_what_its_published_configuration_says(
    name: str, published: dict[str, Any]
) -> None:
    assert set(EncoderDecoderConfig.presets.names()) == {"t5", "t5-1.1"}
    settings = transformers.T5Config(**published).to_dict()
    ours = config.load(EncoderDecoderConfig, {"preset": name})
    # transformers counts the decoder's layers where the preset leaves them out.
    theirs = t5.config_of(settings | {"num_decoder_layers": None})
    assert ours == theirs


def test_the_other_kinds_have_as_many_parameters_as_transformers() -> None:
    encoder = config.load(EncoderConfig, {"preset": "bert"})
    first = config.load(EncoderDecoderConfig, {"preset": "t5"})
    second = config.load(EncoderDecoderConfig, {"preset": "t5-1.1"})
    with torch.device("meta"):
        ours = [model.build().num_parameters() for model in (encoder, first, second)]
        theirs = [
            transformers.BertForPreTraining(transformers.BertConfig()).num_parameters(),
            transformers.T5ForConditionalGeneration(transformers.T5Config()).num_parameters(),
            # transformers 5 ties the output map of any T5.
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(**SECOND_T5)
            ).num_parameters()
            + second.d_model * second.vocab_size,
        ]
    # 110 million (arXiv:1810.04805), 60 million (arXiv:1910.10683), 77 million.
    assert ours == theirs == [110_106_428, 60_506_624, 76_961_152]
