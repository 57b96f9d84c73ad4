"""Token files and folders of shards: ids on disk, mapped into memory, never read as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byteloom.data.shards import Shards, is_folder_of_shards, load

TokenIds: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]

#: Ids looked at together when a whole file is scanned: memory does not follow the file.
_CHUNK = 1 << 22


class TokenFile(Sequence[int]):
    """The ids of a text, in a file that is mapped into memory, or in a folder of such files.

    Args:
        path: ``.npy`` with a 1-D array of uint16 or uint32, ``.bin`` with raw little-endian
            uint16 ids, as nanoGPT writes them, or a folder of shards (``byteloom encode
            --shard-tokens``), whose ids follow each other.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: empty, damaged, or of another type or shape; the message says which.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "tokens.npy"
        >>> np.save(path, np.array([5, 3, 5], dtype=np.uint16))
        >>> tokens = TokenFile(path)
        >>> len(tokens), tokens.max_id, tokens[1:].tolist()
        (3, 5, [3, 5])
    """

    path: Path
    """Where the ids lie."""
    ids: TokenIds | Shards
    """Shape (n,), mapped: slicing it reads just that slice."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.ids = _open(self.path)
        self._max_id: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        found = self.ids[index]
        return int(found) if isinstance(found, np.integer) else found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the ids in the file: uint16 or uint32."""
        return self.ids.dtype

    @property
    def max_id(self) -> int:
        """The greatest id; the first call reads the whole file, piece by piece."""
        if self._max_id is None:
            pieces = (self.ids[i : i + _CHUNK] for i in range(0, len(self.ids), _CHUNK))
            self._max_id = max(int(piece.max()) for piece in pieces)
        return self._max_id

    def check(self, vocab_size: int, context_length: int = 0) -> None:
        """Makes sure that a model can read this file.

        Args:
            vocab_size: ids must be below it.
            context_length: a window of this many ids and the one after it must fit.

        Raises:
            ValueError: too short, or ids the model lacks: which, and where the first one is.
        """
        if len(self) <= context_length:
            raise ValueError(
                f"{self.path} has {len(self):,} ids: one window takes {context_length + 1:,} "
                f"(context_length {context_length:,} and the id after it)"
            )
        if self.max_id < vocab_size:
            return
        for begin in range(0, len(self), _CHUNK):
            wrong = np.flatnonzero(self.ids[begin : begin + _CHUNK] >= vocab_size)
            if len(wrong):
                where = begin + int(wrong[0])
                raise ValueError(
                    f"{self.path}: id {self[where]:,} at position {where:,} (the greatest is "
                    f"{self.max_id:,}), but the model has ids 0 to {vocab_size - 1:,} only: the "
                    "file was encoded with another tokenizer"
                )

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r}: {len(self):,} ids, {self.dtype})"


def _open(path: Path) -> TokenIds | Shards:
    if not path.exists():
        raise FileNotFoundError(f"no token file {path}")
    if is_folder_of_shards(path):
        shards = Shards(path)
        if len(shards) == 0:
            raise ValueError(f"{path} holds no ids")
        return shards
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and not one of shards: no token file")
    if path.suffix not in (".npy", ".bin"):
        raise ValueError(
            f"{path}: a token file is .npy (uint16 or uint32 ids) or .bin (raw uint16 ids); "
            "`byteloom encode` makes one from text"
        )
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty")
    ids = _open_raw(path, size) if path.suffix == ".bin" else _open_npy(path)
    if len(ids) == 0:
        raise ValueError(f"{path} holds no ids")
    return ids


def _open_raw(path: Path, size: int) -> TokenIds:
    if size % 2:
        raise ValueError(f"{path} has {size:,} bytes, an odd number: no file of uint16 ids")
    return np.memmap(path, dtype="<u2", mode="r")


def _open_npy(path: Path) -> TokenIds:
    ids = load(path)
    if not isinstance(ids, np.ndarray) or ids.ndim != 1:
        shape = getattr(ids, "shape", type(ids).__name__)
        raise ValueError(f"{path} holds an array of shape {shape}, not one row of ids")
    if ids.dtype not in (np.dtype(np.uint16), np.dtype(np.uint32)):
        raise ValueError(f"{path} holds {ids.dtype}; ids are uint16 or uint32")
    return ids
