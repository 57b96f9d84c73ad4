"""How much a run computes and holds, against what the device could."""

from __future__ import annotations

import resource
import sys

import torch

from byteloom.model import TransformerLM

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


def training_flops(model: TransformerLM) -> float:
    """Floating-point operations a token, forward and backward: 6 N + 12 L d T.

    N is the number of parameters that a token meets, L of layers, T the context (Chowdhery et al.
    2022, appendix B, arXiv:2204.02311; here as everywhere, attention counts as if it saw the whole
    context).
    """
    config = model.config
    attention = 12 * config.num_layers * config.d_model * config.context_length
    return 6.0 * model.num_parameters(idle=False) + attention


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
