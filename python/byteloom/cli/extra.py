"""What commands do before torch is loaded, and what they say if it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_briefly() -> None:
    """Lets idle threads of OpenMP spin for microseconds, and then sleep; before torch is loaded.

    Where another program wants a core too, spinning makes every product of matrices wait for it;
    where none does, being woken takes longer than the next product is away.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


@contextmanager
def needs_training_extra(command: str) -> Iterator[None]:
    """Where a command imports what needs the extra ``train``.

    Raises:
        ImportError: a package of it is missing; the message is what installs it.
    """
    wait_briefly()
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "byteloom":
            raise
        raise ImportError(
            f"{command} needs {error.name}, which is not installed: pip install 'byteloom[train]'"
        ) from error
