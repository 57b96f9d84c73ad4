"""The documents of a token file or a folder of shards, by their number."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byteloom.data.shards import Shards, is_folder_of_shards, open_index
from byteloom.data.token_file import TokenFile, TokenIds


class Documents(Sequence[TokenIds]):
    """The ids of each document, mapped into memory: only those asked for are read.

    Args:
        path: a token file with an index beside it (``tokens.npy`` and ``tokens.documents.npy``), or
            a folder of shards.

    Raises:
        FileNotFoundError: nothing there, or no index.
        ValueError: damaged, or an index of other ids; the message says which.

    Example:
        >>> import byteloom as bl, tempfile
        >>> tokenizer = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|end|>"])
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "t.txt").write_text("ab<|end|>c<|end|>")
        >>> _ = tokenizer.encode_shards(folder / "t.txt", folder / "t", 4, document_end="<|end|>")
        >>> documents = Documents(folder / "t")
        >>> len(documents), [tokenizer.decode(ids) for ids in documents]
        (2, ['ab<|end|>', 'c<|end|>'])
    """

    path: Path
    """Where the ids lie."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._shards: Shards | None = None
        if is_folder_of_shards(self.path):
            self._shards = Shards(self.path)
            self._first, self._count = self._shards.first_documents, self._shards.documents
        else:
            ids = TokenFile(self.path).ids
            assert isinstance(ids, np.ndarray)
            self._ids = ids
            index = self.path.with_suffix(".documents.npy")
            self._index = open_index(index, len(self._ids))
            self._count = len(self._index) - 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """The ids of a document, shape (n,); of several for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self):,}")
        number = int(index) % len(self)
        if self._shards is None:
            return self._ids[int(self._index[number]) : int(self._index[number + 1])]
        # From any shard that has a part of it to the one where it begins, then on to its end.
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        while shard > 0 and self._shards.continues[shard] and self._first[shard] == number:
            shard -= 1
        parts = [self._part(self._shards, shard, number)]
        while shard + 1 < len(self._first) and (
            self._shards.continues[shard + 1] and self._first[shard + 1] == number
        ):
            shard += 1
            parts.append(self._part(self._shards, shard, number))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, shards: Shards, shard: int, number: int) -> NDArray[Any]:
        """What of a document lies in a shard."""
        ids, index = shards.open(shard)
        place = number - int(self._first[shard])
        return ids[int(index[place]) : int(index[place + 1])]

    def __repr__(self) -> str:
        return f"Documents({str(self.path)!r}: {len(self):,})"
