"""Operations of models that torch's exporter has no ONNX for, put together from ONNX's own.

They are those of experts. Which rows an expert has is known only when the graph runs: a loop goes
over the experts that have some, and each takes its slice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import FLOAT, INT32, opset18, script
from onnxscript.values import Opset

import byteloom.nn.grouped  # noqa: F401  # which registers the operation

# What it says of its types holds for values, not for graphs.
op: Any = opset18
_INT64 = 7  # ONNX's number of the type


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What ``torch.onnx.export`` takes as its ``custom_translation_table``."""
    return {
        torch.ops.byteloom.grouped_mm.default: grouped_mm,
        torch.ops.aten.searchsorted.Tensor: searchsorted,
        torch.ops.aten.sort.stable: sort,
    }


@script(Opset("byteloom", 1))
def grouped_mm(x: FLOAT, weight: FLOAT, ends: INT32) -> FLOAT:
    """Each group's rows times its matrix, transposed, one group behind the other.

    It is compiled to a graph, not run; there must be a row.
    """
    zero = op.Constant(value_ints=[0])
    ends_64 = op.Cast(ends, to=7)
    begins = op.Concat(zero, op.Slice(ends_64, zero, op.Constant(value_ints=[-1])), axis=0)
    busy = op.Squeeze(op.NonZero(ends_64 - begins), zero)
    products = op.SequenceEmpty()
    for i in range(op.Size(busy)):
        group = op.Gather(busy, i)
        one = op.Unsqueeze(group, zero)
        rows = op.Slice(x, op.Gather(begins, one), op.Gather(ends_64, one))
        products = op.SequenceInsert(products, op.Gemm(rows, op.Gather(weight, group), transB=1))
    return op.ConcatFromSequence(products, axis=0)  # type: ignore[no-any-return]


def searchsorted(numbers: Any, values: Any, *, right: bool = False, **others: Any) -> Any:
    """How many of the numbers, a vector, are not above each of the values, another one."""
    assert right and not any(others.values())
    numbers, values = op.Cast(numbers, to=_INT64), op.Cast(values, to=_INT64)
    column = op.Unsqueeze(values, op.Constant(value_ints=[1]))
    not_above = op.Cast(op.LessOrEqual(numbers, column), to=_INT64)
    return op.ReduceSum(not_above, op.Constant(value_ints=[1]), keepdims=0)


def sort(x: Any, *, stable: bool, dim: int = -1, descending: bool = False) -> Any:
    """A vector from small to large, and where its numbers were: of equal ones the first first."""
    assert dim == -1 and not descending
    return op.TopK(x, op.Shape(x), largest=0)
