"""An estimate, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byteloom.markdown import table

if TYPE_CHECKING:
    from byteloom.training.config import RunConfig
    from byteloom.training.estimate import Estimate
    from byteloom.training.estimate.memory import Peak


#: What is to be known about the figures of memory.
_SOURCES = {
    "code": "",
    "compiler": "\ncompiled: what the compiler keeps, and a model of what its kernels take beside",
    "guess": "\ncompiled: this torch does not tell what it keeps: a guess, maybe a quarter off",
}


def print_estimate(found: Estimate, run_config: RunConfig, depth: int) -> None:
    """Tables, and the verdict in the end."""
    sections = (
        _parameters(found, depth),
        _operations(found, run_config),
        _memory(found, run_config),
        _time(found),
        _verdict(found),
    )
    print("\n\n".join(sections))


def _parameters(found: Estimate, depth: int) -> str:
    total = found.parameters.total
    rows = [["all", "", f"{total:,}", "100%"]]
    rows += [
        [
            "  " * level + node.name + (f" x {node.copies}" if node.copies > 1 else ""),
            " x ".join(map(str, node.shape)),
            f"{node.count:,}",
            f"{node.count / total:.1%}",
        ]
        for level, node in found.parameters.tree.rows(depth)
    ]
    rows.append(["without embeddings and head", "", f"{found.parameters.without_embeddings:,}",
                 f"{found.parameters.without_embeddings / total:.1%}"])  # fmt: skip
    active = found.parameters.active
    if active != total:
        rows.append(["met by each token", "", f"{active:,}", f"{active / total:.1%}"])
    return table(["parameters", "shape", "number", "share"], rows, 2)


def _operations(found: Estimate, run_config: RunConfig) -> str:
    operations = found.operations
    rows = [
        [part.name, *(_count(x) for x in (part.forward, part.backward, part.recomputed))]
        for part in operations.parts
    ]
    all_of = [
        sum(getattr(part, name) for part in operations.parts) for name in ("forward", "backward")
    ]
    rows.append(["all", *map(_count, [*all_of, operations.recomputed])])
    scores = sum(p.forward + p.backward for p in operations.parts if p.name.endswith("scores"))
    steps, causal, rule = run_config.training.steps, "", "as mfu counts, it"
    if run_config.model.kind == "decoder":
        causal = (
            f"\nscores count all tokens with all; with those before them only, they are "
            f"{_count(operations.causal_scores)} in place of {_count(scores)}"
        )
        rule = "6 N + 12 L d T"
    return (
        table(["FLOPs a token", "forward", "backward", "recomputed"], rows) + causal + "\n"
        f"{rule} is {_count(operations.rule_of_thumb)} a token; forward and backward "
        f"here are {_count(operations.token)}"
        f"\nthe run: {steps:,} steps, {operations.tokens:,} tokens, {_count(operations.run)} FLOPs"
        + (f", {_count(operations.run_executed)} with recomputing" * bool(operations.recomputed))
    )


def _memory(found: Estimate, run_config: RunConfig) -> str:
    memory, training = found.memory, run_config.training
    pieces = f"of {memory.logits_tokens:,} tokens, which exist at once"
    how = f"{training.dtype}, recompute = {training.recompute}"
    rows = [
        ["weights", _size(memory.weights), training.weights],
        ["gradients", _size(memory.gradients), ""],
        ["optimizer state", _size(memory.optimizer_state), run_config.optimizer.kind],
        ["activations", _size(memory.activations),
         f"{_size(memory.activations_per_block)} a block; {how}"],
        ["logits", _size(memory.logits_piece), pieces],
        ["optimizer's temporaries", _size(memory.optimizer_temporaries), "during its step"],
        ["peak, forward and backward", *_peak(memory.forward_backward)],
        ["peak, optimizer step", *_peak(memory.optimizer_step)],
        ["keys and values", _size(memory.cache),
         f"to generate {memory.cache_batch:,} x {memory.cache_length:,} tokens"],
        ["checkpoint's copy", _size(memory.checkpoint_copy), "in main memory, while it is written"],
    ]  # fmt: skip
    if memory.offloaded:
        rows.append(["offloaded", _size(memory.offloaded), "in main memory"])
    text = table(["memory", "bytes", "of it"], rows)
    return text + _SOURCES[found.memory_source]


def _peak(peak: Peak) -> list[str]:
    most = [f"{name} {size / peak.bytes:.0%}" for name, size in list(peak.purposes.items())[:3]]
    return [_size(peak.bytes), f"{peak.moment}: {', '.join(most)}"]


def _time(found: Estimate) -> str:
    duration = found.duration
    if duration is None:
        return "time      not measured, since it does not fit"
    part = f", the optimizer's part {duration.optimizer / duration.step:.0%}"
    return (
        f"time      {duration.step:,.3g} s a step{part * found.machine.is_here}, "
        f"{duration.tokens_per_second:,.0f} tokens/s\n"
        f"          {_hours(duration.run)} for the run, evaluations included\n"
        f"          {duration.source}"
    )


def _verdict(found: Estimate) -> str:
    verdict, name = found.verdict, found.machine.name
    if verdict.available is None:
        return f"verdict   {_size(verdict.needed)} are needed; how much {name} has is not known"
    share = verdict.needed / max(verdict.available, 1)
    of = f"{share:.0%} of the {_size(verdict.available)} available on {name}"
    if verdict.fits:
        return f"verdict   fits: {_size(verdict.needed)} are {of}"
    lines = [f"verdict   does not fit: {_size(verdict.needed)} are {of}"]
    fitting = [setting for setting in verdict.tried if setting.fits]
    if fitting:
        lines += [f"          would: {s.text} ({_size(s.bytes)})" for s in fitting]
    elif verdict.tried:
        least = min(verdict.tried, key=lambda setting: setting.bytes)
        lines.append(
            f"          nor would anything tried: {least.text} still needs {_size(least.bytes)}; "
            "the model itself is too large"
        )
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.2f} {name}"
    return f"{count / 1e3:,.1f} kB"


def _count(number: float) -> str:
    if number == 0:
        return "0"
    for unit, name in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return f"{number:.4g}"


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
