"""A report as files: the page, and the plots beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from byteloom.atomic import atomic_write
from byteloom.plotting import need_matplotlib
from byteloom.reporting.figures import Figures
from byteloom.reporting.history import Axis
from byteloom.reporting.page import page
from byteloom.reporting.plots import draw
from byteloom.reporting.run import Run, open_all


@dataclass(frozen=True)
class Report:
    """What was written."""

    page: Path
    """The page; it holds its plots, and needs no other file."""
    plots: tuple[Path, ...]
    """The same plots as .png."""
    axis: Axis
    """What is on their horizontal axis."""
    runs: tuple[Run, ...]
    """What it is about."""
    figures: tuple[Figures, ...]
    """Of each run."""

    def as_json(self) -> dict[str, Any]:
        """Figures and paths."""
        return {
            "report": str(self.page),
            "plots": [str(path) for path in self.plots],
            "x": self.axis,
            "runs": [
                {"name": run.name, "path": str(run.path)} | figures.as_json()
                for run, figures in zip(self.runs, self.figures, strict=True)
            ],
        }


def write_report(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    axis: Axis = "step",
) -> Report:
    """Writes ``report.html`` and ``report/*.png`` about one or several runs.

    Args:
        paths: run folders.
        output: the folder to write into, made if it is missing; one run's report goes into the
            run's own folder by default.
        axis: what is on the horizontal axis of the plots.

    Raises:
        FileNotFoundError: no such run, or no folder to make ``output`` in.
        ValueError: a run is damaged, or given twice; several runs, and no ``output``.
        ImportError: matplotlib is not installed; the message is what installs it.
    """
    if output is None and len(paths) != 1:
        raise ValueError(f"a report of {len(paths)} runs needs a folder to be written into")
    need_matplotlib()
    runs = open_all(paths)
    folder = Path(paths[0] if output is None else output)
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"no folder {folder.parent} to make {folder.name} in")
    plots = list(draw(runs, axis))
    figures = [Figures.of(run) for run in runs]
    text = page(runs, figures, plots, axis, datetime.now().astimezone())

    pictures = folder / "report"
    (pictures if plots else folder).mkdir(parents=True, exist_ok=True)
    files = [(pictures / f"{plot.name}.png", plot.png) for plot in plots]
    target = folder / "report.html"
    for path, data in [*files, (target, text.encode())]:
        with atomic_write(path) as file:
            file.write(data)
    return Report(target, tuple(path for path, _ in files), axis, tuple(runs), tuple(figures))
