"""Plots as files: formats, refusals, nothing half-written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from byteloom.plotting import COLOURS, MARKERS, check_plot_path, inline_svg, plot, render
from made_up_runs import Page

STARTS = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}


@pytest.mark.parametrize("ending", [*STARTS, ".PNG"])
def test_formats(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"plot{ending}"
    for _ in range(2):
        first = path.read_bytes() if path.exists() else None
        with plot(path) as axes:
            axes.plot([1, 2, 3])
    assert path.read_bytes().startswith(STARTS[ending.lower()])
    assert path.read_bytes() == first, "the same plot is the same file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), plot(path):
        1 / 0  # noqa: B018
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_several_formats_of_one_drawing(tmp_path: Path) -> None:
    """The same bytes as the files of :func:`plot`."""
    pytest.importorskip("matplotlib")
    drawn = []
    files = render(lambda axes: drawn.append(axes.plot([1, 2, 3])), list(STARTS)[:3], 4, 3)
    assert len(drawn) == 1
    for ending, data in files.items():
        with plot(tmp_path / f"plot{ending}", 4, 3) as axes:
            axes.plot([1, 2, 3])
        assert data.startswith(STARTS[ending])
    assert files[".png"] == (tmp_path / "plot.png").read_bytes()


def test_an_svg_in_a_page() -> None:
    pytest.importorskip("matplotlib")
    label = '<b> #000000 & "q" --> id="x" xlink:href="#a" font: 3px serif'

    def paint(axes: Any) -> None:
        axes.plot([1, 2, 3], marker="o", color=COLOURS[0])
        axes.plot([3, 2, 1], color="black")
        axes.set_title(label)

    svg = render(paint, [".svg"])[".svg"]
    found = [inline_svg(svg, name, label) for name in ("one", "two")]
    page = Page("".join(found))
    assert [element["aria-label"] for element in page.all("svg")] == [label, label]
    assert [text for around, text in page.texts if "text" in around].count(label) == 2
    ids = [element["id"] or "" for _, element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    assert sum(name.startswith("two-") for name in ids) == len(ids) / 2
    hrefs = [element["href"] or "" for element in page.all("use")]
    assert hrefs and {href.removeprefix("#") for href in hrefs} <= set(ids)
    styles = " ".join(element.get("style") or "" for _, element in page.elements)
    assert COLOURS[0] in styles and "currentColor" in styles and "var(--grid" in styles
    assert not {"#000000", "#ffffff", "DejaVu"} & set(re.findall(r"#\w+|\w+", styles))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("plot.gif", ValueError, r"plot\.gif: the name must end in \.png, \.svg, \.pdf"),
        ("plot", ValueError, "must end in"),
        ("nowhere/plot.png", FileNotFoundError, r"no folder .*nowhere to write plot\.png into"),
    ],
)
def test_refusals(tmp_path: Path, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_plot_path(tmp_path / name)
    with pytest.raises(error, match=message), plot(tmp_path / name):
        pytest.fail("nothing is drawn")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'byteloom\[plot\]'"):
        check_plot_path(tmp_path / "plot.png")


def test_matplotlib_comes_only_with_a_plot() -> None:
    code = (
        "import sys, byteloom.plotting, byteloom.tokenizer.study, byteloom.cli.inspect;"
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_colour_has_a_marker() -> None:
    assert len(set(COLOURS)) == len(COLOURS) == len(set(MARKERS)) == len(MARKERS)
