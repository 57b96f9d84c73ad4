"""A folder of shards, as ``byteloom encode --shard-tokens`` makes it, as one row of ids."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANIFEST = "manifest.json"
_PROGRESS = "progress.json"
_VERSION = 1
#: Shards that are mapped at a time; each takes a file descriptor or two.
_OPEN = 64


def is_folder_of_shards(path: Path) -> bool:
    """Whether there is a folder that says, or is about to say, that it holds shards."""
    return path.is_dir() and any((path / name).exists() for name in (_MANIFEST, _PROGRESS))


def finished_shards(folder: Path) -> int:
    """How many shards an interrupted command has left in a folder."""
    try:
        return len(json.loads((folder / _PROGRESS).read_bytes())["shards"])
    except (OSError, ValueError, KeyError, TypeError):
        # None, or damaged, of which the encoder has more to say.
        return 0


class Shards:
    """The ids of all shards, one after the other; slices of them are arrays.

    Slicing reads just that slice. Where it crosses from one shard to another it is copied.

    Raises:
        ValueError: unfinished, damaged or of a later version; the message says which.
    """

    ndim = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = _read(folder)
        shards = manifest["shards"]
        self._files: list[str] = [shard["file"] for shard in shards]
        self._sizes = np.array([shard["tokens"] for shard in shards], np.int64)
        #: Ids before each shard, and all of them.
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._sizes)])
        self._indexed = np.array([shard["documents"] for shard in shards], np.int64)
        self.continues: NDArray[np.bool_] = np.array([s["continues"] for s in shards], bool)
        """Whether the first document of each shard began in the one before; shape (shards,)."""
        begun = np.cumsum(self._indexed - self.continues)
        self.first_documents: NDArray[np.int64] = begun - self._indexed
        """The number of the first document of each shard; shape (shards,)."""
        self.documents = int(manifest["documents"])
        """How many there are."""
        self.dtype: np.dtype[Any] = np.dtype(manifest["dtype"])
        """Type of the ids: uint16 or uint32."""
        self.open = lru_cache(maxsize=_OPEN)(self._open)
        """The ids and the index of a shard, mapped."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int]:
        """(number of ids,)."""
        return (len(self),)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise IndexError(f"ids of shards are sliced with step 1, not {step}")
            return self._slice(start, max(start, stop))
        if not -len(self) <= index < len(self):
            raise IndexError(f"id {index} of {len(self):,}")
        at = int(index) % len(self)
        return self._slice(at, at + 1)[0]

    def _slice(self, start: int, stop: int) -> NDArray[Any]:
        parts = []
        while start < stop:
            # The last shard that begins there or before: it is not an empty one.
            shard = int(np.searchsorted(self._starts, start, side="right")) - 1
            begin = int(self._starts[shard])
            end = min(stop, int(self._starts[shard + 1]))
            parts.append(self.open(shard)[0][start - begin : end - begin])
            start = end
        if not parts:
            return np.empty(0, self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _open(self, shard: int) -> tuple[NDArray[Any], NDArray[np.uint64]]:
        path = self.folder / self._files[shard]
        ids = open_array(path, self.dtype)
        size = int(self._sizes[shard])
        if len(ids) != size:
            raise ValueError(f"{path} holds {len(ids):,} ids, not {size:,} as {_MANIFEST} says")
        index = open_index(path.with_suffix(".documents.npy"), size)
        if len(index) != self._indexed[shard] + 1:
            raise ValueError(f"the index of {path} is not the one that {_MANIFEST} tells of")
        return ids, index


def open_index(path: Path, tokens: int) -> NDArray[np.uint64]:
    """Maps the index of documents of that many ids.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of other ids.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"no index of documents {path}: `byteloom encode --documents` writes one"
        )
    index = open_array(path, np.dtype(np.uint64))
    if len(index) == 0 or index[-1] != tokens:
        raise ValueError(f"{path} is not the index of these {tokens:,} ids: encode them again")
    return index


def open_array(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Maps a ``.npy`` file of one row of a type.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    array = load(path)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"{path} does not hold one row of {dtype}")
    return array


def load(path: Path) -> object:
    """Maps what a ``.npy`` file holds.

    Raises:
        ValueError: it is damaged.
    """
    try:
        # Without pickle nothing in the file can be executed.
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged or no .npy file: {error}") from None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.exists():
        raise ValueError(
            f"{folder}: its shards are not finished: give `byteloom encode` the same arguments "
            "again, and it goes on"
        )
    try:
        manifest = json.loads(path.read_bytes())
        version = int(manifest["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or no manifest of shards: {error}") from None
    if version > _VERSION:
        raise ValueError(f"{path} is of a later version of byteloom")
    found: dict[str, Any] = manifest
    return found
