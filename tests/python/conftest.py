"""For all tests: shapes and types of tensors are checked while they run."""

from __future__ import annotations

import sys
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))


#: An int may stand for a float, as everywhere in Python.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
install_import_hook(
    ["byteloom.nn", "byteloom.model", "byteloom.optim", "byteloom.generation"], "conftest.checked"
)
