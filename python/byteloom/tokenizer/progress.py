"""Progress of the Rust core's long calls, shown by tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(
    what: str, unit: str, *, show: bool
) -> Iterator[Callable[[int, int], None] | None]:
    """A callback ``(done, total)`` that moves a bar, or ``None`` where nothing is to be shown.

    A total of 0 is an unknown one: the bar is a counter then.

    The bar appears after a second, on stderr, and only if that is a terminal.
    """
    if not show:
        yield None
        return
    scaled = unit == "B"
    with tqdm(desc=what, unit=unit, unit_scale=scaled, delay=1, disable=None) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        yield update
