"""Plots as files, bytes, and parts of a page.

matplotlib, the extra ``plot``, is imported only where one is drawn.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from byteloom.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Colours that people with any colour vision tell apart: Okabe & Ito, "Color Universal Design"
#: (2008), without the yellow, which is pale on white.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")

#: One for each colour, so that lines are told apart in black and white too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Endings of the files that can be written.
FORMATS = (".png", ".svg", ".pdf")

_GRID = "#dddddd"

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": _GRID,
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
    need_matplotlib()


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
    with _figure(width, height) as figure:
        yield figure.axes[0]
        with atomic_write(path) as file:
            _save(figure, file, Path(path).suffix)


def render(
    paint: Callable[[Axes], object],
    formats: Sequence[str] = FORMATS,
    width: float = 8.0,
    height: float = 4.5,
) -> dict[str, bytes]:
    """One plot in several formats, as bytes.

    Args:
        paint: draws on the axes it is given; called once.
        formats: endings, of :data:`FORMATS`.
        width: of the whole figure, in inches.
        height: likewise.

    Raises:
        ImportError: matplotlib is not installed; the message is what installs it.

    Example:
        >>> files = render(lambda axes: axes.plot([1, 2, 3]), [".png", ".svg"])
        >>> files[".png"][1:4], b"<svg" in files[".svg"]
        (b'PNG', True)
    """
    assert set(formats) <= set(FORMATS)
    need_matplotlib()
    files = {}
    with _figure(width, height) as figure:
        paint(figure.axes[0])
        for ending in formats:
            file = io.BytesIO()
            _save(figure, file, ending)
            files[ending] = file.getvalue()
            figure.set_layout_engine("none")  # it is laid out: the others need not be again
    return files


def inline_svg(svg: bytes, name: str, label: str) -> str:
    """An SVG of :func:`render` as an element of an HTML page, whose colours it takes over.

    Black becomes the colour of the text around it and the grid ``var(--grid)``; there is no
    background, no size and no font of its own, and no address of anything.

    Args:
        svg: the file.
        name: put before all ids in it, so that a page can hold several.
        label: what is to be seen, for those who cannot see it.

    Example:
        >>> svg = render(lambda axes: axes.plot([1, 2, 3]), [".svg"])[".svg"]
        >>> inline_svg(svg, "line", "1 to 3 & no more")[:49]
        '<svg role="img" aria-label="1 to 3 &amp; no more"'
    """
    text = svg.decode("utf-8")
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    body = text[text.index(">", text.index("<svg")) + 1 :]
    # What labels say has its < escaped, so that only real elements and comments are found.
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style\b.*?</style>", "", body, flags=re.S)
    body = re.sub(r"<[^>]*>", lambda tag: _adapt(tag[0], name), body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="{view[1]}" fill="currentColor" '
        f'stroke-linejoin="round">\n{body}'
    )


def _adapt(tag: str, name: str) -> str:
    """A tag of an SVG with its ids, colours and font as the page wants them."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", tag.replace("xlink:href", "href"))
    # Versions of matplotlib differ in whether they write one of these or the other.
    tag = re.sub(r"\bfont: ([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r"\bfont-family: [^;\"]*(; )?", "", tag)
    tag = tag.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    return tag.replace(_GRID, f"var(--grid, {_GRID})")


def logarithmic_ticks(axis: Axis, lowest: float, highest: float) -> None:
    """Puts round numbers on a logarithmic axis: not too few, and not crowded.

    Args:
        axis: to change.
        lowest: of the values drawn; above 0.
        highest: likewise.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    ratio = highest / lowest
    if ratio < 10:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 1000 else (1,)))
    axis.set_minor_locator(NullLocator())


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure with axes, in the house's style."""
    import matplotlib
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), matplotlib.rc_context(_STYLE):
        # A name in a script that matplotlib's font lacks is drawn as boxes; that is no news.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        # Figure, not pyplot: no global state, no window, nothing to close.
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.add_subplot()
        yield figure


def _save(figure: Figure, file: BinaryIO, ending: str) -> None:
    """Writes it, without a date."""
    form = ending.lower().removeprefix(".")
    dated = {"svg": "Date", "pdf": "CreationDate"}.get(form)
    figure.savefig(file, format=form, metadata={dated: None} if dated else None)


def need_matplotlib() -> None:
    """Makes sure that something can be drawn.

    Raises:
        ImportError: matplotlib is not installed; the message is what installs it.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib, which is not installed: pip install 'byteloom[plot]'"
        ) from error
