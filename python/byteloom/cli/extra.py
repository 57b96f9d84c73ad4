"""What to say when a command meets a package that is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_training_extra(command: str) -> Iterator[None]:
    """Turns a missing package of the extra ``train`` into what to install.

    Raises:
        ImportError: with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "byteloom":
            raise
        raise ImportError(
            f"{command} needs {error.name}, which is not installed: pip install 'byteloom[train]'"
        ) from error
