"""Runs a command as a user would: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def byteloom(
    *arguments: object, piped: bytes | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """``byteloom ARGUMENTS``, with ``piped`` as standard input; text output, never raising."""
    command = [sys.executable, "-m", "byteloom.cli.main", *map(str, arguments)]
    environment = {**os.environ, **options.pop("env", {})}
    done = subprocess.run(
        command, capture_output=True, input=piped, check=False, env=environment, **options
    )
    output = (done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))
    return subprocess.CompletedProcess(done.args, done.returncode, *output)
