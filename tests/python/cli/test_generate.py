"""``byteloom generate``: what it prints and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from byteloom.cli import train_lm
from byteloom.cli.generate import main
from tiny_run import END, make_data, write_toml

#: Arguments -> what the command prints.
Write: TypeAlias = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    make_data(folder)
    toml = write_toml(folder, training={"steps": 100, "keep_checkpoints": 100})
    assert train_lm.main([str(toml), "-o", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def write(run: Path, capsys: pytest.CaptureFixture[str]) -> Write:
    def call(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(run), *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return call


def test_a_seed_repeats_the_text(write: Write) -> None:
    how = ("--prompt", "def f", "--max-new-tokens", 40, "--stop", "")
    first = write(*how, "--seed", 1)
    assert first.startswith("def f") and first.endswith("\n") and len(first) > 30
    assert write(*how, "--seed", 1) == first
    assert write(*how, "--seed", 2) != first


def test_it_stops_at_the_end_of_the_text(write: Write) -> None:
    how = ("--prompt", "def f", "--max-new-tokens", 400, "--seed", 1)
    on, stopped = write(*how, "--stop", ""), write(*how)
    assert END in on and END not in stopped
    assert on.startswith(stopped.rstrip("\n")) and on.partition(END)[0] == stopped[:-1]
    assert write(*how, "--stop", END) == stopped


def test_the_likeliest_needs_no_seed(write: Write) -> None:
    greedy = {write("--prompt", "def f", "--top-k", 1, "--max-new-tokens", 20) for _ in range(3)}
    greedy.add(write("--prompt", "def f", "--temperature", 0, "--max-new-tokens", 20))
    assert len(greedy) == 1


def test_checkpoints_write_differently(write: Write) -> None:
    how = ("--prompt", "def", "--seed", 1, "--stop", "")
    texts = {write(*how, "--checkpoint", step) for step in (5, 50, 100)}
    assert len(texts) == 3


def test_a_text_can_begin_from_nothing(write: Write) -> None:
    text = write("--seed", 3, "--max-new-tokens", 30, "--stop", "")
    assert not text.startswith(END) and text.strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "7"], "no checkpoint of step 7, but of 5, 10, 15"),
        (["--stop", "<end>"], f"--stop <end>: not a special token of this tokenizer ({END})"),
        (["--temperature", "-1"], "temperature"),
        (["--top-k", "0"], "top_k"),
        (["--top-p", "1.5"], "top_p"),
        (["--max-new-tokens", "-1"], "max_new_tokens"),
        (["--device", "abacus"], "device abacus: not available here"),
    ],
)
def test_bad_arguments_are_named(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(run), "--prompt", "x", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_what_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "no run folder" in capsys.readouterr().err


def test_as_a_process_into_a_pipe_that_closes(run: Path) -> None:
    """The text is whole UTF-8, and a reader that goes away is no failure."""
    command = [sys.executable, "-m", "byteloom.cli.main", "generate", str(run), "--prompt", "é"]
    command += ["--stop", ""]
    done = subprocess.run([*command, "--seed", "1"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("utf-8").startswith("é")
    process = subprocess.Popen(
        [*command, "--max-new-tokens", "2000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(2) == "é".encode()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(timeout=60) == 0 and b"Traceback" not in said
    process.stderr.close()
