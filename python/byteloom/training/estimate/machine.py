"""What there is to compute with: the device of this machine, or another by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from byteloom.training.throughput import peak_flops, peak_flops_of

#: Bytes of memory, by the makers' data sheets; the first name that is part of the device's counts.
_MEMORY = {
    "H200": 141e9,
    "H100": 80e9,
    "B200": 180e9,
    "A100": 80e9,
    "L40S": 48e9,
    "RTX 4090": 24e9,
    "RTX 3090": 24e9,
    "T4": 16e9,
}
#: What a process of its own takes of a GPU, before any tensor: kernels and libraries.
_CONTEXT = 700_000_000
#: What cuBLAS takes through torch's allocator, before Hopper and since: for the thread of the
#: forward pass, and for that of the backward pass.
_WORKSPACES = (2 * (8320 << 10), 2 * (32 << 20))
_SINCE_HOPPER = ("H100", "H200", "B200")


@dataclass(frozen=True)
class Machine:
    """A device."""

    name: str
    """What it is called."""
    type: str
    """"cuda", "cpu" or "mps"."""
    memory: int | None
    """Bytes that a run may take; ``None``: not known."""
    peak: float | None
    """Operations a second in bf16; ``None``: not known."""
    is_here: bool
    """Whether its speed can be measured."""
    workspaces: int = 0
    """Bytes that libraries take through torch's allocator."""


def machine_here(device: torch.device, memory: int | None = None) -> Machine:
    """A device of this machine, with the memory that is free now, or with ``memory``."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device)
        name = torch.cuda.get_device_name(device)
        since_hopper = torch.cuda.get_device_capability(device) >= (9, 0)
        taken = _WORKSPACES[since_hopper]
        return Machine(name, "cuda", memory or free + held, peak_flops(device), True, taken)
    if device.type == "mps":
        limit = int(torch.mps.recommended_max_memory())
        return Machine("this machine's GPU", "mps", memory or limit, None, True)
    name = f"this machine's CPU, {torch.get_num_threads()} threads"
    return Machine(name, "cpu", memory or main_memory(), None, True)


def machine_named(name: str, memory: int | None = None) -> Machine:
    """A GPU that is elsewhere.

    Raises:
        ValueError: nothing is known about it.
    """
    peak = peak_flops_of(name)
    if peak is None:
        raise ValueError(f"no figures about a device {name!r}: known are {', '.join(_MEMORY)}")
    known = next(int(size) for key, size in _MEMORY.items() if key in name)
    since_hopper = any(key in name for key in _SINCE_HOPPER)
    taken = _WORKSPACES[since_hopper]
    return Machine(name, "cuda", memory or known - _CONTEXT, peak, False, taken)


def main_memory() -> int | None:
    """Bytes of main memory that this process could still take; ``None``: not known."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
        group = Path("/sys/fs/cgroup")
        # A container's own limit, where there is one.
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            found.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return max(0, min(found)) if found else None
