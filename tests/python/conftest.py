"""For all tests: shapes and types of tensors are checked while they run."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))

# A shell lets what it starts in the background ignore Ctrl-C; the commands that tests interrupt
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("byteloom", deadline=None)
settings.load_profile("byteloom")

# An int may stand for a float, as everywhere in Python.
_strict = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Checks every call, except while torch.compile traces it, when there are no tensors yet."""
    import torch  # here, so that tests of the tokenizer start without it

    strict = _strict(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (function if torch.compiler.is_compiling() else strict)(*args, **kwargs)

    return call


install_import_hook(
    ["byteloom.nn", "byteloom.model", "byteloom.models", "byteloom.optim", "byteloom.generation"],
    "conftest.checked",
)
