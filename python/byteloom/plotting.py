"""Plots as files. matplotlib, the extra ``plot``, is imported only where one is drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byteloom.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that people with any colour vision tell apart: Okabe & Ito, "Color Universal Design"
#: (2008), without the yellow, which is pale on white.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")

#: One for each colour, so that lines are told apart in black and white too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Endings of the files that can be written.
FORMATS = (".png", ".svg", ".pdf")

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # letters stay letters
    "text.parse_math": False,  # a $ in a name is a $
    "svg.hashsalt": "byteloom",  # equal plots are equal files
}


def check_plot_path(path: str | os.PathLike[str]) -> None:
    """Refuses, before any long work, what could not be drawn or written after it.

    Raises:
        ValueError: an ending other than .png, .svg and .pdf.
        FileNotFoundError: no such folder.
        ImportError: matplotlib is not installed; the message is what installs it.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ValueError(f"cannot plot to {target}: the name must end in {', '.join(FORMATS)}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {target.parent} to write {target.name} into")
    _need_matplotlib()


@contextmanager
def plot(path: str | os.PathLike[str], width: float = 8.0, height: float = 4.5) -> Iterator[Axes]:
    """Axes to draw on; when the block ends, the file appears, whole or not at all.

    Args:
        path: .png, .svg or .pdf.
        width: of the whole figure, in inches.
        height: likewise.

    Raises:
        ValueError, FileNotFoundError, ImportError: as :func:`check_plot_path`.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "line.svg"
        >>> with plot(target) as axes:
        ...     _ = axes.plot([1, 2, 3], color=COLOURS[0], marker=MARKERS[0])
        ...     _ = axes.set_xlabel("step")
        >>> "<svg" in target.read_text()
        True
    """
    check_plot_path(path)
    import matplotlib
    from matplotlib.figure import Figure

    ending = Path(path).suffix.lower().removeprefix(".")
    with matplotlib.rc_context(_STYLE):
        # Figure, not pyplot: no global state, no window, nothing to close.
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.add_subplot()
        dated = {"svg": "Date", "pdf": "CreationDate"}.get(ending)
        with atomic_write(path) as file:
            figure.savefig(file, format=ending, metadata={dated: None} if dated else None)


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib, which is not installed: pip install 'byteloom[plot]'"
        ) from error
