"""What a compiled model holds: the compiler's own graphs, run on tensors that hold nothing.

What is kept for the gradients is what the compiler's min-cut partitioner says. Of the compiler
everything is asked but the last step, which makes kernels of its graphs. So which values come to
exist in memory is a model: those that a library makes or takes (products of matrices, attention),
and those that leave the graph. The others live and die within a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx
from torch.utils._pytree import tree_leaves

from byteloom.training.estimate.ledger import Ledger

_aten = torch.ops.aten
#: What kernels compute while they read, though it is not marked as pointwise or as a reduction.
_READING = {"embedding", "gather", "index", "cat", "full", "arange", "where", "flip", "rev", "iota"}
_READING |= {"constant_pad_nd", "slice_scatter", "select_scatter", "scalar_tensor", "empty"}
#: A value that is used twice, and made of more tensors than this, is put down and not made twice.
_READS = 4


@contextmanager
def compiled(
    function: Callable[..., Any],
    ledger: Ledger,
    then: Callable[[], None],
    segments: Callable[[str, str], Sequence[str] | None],
) -> Iterator[Callable[..., Any]]:
    """The function as torch.compile has it, whose graphs are not run but put down.

    Only for tensors that hold nothing. Whatever was compiled before is forgotten, and so is this:
    neither is to decide which shapes the other takes for fixed.

    Args:
        function: tensors -> a tensor.
        ledger: where it is put down.
        then: what is called whenever it is over.
        segments: "forward" or "backward", a module's name -> the segments it is in, if it is known.

    Raises:
        Exception: of any kind, where torch lacks what this takes, which is not public.
    """
    from torch._functorch import config as functorch_config
    from torch._inductor.compile_fx import compile_fx

    def take(graph: fx.GraphModule, _: Any, **settings: Any) -> Callable[[list[Any]], Any]:
        phase = "backward" if settings.get("is_backward") else "forward"
        return _Replay(graph, ledger, phase, lambda module: segments(phase, module))

    def backend(graph: fx.GraphModule, inputs: Sequence[Any]) -> Any:
        with ledger.away():
            return compile_fx(graph, inputs, inner_compile=take)  # type: ignore[arg-type]

    torch._dynamo.reset()
    try:
        # What was kept of former runs is real code.
        with functorch_config.patch(
            enable_autograd_cache=False, force_non_lazy_backward_lowering=True
        ):
            traced = torch.compile(function, backend=backend)

            def call(*args: Any, **kwargs: Any) -> Any:
                with ledger.away():
                    found = traced(*args, **kwargs)
                then()
                return found

            yield call
    finally:
        torch._dynamo.reset()


class _Replay:
    """A graph, called as the code would be that is made of it."""

    def __init__(
        self,
        module: fx.GraphModule,
        ledger: Ledger,
        phase: str,
        segments: Callable[[str], Sequence[str] | None],
    ) -> None:
        self.module, self.ledger, self.phase = module, ledger, phase
        #: Arguments come in a list, which is emptied: nobody else holds on to them.
        self._boxed_call = True
        nodes = list(module.graph.nodes)
        self.held = _held(nodes)
        self.ends = _ends(nodes, self.held)
        self.segments: dict[fx.Node, Sequence[str]] = {}
        for node in self.held:
            found = [names for name in _modules(node) if (names := segments(name)) is not None]
            if found:
                self.segments[node] = found[0]

    def __call__(self, args: list[Any]) -> Any:
        """Puts down what comes and goes."""
        run = fx.Interpreter(self.module, garbage_collect_values=False)
        run.args_iter = iter(tuple(args))
        args.clear()
        env = run.env
        for i, node in enumerate(self.module.graph.nodes):
            with self.ledger.away():
                env[node] = run.run_node(node)
            if node.op == "output":
                return env.pop(node)
            ended = self.ends.get(i, ())
            if node in self.held and _is_fused(node):
                # A kernel may write where it reads for the last time.
                for name in ended:
                    del env[name]
                ended = ()
            if node in self.segments:
                self.ledger.enter(self.phase, self.segments[node])
            if node in self.held:
                self.ledger.note_new(tree_leaves(env[node]), self.phase)
            for name in ended:
                del env[name]
        raise AssertionError("a graph without an output")


def _held(nodes: Sequence[fx.Node]) -> set[fx.Node]:
    """The nodes whose results exist in memory."""
    held: set[fx.Node] = set()
    #: Node -> what in memory it is computed from.
    reads: dict[fx.Node, set[fx.Node]] = {}
    for node in nodes:
        sources = node.all_input_nodes
        if node.op in ("placeholder", "get_attr") or _is_view(node):
            reads[node] = {node} if not _is_view(node) else reads.get(sources[0], set())
            continue
        if node.op == "output" or not _is_fused(node):
            # Libraries and callers take what exists.
            held.update(base for base in map(_base, sources) if _is_computed(base))
            held.add(node)
            reads[node] = {node}
            continue
        found = set[fx.Node]().union(*(reads.get(source, set()) for source in sources))
        if len(_users(node)) > 1 and len(found) > _READS:
            held.add(node)
            found = {node}
        reads[node] = found
    return held


def _ends(nodes: Sequence[fx.Node], held: set[fx.Node]) -> dict[int, list[fx.Node]]:
    """Place in the graph -> the nodes that nobody reads behind it."""
    place = {node: i for i, node in enumerate(nodes)}
    last: dict[fx.Node, int] = {}
    ends: dict[int, list[fx.Node]] = {}
    for node in reversed(nodes):
        last[node] = max(
            (
                place[user] if user.op == "output" or user in held else last[user]
                for user in node.users
            ),
            default=place[node],
        )
        ends.setdefault(last[node], []).append(node)
    return ends


def _modules(node: fx.Node) -> list[str]:
    """The names of the modules it comes from, or that its gradients are of."""
    found = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack") or {}
    return [path.removeprefix("L['self'].") for path, _ in found.values()]


def _is_view(node: fx.Node) -> bool:
    """Whether it has the memory of what it is made of."""
    if node.op != "call_function":
        return False
    is_view = getattr(node.target, "is_view", False)
    return bool(is_view or getattr(node.target, "__name__", "") == "getitem")


def _is_fused(node: fx.Node) -> bool:
    """Whether it can be a part of a kernel."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    name = node.target._opname
    tags = node.target.tags
    return (
        torch.Tag.pointwise in tags
        or torch.Tag.reduction in tags
        or name in _READING
        or name.startswith("inductor_")
    )


def _is_computed(node: fx.Node) -> bool:
    return node.op == "call_function" and not _is_view(node)


def _base(node: fx.Node) -> fx.Node:
    """What a view is a view of."""
    while _is_view(node):
        node = node.all_input_nodes[0]
    return node


def _users(node: fx.Node) -> set[fx.Node]:
    """Who uses it or a view of it."""
    found = set[fx.Node]()
    for user in node.users:
        found |= _users(user) if _is_view(user) else {user}
    return found
