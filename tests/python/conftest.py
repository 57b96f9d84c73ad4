"""For all tests: shapes and types of tensors are checked while they run."""

from __future__ import annotations

import sys
from pathlib import Path

from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))

install_import_hook(
    ["byteloom.nn", "byteloom.model", "byteloom.optim", "byteloom.generation"], "beartype.beartype"
)
