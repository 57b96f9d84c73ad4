"""Products of rows with one matrix for each group of them: no row waits for another group's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

# Operations of their own for torch: compiled, estimated and chosen for recomputing as a whole. What
# they do depends on how many rows each group has, which is known only when they run.


@torch.library.custom_op(
    "byteloom::grouped_mm",
    mutates_args=(),
    schema="(Tensor x, Tensor weight, Tensor ends) -> Tensor",
)
def grouped_mm(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Each row times the transposed matrix of its group.

    Args:
        x: (rows, d_in), group after group.
        weight: (groups, d_out, d_in), of the same type.
        ends: int32, (groups,): where the rows of each group end.

    Returns:
        (rows, d_out).

    Example:
        >>> x, weight = torch.ones(3, 2), torch.tensor([[[1.0, 1.0]], [[5.0, 5.0]]])
        >>> grouped_mm(x, weight, torch.tensor([1, 3], dtype=torch.int32))
        tensor([[ 2.],
                [10.],
                [10.]])
    """
    if _has_kernel(x, *weight.shape[1:]):
        return F.grouped_mm(x.contiguous(), weight.mT, offs=ends)
    if x.is_cuda and (len(x) <= len(weight) or torch.cuda.is_current_stream_capturing()):
        # Few rows, of a text that is made token by token: the host must not wait, nor can it.
        group = torch.searchsorted(ends, torch.arange(len(x), device=x.device), right=True)
        return (weight.index_select(0, group) @ x[..., None]).squeeze(-1)
    y = x.new_empty(len(x), weight.shape[1])
    for rows, matrix in zip(_slices(ends), weight, strict=True):
        torch.mm(x[rows], matrix.T, out=y[rows])
    return y


@torch.library.custom_op(
    "byteloom::grouped_outer", mutates_args=(), schema="(Tensor y, Tensor x, Tensor ends) -> Tensor"
)
def grouped_outer(y: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    """The sum of each group's outer products: (groups, d_y, d_x) of (rows, d_y) and (rows, d_x)."""
    if _has_kernel(x, x.shape[1], y.shape[1]):
        return F.grouped_mm(y.contiguous().T, x.contiguous(), offs=ends)
    sums = x.new_empty(len(ends), y.shape[1], x.shape[1])
    for rows, total in zip(_slices(ends), sums, strict=True):
        torch.mm(y[rows].T, x[rows], out=total)
    return sums


def _has_kernel(x: Tensor, *widths: int) -> bool:
    """Whether torch does all groups at once: in bf16, on a newer GPU, by pieces of 16 bytes."""
    return (
        x.is_cuda
        and x.dtype == torch.bfloat16
        and hasattr(F, "grouped_mm")
        and torch.cuda.get_device_capability(x.device) >= (9, 0)
        and not any(width % 8 for width in widths)
    )


def _slices(ends: Tensor) -> list[slice]:
    """The rows of each group. The host waits for a GPU here."""
    found = ends.tolist()
    return [slice(begin, end) for begin, end in zip([0, *found], found, strict=False)]


def _empty_rows(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


def _empty_sums(y: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], y.shape[1], x.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, weight, ends = ctx.saved_tensors
    of_x = of_weight = None
    if ctx.needs_input_grad[0]:
        of_x = grouped_mm(gradient, weight.mT, ends)
    if ctx.needs_input_grad[1]:
        of_weight = grouped_outer(gradient, x, ends)
    return of_x, of_weight, None


grouped_mm.register_fake(_empty_rows)
grouped_outer.register_fake(_empty_sums)
grouped_mm.register_autograd(_gradients, setup_context=_keep)
