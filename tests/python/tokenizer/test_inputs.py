"""What may be given as input, and what happens to what may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import byteloom as bl
from byteloom.tokenizer.inputs import resolve_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "odd[1].txt", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_paths_globs_and_lists(folder: Path) -> None:
    def names(inputs: object) -> list[str]:
        return [str(Path(path).relative_to(folder)) for path in resolve_inputs(inputs)]

    assert names(folder / "b.txt") == ["b.txt"]
    assert names(str(folder / "?.txt")) == ["a.txt", "b.txt"]
    assert names([folder / "b.txt", folder / "a.txt"]) == ["b.txt", "a.txt"]
    assert names(folder / "**/*.txt") == ["a.txt", "b.txt", "odd[1].txt", "sub/c.txt"]
    assert names(folder / "odd[1].txt") == ["odd[1].txt"]


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nope\.txt"):
        bl.train_bpe(folder / "nope.txt", 300)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        bl.train_bpe(folder / "*.md", 300)
    with pytest.raises(IsADirectoryError, match="folder"):
        bl.train_bpe(folder, 300)
    with pytest.raises(ValueError, match="no input"):
        bl.train_bpe([], 300)


def test_empty_files_are_texts_without_pretokens(folder: Path) -> None:
    (folder / "empty").touch()
    assert len(bl.PretokenCounts.from_files(folder / "empty")) == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_permission_error(folder: Path) -> None:
    (folder / "a.txt").chmod(0)
    with pytest.raises(PermissionError, match=r"a\.txt"):
        bl.PretokenCounts.from_files(folder / "a.txt")


def test_a_ten_megabyte_line_without_a_space(folder: Path) -> None:
    path = folder / "line"
    path.write_bytes(b"x" * 10_000_000)
    counts = bl.PretokenCounts.from_files(path)
    assert (len(counts), counts.total_bytes) == (1, 10_000_000)
