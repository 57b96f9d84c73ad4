from __future__ import annotations

import importlib.util
import io
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byteloom.training.config import WandbConfig
from byteloom.training.metrics import JsonLines, Progress, TensorBoard, Wandb, require_wandb


def test_json_lines_are_on_the_disk_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sink = JsonLines(path)
    for step in (1, 2):
        sink.log({"step": step, "loss": 1 / 3})
        assert [json.loads(line) for line in path.read_text().splitlines()][-1] == {
            "step": step,
            "loss": 1 / 3,
        }
    assert sink.size() == path.stat().st_size
    sink.close()


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sink = JsonLines(path)
    sink.log({"step": 1})
    keep = sink.size()
    sink.log({"step": 2})
    sink.close()
    path.write_bytes(path.read_bytes() + b'{"st')
    sink = JsonLines(path, keep=keep)
    sink.log({"step": 3})
    sink.close()
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'


def test_a_file_that_lost_its_end_is_not_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    sink = JsonLines(path, keep=1000)
    sink.log({"step": 2})
    sink.close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def feed(progress: Progress) -> None:
    for step in range(1, 11):
        progress.advance(step)
        progress.log({"step": step, "loss": 5 - step / 10, "tokens_per_second": 12345.6})
        if step % 5 == 0:
            progress.log({"step": step, "valid_loss": 4.5})
    progress.close()


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    feed(Progress(10, stream=stream))
    last = stream.getvalue().split("\r")[-1]
    assert "100%" in last and "10/10" in last
    assert "loss=4.000" in last and "valid=4.500" in last and "tok/s=12,346" in last


def test_a_file_gets_a_line_now_and_then() -> None:
    stream = io.StringIO()
    feed(Progress(10, stream=stream, every=1000))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3 and "\r" not in stream.getvalue()
    assert lines[0].startswith("step 1 of 10  loss 4.900  tok/s 12,346")
    assert [line.split()[1] for line in lines] == ["1", "5", "10"]
    assert "valid 4.500" in lines[1] and lines[2].endswith("00:00 left")


def log_records(path: Path) -> Iterator[bytes]:
    """The records in a .wandb file: LevelDB's log format after a header of 7 bytes.

    Blocks of 32 KiB hold pieces with a header of their own (checksum, length, kind); a piece is a
    whole record, or a first, middle or last part of one.
    """
    data, place, parts = path.read_bytes(), 7, []
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if -place % 32768 < 7:  # no piece begins in the last bytes of a block
            place += -place % 32768
            continue
        size, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        if place + 7 + size > len(data):  # not written to its end yet
            return
        parts.append(data[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def finished_records(path: Path) -> list[Any]:
    """The records of a run that was finished, which wandb's service may still be writing."""
    from wandb.proto import wandb_internal_pb2

    until = time.monotonic() + 20
    while True:
        if path.exists() and path.stat().st_size > 7:
            records = [wandb_internal_pb2.Record.FromString(data) for data in log_records(path)]
            if records and records[-1].WhichOneof("record_type") == "exit":
                return records
        assert time.monotonic() < until, f"{path} does not end with the run's exit"
        time.sleep(0.05)


def offline_records(folder: Path) -> dict[str, Any]:
    """What wandb wrote."""
    found: dict[str, Any] = {"history": [], "runs": [], "config": {}}
    run_id = (folder / "wandb" / "id.txt").read_text()
    for run in sorted(folder.glob("wandb/offline-run-*")):
        for record in finished_records(run / f"run-{run_id}.wandb"):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                items = record.history.item
                found["history"].append(
                    {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items}
                )
            if kind == "run":
                found["runs"].append(record.run)
                for item in record.run.config.update:
                    found["config"][item.key] = json.loads(item.value_json)
    return found


def test_wandb_offline_holds_what_was_logged_under_one_id(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for steps in (range(1, 4), range(4, 6)):  # the second is a resumed run
        sink = Wandb(
            WandbConfig(mode="offline", project="weaving"), tmp_path, {"model": {"d_model": 32}}
        )
        for step in steps:
            sink.log({"step": step, "loss": step / 4, "expert_tokens": [[1, 2], [3, 0]]})
        sink.log({"step": steps[-1], "valid_loss": 9.5})
        sink.close()
    found = offline_records(tmp_path)
    assert {(run.run_id, run.project, run.display_name) for run in found["runs"]} == {
        ((tmp_path / "wandb" / "id.txt").read_text(), "weaving", tmp_path.name)
    }
    assert found["config"]["model"] == {"d_model": 32}
    history = [
        {k: v for k, v in row.items() if k[0] != "_" or k == "_step"} for row in found["history"]
    ]
    assert [(row["_step"], row["loss"]) for row in history] == [(s, s / 4) for s in range(1, 6)]
    assert [row["_step"] for row in history if "valid_loss" in row] == [3, 5]
    assert not any("expert_tokens" in row for row in history)  # lists stay in metrics.jsonl


def test_a_wandb_that_cannot_begin_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")

    def init(**_: Any) -> None:
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(ValueError, match=r"No API key configured\. Without it: .*mode offline"):
        Wandb(WandbConfig(mode="online"), tmp_path, {})


def test_a_missing_wandb_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (require_wandb, lambda: Wandb(WandbConfig(mode="offline"), tmp_path, {})):
        with pytest.raises(ImportError, match="pip install wandb, or set it to off"):
            call()


def test_tensorboard_shows_a_resumed_run_as_one(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = TensorBoard(tmp_path)
    for step in (2, 4, 6):
        first.log({"step": step, "loss": 1.0 / step, "learning_rate": 0.1})
    first.close()
    resumed = TensorBoard(tmp_path, step=4)
    for step in (6, 8):
        resumed.log({"step": step, "loss": 10.0 / step, "expert_tokens": [[1, 2], [3, 0]]})
    resumed.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert found == pytest.approx({2: 0.5, 4: 0.25, 6: 10 / 6, 8: 1.25})
    assert [event.step for event in events.Scalars("learning_rate")] == [2, 4]
    assert set(events.Tags()["scalars"]) == {"loss", "learning_rate"}
