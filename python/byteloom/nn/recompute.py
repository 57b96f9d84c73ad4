"""Memory for time: what layers computed on the way forward is computed again on the way back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

Recompute: TypeAlias = Literal["none", "selective", "block"]

_aten = torch.ops.aten
#: What costs most to compute again: products of matrices, and attention.
_DEAR: list[Any] = [
    _aten.mm.default,
    _aten.addmm.default,
    _aten.bmm.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
]

#: Tensors of less than this many bytes are not worth moving.
_SMALL = 1 << 20


class Recomputing:
    """Runs a layer and keeps less of what its gradients need (Chen et al. 2016, arXiv:1604.06174).

    The gradients are the same to the bit; dropout draws the same numbers the second time.

    Args:
        what: "block" keeps only what goes into a layer, and runs it twice; "selective" keeps the
            products of matrices and the attention too, so that only norms, activations and the like
            are computed again (Korthikanti et al. 2022, arXiv:2205.05198); "none" keeps all.
    """

    def __init__(self, what: Recompute = "none") -> None:
        self.what = what

    def __call__(self, layer: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """The layer's output."""
        if self.what == "none" or not torch.is_grad_enabled():
            return layer(*inputs)
        run = partial(checkpoint, layer, *inputs, use_reentrant=False)
        if self.what == "selective":
            run = partial(run, context_fn=partial(create_selective_checkpoint_contexts, _DEAR))
        return cast(Tensor, run())


def offloading(enabled: bool, device: torch.device) -> AbstractContextManager[object]:
    """While the block runs, what gradients will need of a GPU's tensors waits in main memory.

    Weights stay where they are, and so do small tensors. On a CPU, nothing happens.

    Args:
        enabled: whether anything happens at all.
        device: where the model is.
    """
    if not enabled or device.type == "cpu":
        return nullcontext()
    return saved_tensors_hooks(_pack, _unpack)


def is_moved(tensor: Tensor) -> bool:
    """Whether :func:`offloading` moves what the gradients will need: no weights, nothing small."""
    is_weight = isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)
    return not is_weight and tensor.numel() * tensor.element_size() >= _SMALL


def _pack(tensor: Tensor) -> tuple[torch.device, Tensor]:
    if not is_moved(tensor):
        return tensor.device, tensor
    waiting = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=torch.cuda.is_available())
    # The copy goes into the stream of the device, which copies back from it before anybody looks.
    return tensor.device, waiting.copy_(tensor, non_blocking=True)


def _unpack(packed: tuple[torch.device, Tensor]) -> Tensor:
    device, tensor = packed
    return tensor.to(device, non_blocking=True)
