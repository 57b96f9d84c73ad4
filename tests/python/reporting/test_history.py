"""metrics.jsonl as columns: every key, every axis, and files that are not whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from byteloom.reporting.curve import POINTS, smooth, thin
from byteloom.reporting.history import History
from made_up_runs import make_run, records


def history(folder: Path, *lines: object, tail: bytes = b"") -> History:
    path = folder / "metrics.jsonl"
    path.write_bytes("".join(json.dumps(line) + "\n" for line in lines).encode() + tail)
    return History(path)


def test_every_key_is_a_column(tmp_path: Path) -> None:
    lines = records()
    found = History(make_run(tmp_path / "run", lines) / "metrics.jsonl")
    assert found.records == len(lines)
    assert found.steps == 40 and not found.is_torn
    assert set(found.keys) == {key for line in lines for key in line} - {
        "step",
        "tokens",
        "seconds",
    }
    for key in found.keys:
        pairs = [(line["step"], line[key]) for line in lines if key in line]
        x, y = found.series(key)
        assert list(zip(x, y, strict=True)) == pairs


def test_axes(tmp_path: Path) -> None:
    """Evaluations do not say how many tokens they stand at: their step says it."""
    lines = records(steps=40, interval=5, evaluate=8)  # most evaluations lie between two records
    lines += [{"step": step, "valid_loss": 1.0, "seconds": 99.0} for step in (3, 12, 17, 45)]
    found = history(tmp_path, *lines)
    x, y = found.series("valid_loss", "tokens")
    assert list(x) == [1024 * line["step"] for line in lines if "valid_loss" in line][:-1]
    assert len(y) == len(x), "step 45 is past what is known"
    x, _ = found.series("valid_loss", "seconds")
    assert list(x) == [line["seconds"] for line in lines if "valid_loss" in line]
    for axis in ("tokens", "seconds"):
        x, _ = found.series("loss", axis)
        assert list(x) == [line[axis] for line in lines if "loss" in line]


def test_an_axis_that_nobody_wrote_down(tmp_path: Path) -> None:
    x, y = history(tmp_path, {"step": 1, "loss": 2.0}).series("loss", "tokens")
    assert len(x) == len(y) == 0


def test_nothing_there(tmp_path: Path) -> None:
    for found in (History(tmp_path / "none.jsonl"), history(tmp_path)):
        assert (found.records, found.steps, found.keys, found.is_torn) == (0, 0, (), False)
        for axis in ("step", "tokens", "seconds"):
            assert [len(part) for part in found.series("loss", axis)] == [0, 0]


def test_a_line_cut_anywhere_is_passed_over(tmp_path: Path) -> None:
    whole = json.dumps({"step": 4, "loss": 2.0, "name": "ü"}, ensure_ascii=False).encode()
    for length in range(1, len(whole)):
        found = history(tmp_path, {"step": 2, "loss": 3.0}, tail=whole[:length])
        assert found.is_torn and found.steps == 2, whole[:length]
    found = history(tmp_path, {"step": 2, "loss": 3.0}, tail=whole)
    assert not found.is_torn and found.steps == 4, "whole, but for the end of the line"
    assert history(tmp_path, {"step": 2}, tail=bytes(40)).is_torn, "what a power cut leaves"


@pytest.mark.parametrize(
    "line",
    [b'{"step": 4, "lo', b"[4]", b"4", b'{"loss": 2.0}', b'{"step": NaN}', b'{"step": "4"}',
     b"\xff\xfe", b'{"step": 4, "loss": 1' + b"0" * 400 + b"}", b"[" * 100_000, b"\0\0"],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 2}\n' + line + b'\n{"step": 6}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2 is no record of a run: "):
        History(path)


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    found = history(
        tmp_path,
        {"step": 1, "loss": float("nan"), "note": "hello", "parts": [1], "none": None, "ok": True},
        {"step": 2, "loss": float("inf")},
        tail=b"\n  \n",
    )
    assert set(found.keys) == {"loss", "ok"} and found.records == 2
    assert np.isnan(found.values("loss")[0]) and np.isinf(found.values("loss")[1])


def test_smoothing_is_the_mean_of_a_window() -> None:
    """Against the mean written out; symmetric windows bend no straight line."""
    y = np.random.default_rng(0).normal(size=333)
    y[[5, 200, 332]] = np.nan
    half = 333 // 50
    for i, found in enumerate(smooth(y)):
        before = min(i, half)
        if np.isnan(y[i]):
            assert np.isnan(found)
        else:
            assert found == pytest.approx(np.nanmean(y[i - before : i + before + 1]))
    line = np.arange(200.0)
    np.testing.assert_allclose(smooth(line)[:190], line[:190])
    assert len(smooth(np.array([]))) == 0


def test_thinning_keeps_what_stands_out() -> None:
    x = np.arange(50_000.0)
    y = np.random.default_rng(0).normal(size=50_000)
    y[12_345], y[23_456], y[400:900] = 50, -50, np.nan
    at, found = thin(x, y)
    assert len(at) <= POINTS + 2
    assert (np.diff(at) > 0).all() and at[0] == 0 and at[-1] == x[-1]
    assert np.nanmax(found) == 50 and np.nanmin(found) == -50
    assert (np.isnan(found) == np.isnan(y[at.astype(int)])).all()
    few = thin(x[:POINTS], y[:POINTS])
    assert len(few[0]) == POINTS
