"""A folder that transformers opens: the writer is :mod:`byteloom.export.hf`."""

from __future__ import annotations

import warnings
from pathlib import Path

from byteloom.export import hf
from byteloom.export.source import Source


def write(source: Source, destination: Path) -> list[str]:
    """Writes the folder; see :func:`byteloom.export.write`."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        hf.write(source.model, source.tokenizer, destination, figures=source.figures)
    return [str(one.message) for one in warned]
