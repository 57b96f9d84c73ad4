"""A sample of all configurations: members and options are drawn from the unions themselves.

What can be said in TOML either is refused when it is read, with a ValueError, or trains, goes on
from a checkpoint as if nothing had happened, and generates with a cache what it does without.
"""

from __future__ import annotations

import random
import types
import typing
from collections import Counter
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import pytest
import tomli_w
import torch

from byteloom import checkpoint, config
from byteloom.config.schema import default_of, hints_of, kind_of, members
from byteloom.generation import generate_ids
from byteloom.model import ModelConfig
from byteloom.models import EncoderConfig, EncoderDecoder, EncoderDecoderConfig
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.state import Run
from byteloom.training.step import train_step
from cached import cached_logits
from tiny_run import make_data

#: Configurations that must have run, and draws of which so many must be possible.
RUNS, DRAWS = 200, 900
CONTEXT = 12

#: Sizes that keep it small, and what would not be a matter of one process and its memory.
FIXED: dict[str, Any] = {
    "model": {"vocab_size": 257, "context_length": CONTEXT, "num_layers": 2},
    "training": {
        "steps": 4, "batch_size": 2, "compile": False, "device": "cpu", "num_threads": 1,
        "deterministic": False, "eval_batches": 1,
    },
}  # fmt: skip
#: Sections whose keys are no matter of what a decoder computes.
LEFT_OUT = {"data", "logging", "guard", "task"}


class Draw:
    """Draws tables of a configuration: members that were rare so far, and options now and then.

    Args:
        seed: the same gives the same tables.
        before: in how many runs each member was.
        kind: of whole models, the one that is drawn.
    """

    def __init__(
        self, seed: int, before: Counter[tuple[str, str]], kind: type = ModelConfig
    ) -> None:
        self.chance, self.before, self.kind = random.Random(seed), before, kind
        self.drawn: set[tuple[str, str]] = set()
        #: How much differs from the defaults, from nearly nothing to a fifth.
        self.often = self.chance.choice([0.02, 0.08, 0.2])

    def tables(self, cls: type, path: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in fields(cls):
            where = f"{path}{field.name}"
            if where in LEFT_OUT:
                continue
            hint, default = hints_of(cls)[field.name], default_of(field)
            options = members(hint)
            if options:
                if type(None) in typing.get_args(hint) and self.chance.random() < 0.6:
                    continue
                member = self.member(where, options)
                found[field.name] = self.tables(member, f"{where}.")
                if "kind" in hints_of(member):
                    found[field.name]["kind"] = kind_of(member)
            elif field.name != "kind" and self.chance.random() < self.often:
                values = [] if default is MISSING else pool(hint, default)
                if values:
                    # What no number may be is to be refused, and never met later.
                    bad = [0, -1] if {type(one) for one in values} & {int, float} else values
                    is_bad = self.chance.random() < 0.05
                    found[field.name] = self.chance.choice(bad if is_bad else values)
        return found

    def member(self, where: str, options: tuple[type, ...]) -> type:
        """Any, or one of the rarest; of whole models, the one that was asked for."""
        if self.kind in options:
            return self.kind
        counts = [self.before[where, kind_of(one)] for one in options]
        rare = [one for one, n in zip(options, counts, strict=True) if n == min(counts)]
        # What goes with few others is rare for long, and must not always be drawn.
        member = self.chance.choice(rare if self.chance.random() < 0.5 else options)
        self.drawn.add((where, kind_of(member)))
        return member


def pool(hint: Any, default: Any) -> list[Any]:
    """Values that a key may be given; they need not go together with others."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return pool(args[0], default)
    if origin in (Union, types.UnionType):
        return [value for one in args for value in pool(one, default)]
    if origin is Literal:
        return [*args]
    if hint is float:
        usual = default if isinstance(default, float) and default else 0.5
        # Much that is near 1 is a part, and must stay below.
        return [usual / 2, (usual + 1) / 2 if 0.5 <= usual < 1 else usual * 1.5]
    return {bool: [True, False], int: [1, 2, 3, 4, 8]}.get(hint, [])


def drawn_tables(draw: Draw, folder: Path) -> dict[str, Any]:
    """A whole configuration, as TOML would give it."""
    num_heads = draw.chance.choice([1, 2, 4])
    d_model = 8 * num_heads * draw.chance.choice([1, 2])
    sizes = {"model": {"num_heads": num_heads, "d_model": d_model}}
    data = {"data": {"train": str(folder / "train.npy")}}
    tables = config.merge(config.merge(draw.tables(RunConfig), FIXED), {**sizes, **data})
    # What is nearly always said for nothing would be refused.
    ffn, position = tables["model"]["ffn"], tables["model"]["position"]
    if ffn.get("first_dense", 0) == 0 and ffn.get("every", 1) == 1:
        ffn.pop("dense", None)
    if "scaling" in position:
        position["scaling"].setdefault("factor", 2.0)
    return tables


def step(run: Run) -> float:
    first = run.plan.before(run.step)
    count = run.plan.batches_of(run.step)
    return train_step(run, [run.batches.batch_at(first + i) for i in range(count)]).loss.item()


def state_of(run: Run) -> list[torch.Tensor]:
    """All numbers of a run."""
    average = run.average and run.average.state_dict()
    return tensors([run.model.state_dict(), run.optimizer.state_dict(), average])


def tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [t for one in tree for t in tensors(one)] if isinstance(tree, list | tuple) else []


def check_training(run_config: RunConfig, path: Path) -> Run:
    """A step, a checkpoint and another step; and the last again from the checkpoint."""
    run = build(run_config)
    step(run)
    checkpoint.write(run.checkpoint(), path)
    loss = step(run)
    again = build(run_config)
    again.restore(checkpoint.read(path))
    assert step(again) == loss, "the resumed run has another loss"
    pairs = zip(state_of(run), state_of(again), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs), "the resumed run has other weights"
    return run


def check_generation(run: Run) -> None:
    """What is likeliest after a few tokens, with a cache and without."""
    model = run.model.float().eval()
    prompt = [1, 200, 30]
    # More than the context holds: in between, the older half is forgotten.
    plain = [*generate_ids(model, prompt, max_new_tokens=12, temperature=0, use_cache=False)]
    ids = torch.tensor([[*prompt, *plain][:CONTEXT]])
    with torch.no_grad():
        want, found = model(ids), cached_logits(model, ids, 3)
    torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-3)
    top = want[0, 2:-1].topk(2).values
    if (top[:, 0] - top[:, 1]).min() > 1e-3:  # else rounding decides
        assert [*generate_ids(model, prompt, max_new_tokens=12, temperature=0)] == plain


def test_drawn_configurations(tmp_path: Path) -> None:
    make_data(tmp_path)
    ran: Counter[tuple[str, str]] = Counter()
    drawn: set[tuple[str, str]] = set()
    refused, failures, runs = [], [], 0
    for seed in range(DRAWS):
        draw = Draw(seed, ran)
        tables = drawn_tables(draw, tmp_path)
        drawn |= draw.drawn
        try:
            run_config = config.load(RunConfig, tables)
        except ValueError as error:
            refused.append(str(error))
            continue
        try:
            check_generation(check_training(run_config, tmp_path / "step.safetensors"))
            ran.update(draw.drawn)
        except Exception as error:
            failures.append(f"# {seed}: {type(error).__name__}: {error}\n{tomli_w.dumps(tables)}")
        runs += 1
        if runs == RUNS:
            break
    assert not failures, f"{len(failures)} of {runs}:\n" + "\n".join(failures[:5])
    assert runs == RUNS, f"{len(refused)} were refused"
    assert len(set(refused)) > 10
    # Members within members are many: of these, not all are met.
    families = {member for member in drawn if member[0].count(".") < 2}
    assert families <= set(ran), f"never in a run: {families - set(ran)}"


@pytest.mark.parametrize("kind", [EncoderConfig, EncoderDecoderConfig])
def test_drawn_models_of_other_kinds(kind: type, tmp_path: Path) -> None:
    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(4))]
    make_data(tmp_path, special)
    ran: Counter[tuple[str, str]] = Counter()
    drawn: set[tuple[str, str]] = set()
    failures, seed = [], 0
    while ran.total() < 40 * 7 and seed < DRAWS and not failures:
        draw = Draw(seed, ran, kind)
        tables = drawn_tables(draw, tmp_path)
        drawn |= draw.drawn
        if kind is EncoderConfig:  # which most members' default is nothing for
            tables["model"]["attention"]["causal"] = False
        tables["data"]["tokenizer"] = str(tmp_path / "tokenizer.json")
        for key in ("vocab_size", "start_id"):  # which the tokenizer tells
            tables["model"].pop(key, None)
        seed += 1
        try:
            run_config = resolve(tables)
        except ValueError:
            continue
        try:
            model = check_training(run_config, tmp_path / "step.safetensors").model.eval()
            # In fp32, rounding decides what a softmax of scores far apart chooses, without norms.
            model = model.double()
            if isinstance(model, EncoderDecoder):
                check_writing(model)
            else:
                check_padding(model)
            ran.update(draw.drawn)
        except Exception as error:
            failures.append(f"# {seed}: {type(error).__name__}: {error}\n{tomli_w.dumps(tables)}")
    assert not failures, failures[0]
    assert seed < DRAWS, "too few could run"
    # All members of the families of parts were in a run, but the one that is for decoders alone.
    families = {member for member in drawn if member[0].startswith("model.")}
    families = {member for member in families if member[0].count(".") == 1}
    assert families - set(ran) == {("model.init", "mup")}


#: Of two texts of nine tokens, the second has five, and then padding.
REAL = torch.arange(9) < torch.tensor([[9], [5]])


def check_padding(model: Any) -> None:
    """What fills up is no matter to any token."""
    ids = torch.randint(20, 200, (2, 9))
    with torch.no_grad():
        found, short = model(ids, real=REAL), model(ids[1:, :5])
    torch.testing.assert_close(found[1:, :5], short, rtol=1e-3, atol=1e-3)


def check_writing(model: EncoderDecoder) -> None:
    """Logits with a cache and without; and of what was read, padding is no matter."""
    length = min(5, model.config.decoder_length)
    ids, written = torch.randint(20, 200, (2, 9)), torch.randint(20, 200, (2, length))
    cache = model.new_cache(REAL)
    with torch.no_grad():
        want, short = model(ids, written, REAL), model(ids[1:, :5], written[1:])
        found = [model.next_logits(written[:, :2], cache, model.encode(ids, REAL))]
        found += [model.next_logits(one, cache) for one in written[:, 2:].split(1, dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), want, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(want[1:], short, rtol=1e-3, atol=1e-3)
