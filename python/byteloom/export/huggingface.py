"""A folder that transformers opens: the writer is :mod:`byteloom.export.hf`."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

from byteloom.export.source import Source


def write(source: Source, destination: Path) -> list[str]:
    """Writes the folder; see :func:`byteloom.export.write`."""
    try:
        hf = importlib.import_module("byteloom.export.hf")
    except ModuleNotFoundError as error:
        if error.name != "byteloom.export.hf":
            raise
        raise ImportError("this byteloom has no writer for Hugging Face's format yet") from None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        hf.write(source.model, source.tokenizer, destination, figures=source.figures)
    return [str(one.message) for one in warned]
