"""Runs a command as a user would: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def byteloom(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """``byteloom ARGUMENTS``; text output, never raising."""
    command = [sys.executable, "-m", "byteloom.cli.main", *map(str, arguments)]
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, **options
    )
