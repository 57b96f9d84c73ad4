"""Models to export, none of whose weights is 0 or 1 by chance, and texts to compare on."""

from __future__ import annotations

from functools import cache

import torch

import byteloom as bl
from byteloom.export import Source
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import (
    ExpertsConfig,
    GeGLUConfig,
    GELUConfig,
    LayerNormConfig,
    MultiHeadConfig,
    ParallelConfig,
    PreNormConfig,
    ReorderedNormConfig,
    RMSNormConfig,
    RotaryConfig,
    SandwichConfig,
    SwiGLUConfig,
)
from byteloom.nn.init import MuPInitConfig
from byteloom.nn.position.learned import LearnedConfig
from byteloom.nn.position.scaling import Llama3Scaling, NTKScaling, YaRNScaling

END = "<|endoftext|>"
TEXT = "def hello(world):\n    return [world] * 3  # naïve 東京 😀\n"


def tiny(**keys: object) -> ModelConfig:
    """Two layers of four heads of 16, but for what is said."""
    base = {"vocab_size": 300, "context_length": 256, "d_model": 64}
    return ModelConfig(**{**base, "num_layers": 2, "num_heads": 4, **keys})


def scaled(scaling: object) -> ModelConfig:
    """The default with another context."""
    return tiny(position=RotaryConfig(scaling=scaling))


def experts(**keys: object) -> ExpertsConfig:
    """Five narrow ones, of which each token has two, but for what is said."""
    base = {"expert": SwiGLUConfig(d_ff=48), "num_experts": 5, "top_k": 2}
    return ExpertsConfig(**{**base, **keys})


#: For each of llama.cpp's architectures, and for what is folded into weights: name -> model.
MODELS = {
    "llama": tiny(),
    "llama, all options": tiny(
        norm=RMSNormConfig(unit_offset=True, eps=1e-6),
        position=RotaryConfig(layout="half", theta=500.0),
        attention=MultiHeadConfig(
            num_kv_heads=2, d_head=24, scale=0.3, bias=True, output_bias=True
        ),
        ffn=SwiGLUConfig(d_ff=96, bias=True),
        block=PreNormConfig(residual_scale=0.5),
        tie_embeddings=True,
        embedding_scale=8.0,
        logit_scale=0.5,
    ),
    "llama, tied": tiny(tie_embeddings=True),
    "llama, muP": tiny(tie_embeddings=True, init=MuPInitConfig(base_width=16)),
    "llama, Llama 3's scaling": scaled(Llama3Scaling(factor=4, original_context=16)),
    "llama, YaRN": scaled(YaRNScaling(factor=4, original_context=16)),
    "llama, NTK": scaled(NTKScaling(factor=4)),
    "qwen2": tiny(attention=MultiHeadConfig(bias=True, num_kv_heads=2)),
    "qwen3": tiny(
        attention=MultiHeadConfig(qk_norm=RMSNormConfig(), num_kv_heads=2, d_head=24, scale=0.3)
    ),
    "smollm3": tiny(num_layers=4, positionless_every=4),
    "gemma2": tiny(
        num_layers=4,
        norm=RMSNormConfig(unit_offset=True),
        ffn=GeGLUConfig(approximate="tanh"),
        block=SandwichConfig(),
        attention=MultiHeadConfig(soft_cap=5.0, window=7, num_kv_heads=2, d_head=24),
        full_every=2,
        tie_embeddings=True,
        embedding_scale=8.0,
        logit_soft_cap=3.0,
    ),
    "olmo2": tiny(
        block=ReorderedNormConfig(),
        attention=MultiHeadConfig(qk_norm=RMSNormConfig(), qk_norm_over="all", num_kv_heads=2),
        tie_embeddings=True,
    ),
    "command-r": tiny(
        block=ParallelConfig(),
        norm=LayerNormConfig(),
        position=RotaryConfig(layout="half"),
        tie_embeddings=True,
        logit_scale=0.25,
    ),
    "cohere2": tiny(
        num_layers=4,
        block=ParallelConfig(),
        norm=LayerNormConfig(),
        attention=MultiHeadConfig(window=7),
        full_every=4,
        positionless_every=4,
        tie_embeddings=True,
        logit_scale=0.25,
    ),
    "gpt2": tiny(
        norm=LayerNormConfig(bias=True),
        position=LearnedConfig(),
        attention=MultiHeadConfig(bias=True, output_bias=True),
        ffn=GELUConfig(approximate="tanh", bias=True),
        tie_embeddings=True,
    ),
    "gpt2, no biases": tiny(
        norm=LayerNormConfig(), position=LearnedConfig(), ffn=GELUConfig(approximate="tanh")
    ),
    "llama, experts": tiny(
        attention=MultiHeadConfig(num_kv_heads=2),
        ffn=experts(),
    ),
    "llama, experts, all options": tiny(
        position=RotaryConfig(layout="half", scaling=Llama3Scaling(factor=4, original_context=16)),
        attention=MultiHeadConfig(d_head=24, scale=0.3, bias=True, output_bias=True),
        ffn=experts(top_k=1, scale=1.5, num_groups=2, top_groups=2, num_experts=6, capacity=1.0),
        block=PreNormConfig(residual_scale=0.5),
        tie_embeddings=True,
        logit_scale=0.5,
    ),
    "qwen3moe": tiny(
        attention=MultiHeadConfig(qk_norm=RMSNormConfig(), num_kv_heads=2, d_head=24),
        ffn=experts(gate="softmax_top_k"),
    ),
    "qwen2moe": tiny(
        attention=MultiHeadConfig(bias=True, num_kv_heads=2),
        ffn=experts(shared=SwiGLUConfig(d_ff=80), shared_gate=True, normalise=False),
    ),
    "qwen2moe, no biases": tiny(
        ffn=experts(shared=SwiGLUConfig(d_ff=80), shared_gate=True, normalise=False),
        tie_embeddings=True,
    ),
    "olmoe": tiny(
        attention=MultiHeadConfig(qk_norm=RMSNormConfig(), qk_norm_over="all"),
        ffn=experts(normalise=False),
    ),
    "deepseek": tiny(
        ffn=experts(
            shared=SwiGLUConfig(d_ff=96),
            normalise=False,
            first_dense=1,
            dense=SwiGLUConfig(d_ff=112),
        ),
    ),
    "ernie4_5-moe": tiny(
        attention=MultiHeadConfig(num_kv_heads=2),
        ffn=experts(
            shared=SwiGLUConfig(d_ff=80),
            balance_rate=0.01,
            first_dense=1,
            dense=SwiGLUConfig(d_ff=112),
        ),
    ),
    "bailingmoe2": tiny(
        num_layers=3,
        attention=MultiHeadConfig(qk_norm=RMSNormConfig(), num_kv_heads=2),
        ffn=experts(
            gate="sigmoid",
            num_experts=6,
            num_groups=3,
            top_groups=2,
            scale=2.5,
            shared=SwiGLUConfig(d_ff=80),
            balance_rate=0.01,
            first_dense=1,
            dense=SwiGLUConfig(d_ff=112),
        ),
    ),
    "bailingmoe2, of the chosen ones": tiny(
        attention=MultiHeadConfig(qk_norm=RMSNormConfig()),
        ffn=experts(gate="softmax_top_k", shared=SwiGLUConfig(d_ff=80), balance_rate=0.01),
    ),
}


def randomized(config: ModelConfig, seed: int = 0) -> TransformerLM:
    """The model with gains and biases that training could have made."""
    model = config.build(seed).eval()
    chance = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.1 if parameter.ndim == 1 else 0.02
            parameter.add_(spread * torch.randn(parameter.shape, generator=chance))
        for name, buffer in model.named_buffers():
            if name.endswith("balance_bias"):
                buffer.add_(0.3 * torch.randn(buffer.shape, generator=chance))
    return model


@cache
def tokenizer(pattern: str = "gpt2") -> bl.Tokenizer:
    """A small one: 290 tokens, so that models have ids that it lacks."""
    texts = [TEXT * 3, "hello hello, hello! 123 4567\n\n  x"]
    counts = bl.PretokenCounts.from_texts(texts, [END], pattern)
    return counts.train(290, [END])


def source(name: str, pattern: str = "gpt2") -> Source:
    """One of the models above."""
    return Source(randomized(MODELS[name]), tokenizer(pattern), name="tiny", iteration=7)


def some_ids(count: int = 40, batch: int = 1) -> torch.Tensor:
    """Ids of a text that does not exist."""
    return torch.randint(0, 300, (batch, count), generator=torch.Generator().manual_seed(5))
