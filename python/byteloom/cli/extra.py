"""What commands do before torch is loaded, and what they say if it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_training_extra(command: str) -> Iterator[None]:
    """Where a command imports what needs the extra ``train``.

    Raises:
        ImportError: a package of it is missing; the message is what installs it.
    """
    # Idle OpenMP threads sleep instead of spinning: where another program wants a core too,
    # spinning makes every matrix product wait for it, and training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "byteloom":
            raise
        raise ImportError(
            f"{command} needs {error.name}, which is not installed: pip install 'byteloom[train]'"
        ) from error
