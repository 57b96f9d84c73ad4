"""Real processes, killed at random moments: what they leave is what nobody touched would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "kill_and_resume.py"


def test_killed_and_resumed_it_ends_the_same_to_the_bit() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--kills", "3", "--steps", "45"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed 3 times" in done.stdout and ", 0 differ" in done.stdout
