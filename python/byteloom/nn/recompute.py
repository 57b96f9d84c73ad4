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

from byteloom.nn import grouped  # noqa: F401 (whose operations are named below)

Recompute: TypeAlias = Literal["none", "selective", "block"]

_aten = torch.ops.aten
#: What costs most to compute again: products of matrices, and attention.
_DEAR: list[Any] = [
    _aten.mm.default,
    _aten.addmm.default,
    _aten.bmm.default,
    torch.ops.byteloom.grouped_mm.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
]

#: torch.compile's setting for what changes beside the output.
_NOTES_ONCE = "skip_fwd_side_effects_in_bwd_under_checkpoint"

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


def is_second_time() -> bool:
    """Whether gradients are under way, for which a layer is computed again.

    What a layer notes beside its output, counts or a part of the loss, is noted only the first
    time. Where it is compiled, the compiler sees to that, if :func:`let_layers_note` told it.
    """
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def let_layers_note() -> None:
    """Lets torch.compile take what layers note the first time, and skip it the second.

    Where torch is too old to know how, layers that note something and are computed again are not
    compiled.
    """
    if hasattr(torch._dynamo.config, _NOTES_ONCE):
        setattr(torch._dynamo.config, _NOTES_ONCE, True)


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
