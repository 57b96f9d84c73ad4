"""What a computation without memory would hold: bytes by purpose, peaks by segment, products."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, register_flop_formula

from byteloom.nn import grouped  # noqa: F401 (whose operations are counted below)

_aten = torch.ops.aten
#: What takes, or puts, numbers where a mask is true.
_BY_MASK = {_aten.index.Tensor, _aten._index_put_impl_.default, _aten.index_put_.default}


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches every operation below autograd, and puts down what it makes and computes.

    Made for tensors that hold nothing (``FakeTensorMode``): what would be read back from them is 0,
    or true. All tensors of one storage are one.
    """

    #: Those that compiled graphs have.
    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        #: What is going on: "forward", "loss", "backward", "optimizer".
        self.phase = "made"
        #: In which part of the model.
        self.part = "rest"
        #: Names under which peaks are put down now.
        self.segments: Sequence[str] = ()
        #: Bytes that exist, by purpose.
        self.live: Counter[str] = Counter()
        #: Segment -> the same when their sum was greatest.
        self.peaks: dict[str, Counter[str]] = {}
        #: (phase, part, "products" or "scores") -> operations.
        self.flops: Counter[tuple[str, str, str]] = Counter()
        #: Tensors of this last dimension and type stay within one kernel, and are not held.
        self.fused: tuple[int, torch.dtype] | None = None
        #: Products of this last dimension lie where the kernel behind them puts its result.
        self.overwritten: int | None = None
        #: How many numbers of a mask are true, as tensors that hold nothing cannot tell.
        self.chosen = 0
        self._watched: list[Tensor] = []
        self._watched_bytes = 0
        self._storages: dict[int, tuple[weakref.ref[Any], int, str]] = {}
        self._inside: list[str] = []
        self._is_away = False

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Whether torch.compile works beneath it; where it does not, nothing is compiled."""
        return True

    def enter(self, phase: str, segments: Sequence[str]) -> None:
        """Something else begins."""
        self.phase, self.segments = phase, segments
        self._look()

    def note(self, tensors: Iterable[Tensor], purpose: str) -> int:
        """Puts tensors down under a purpose, whatever they were before; returns their bytes."""
        total = 0
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key in self._storages:
                reference, size, former = self._storages[key]
                self.live[former] -= size
            else:
                size = storage.nbytes()
                reference = weakref.ref(storage, self._forgetter(key))
            self._storages[key] = (reference, size, purpose)
            self.live[purpose] += size
            total += size
        self._look()
        return total

    def note_new(self, tensors: Iterable[Any], purpose: str) -> None:
        """Puts down those that are not yet."""
        new = [x for x in tensors if isinstance(x, Tensor)]
        self.note([x for x in new if x.untyped_storage()._cdata not in self._storages], purpose)

    def watch(self, tensors: Iterable[Tensor]) -> None:
        """Puts down, as the optimizer's, what these have at any time: none now, and again later."""
        self._watched = list(tensors)
        self.note(self._watched, "optimizer")

    @contextmanager
    def away(self) -> Iterator[None]:
        """While the block runs, nothing is put down."""
        before, self._is_away = self._is_away, True
        try:
            yield
        finally:
            self._is_away = before

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """One operation."""
        if func is _aten._local_scalar_dense.default:
            return args[0].dtype == torch.bool or 0
        if func in _BY_MASK:
            args = (args[0], [place for i in args[1] for place in self._places(i)], *args[2:])
        result = func(*args, **(kwargs or {}))
        if self._is_away:
            return result
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        flops = operations(func, args, kwargs or {}, result)
        if flops:
            is_score = func is _aten.bmm.default and self.part == "attention"
            kind = "scores" if is_score or _is_attention(func) else "products"
            again = self.phase == "backward" and bool(self._inside)
            phase = "recomputed" if again else self.phase
            if phase == "loss" and torch.is_grad_enabled():
                phase = "forward"  # what a head computes before the loss, whose gradients come late
            self.flops[phase, self.part, kind] += flops
        new = [tensor for tensor in made if self._is_new(tensor)]
        if func is _aten.mm.default and result.shape[-1] == self.overwritten:
            new = []
        if new:
            self.note(new, self.phase)
        return result

    @contextmanager
    def parts_of(self, parts: Mapping[nn.Module, str]) -> Iterator[None]:
        """Within the block, what these modules compute, and its gradients, counts as theirs."""

        def begin(module: nn.Module, *_: Any) -> None:
            self._inside.append(self.part)
            self.part = parts[module]

        def end(module: nn.Module, _: Any, output: Any) -> None:
            if not self._inside:
                return  # a second time, as the module ended in an exception
            self.part = self._inside.pop()
            if self.phase == "forward" and isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(  # type: ignore[no-untyped-call]
                    lambda _: setattr(self, "part", parts[module])
                )

        handles: list[Any] = []
        for module in parts:
            handles.append(module.register_forward_pre_hook(begin))
            # Recomputing ends in an exception as soon as it has all that it needs.
            handles.append(module.register_forward_hook(end, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _places(self, index: Any) -> list[Any]:
        """A mask as the places where it is true, one tensor a dimension."""
        if not isinstance(index, Tensor) or index.dtype != torch.bool:
            return [index]
        return [torch.empty(self.chosen, dtype=torch.long) for _ in range(index.ndim)]

    def _is_new(self, tensor: Tensor) -> bool:
        if self.fused == (tensor.shape[-1] if tensor.ndim == 2 else None, tensor.dtype):
            return False
        return tensor.untyped_storage()._cdata not in self._storages

    def _forgetter(self, key: int) -> Callable[[Any], None]:
        def forget(_: Any) -> None:
            _, size, purpose = self._storages.pop(key)
            self.live[purpose] -= size

        return forget

    def _look(self) -> None:
        if self._watched:
            size = sum(tensor.untyped_storage().nbytes() for tensor in self._watched)
            self.live["optimizer"] += size - self._watched_bytes
            self._watched_bytes = size
        total = self.live.total()
        for name in self.segments:
            if name not in self.peaks or total > self.peaks[name].total():
                self.peaks[name] = self.live.copy()


def operations(
    func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any = None
) -> int:
    """Multiplications and additions of an operation's products of matrices.

    Attention counts as the formula has it: two products forward, four backward, of all queries
    with all keys. What a kernel computes a second time to save memory is not counted.
    """
    if _is_attention(func):
        backward = "backward" in func.__name__
        q, k, v = args[backward : backward + 3]
        pairs = q.shape[:-1].numel() * k.shape[-2]
        return int((2 + 2 * backward) * pairs * (q.shape[-1] + v.shape[-1]))
    # `addmm_` computes what `addmm` does.
    name = func._overloadpacket.__name__.rstrip("_")
    formula = flop_registry.get(getattr(_aten, name, func._overloadpacket))
    return int(formula(*args, **kwargs, out_val=result)) if formula else 0


def _is_attention(func: Any) -> bool:
    return "_scaled_dot_product" in func.__name__


# Said here, as torch's counter of operations takes long to import.


@register_flop_formula([torch.ops.byteloom.grouped_mm])
def _of_groups(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * x[0] * weight[1] * weight[2]


@register_flop_formula([torch.ops.byteloom.grouped_outer])
def _of_outer_products(y: Sequence[int], x: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * x[0] * x[1] * y[1]
