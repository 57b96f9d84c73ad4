"""A command that ends its process at once loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGINNING = """
import gc, sys
from byteloom.cli.process import run_as_process, start_collecting

def main():
"""


def run(body: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    code = f"{BEGINNING}    {body}\n\nrun_as_process(main)\nprint('never', file=sys.stderr)"
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=buffered,
    )


@pytest.mark.parametrize("code", [0, 1, 130])
def test_all_that_was_printed_arrives_with_the_exit_code(code: int) -> None:
    done = run(f"print('x' * 100_000); print('said', file=sys.stderr); return {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "x" * 100_000 + "\n", "said\n")


def test_exit_handlers_are_left_out() -> None:
    assert run("import atexit; atexit.register(print, 'late'); return 0").stdout == ""


def test_what_is_raised_ends_it_as_always() -> None:
    done = run("raise KeyError('ours')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert run("sys.exit(2)").returncode == 2


def test_output_that_cannot_be_written_is_a_failure() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = run("print('lost'); return 0", full.fileno())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_a_reader_that_went_away_is_none() -> None:
    body = (
        "import os; r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w); print(1); return 0"
    )
    done = run(body)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_made_before_the_start_is_never_looked_at() -> None:
    done = run(
        "print(gc.isenabled()); start_collecting(); "
        "print(gc.isenabled(), gc.get_freeze_count() > 1000); return 0"
    )
    assert done.stdout.split() == ["False", "True", "True"]
