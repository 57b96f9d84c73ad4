"""How much a run computes and holds, against what the device could."""

from __future__ import annotations

import resource
import sys

import torch
from torch import nn

from byteloom.data.span_corruption import Lengths
from byteloom.models import AnyModel, Encoder, EncoderDecoder, TransformerLM
from byteloom.nn.whole import idle_parameters
from byteloom.training.tasks import MaskedConfig, SpansConfig, TaskConfig

#: Products of bf16 or fp16 a second, without sparsity, by the makers' data sheets; the first name
#: that is part of the device's counts.
_PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "T4": 65e12,
}


def training_flops(model: AnyModel, task: TaskConfig | None = None) -> float:
    """Floating-point operations a token, forward and backward; a decoder's are 6 N + 12 L d T.

    N is the number of parameters that a token meets, L of layers, T the context (Chowdhery et al.
    2022, appendix B, arXiv:2204.02311; here as everywhere, attention counts as if it saw the whole
    context).

    Of other models, not every part meets every token: each parameter counts 6 for a token that it
    is multiplied with, and each layer 12 d for two tokens of which one looks at the other. Tables
    are looked up, and count nothing. The sum is shared out among the tokens that metrics count.

    Args:
        model: on any device, also where it holds no numbers.
        task: what it learns, if it is no decoder.
    """
    config = model.config
    if isinstance(model, TransformerLM):
        attention = 12 * config.num_layers * config.d_model * config.context_length
        return 6.0 * model.num_parameters(idle=False) + attention
    if isinstance(model, Encoder):
        assert isinstance(task, MaskedConfig)
        return _of_encoder(model, task.predicted(model.config))
    assert isinstance(task, SpansConfig)
    return _of_pair(model, task.lengths(model.config))


def _of_encoder(model: Encoder, predicted: int) -> float:
    """Of a text whose first token is a pair's, too; the head looks at what is predicted alone."""
    config, tokens = model.config, model.config.context_length
    maps = tokens * _met(model.encoder.layers) + predicted * _met(model.lm_head)
    if model.next_sentence is not None:
        maps += _met(model.next_sentence)
    seen = config.num_layers * tokens**2
    return (6.0 * maps + 12 * config.d_model * seen) / tokens


def _of_pair(model: EncoderDecoder, lengths: Lengths) -> float:
    """Of what is left of a text, and what was cut out of it, which the decoder writes."""
    config, read, written = model.config, model.config.context_length, lengths.targets
    across = sum(  # what maps the memory
        p.numel()
        for name, p in model.decoder.layers.named_parameters()
        if ".cross.k_proj." in name or ".cross.v_proj." in name
    )
    maps = read * (_met(model.encoder.layers) + across)
    maps += written * (_met(model.decoder.layers) - across + _met(model.lm_head))
    seen = config.num_layers * read**2 + config.decoder_layers * written * (written + read)
    return (6.0 * maps + 12 * config.d_model * seen) / lengths.tokens


def _met(module: nn.Module) -> int:
    """Parameters that a token meets."""
    return sum(p.numel() for p in module.parameters()) - idle_parameters(module)


def peak_flops(device: torch.device) -> float | None:
    """Operations a second that a device can do in bf16; ``None`` if that is not known."""
    return peak_flops_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_flops_of(name: str) -> float | None:
    """The same of a GPU by its name, or a part of it such as "H100"."""
    return next((peak for key, peak in _PEAKS.items() if key in name), None)


def memory_in_use(device: torch.device) -> int:
    """The most bytes in use so far: of a GPU's memory, or else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
