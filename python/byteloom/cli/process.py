"""A command as a process of its own that imports much, and ends with a GPU in its hands."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from byteloom.cli.common import FAILED, say


def run_as_process(main: Callable[[], int]) -> NoReturn:
    """Runs a command that leaves nothing to be done at exit, and ends the process at once.

    Importing torch and its compiler makes a million objects that all stay: to look again and again
    for some that do not takes up to a fifth of the start. See :func:`start_collecting`. And taking
    all of it down piece by piece takes 3 s with a GPU, which the system does in no time.

    Args:
        main: returns the exit code; what it raises ends the process as always.
    """
    gc.disable()
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # the reader went away, and misses nothing
    except OSError as error:
        say(f"error: {error}")
        code = code or FAILED
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def start_collecting() -> None:
    """Ends the pause that :func:`run_as_process` began: what there is now is not looked at."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
