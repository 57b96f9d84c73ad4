from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byteloom.data import TokenFile, token_file


def save(path: Path, ids: Any, dtype: str = "uint16") -> Path:
    np.save(path, np.array(ids, dtype=dtype))
    return path


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    tokens = TokenFile(save(tmp_path / "a.npy", [5, 0, 65535, 7], dtype))
    assert len(tokens) == 4 and tokens.dtype == np.dtype(dtype) and tokens.max_id == 65535
    assert (
        tokens[1:3].tolist() == [0, 65535]
        and tokens[-1] == 7
        and list(tokens) == tokens[:].tolist()
    )
    assert isinstance(tokens.ids, np.memmap) and not tokens.ids.flags.writeable


def test_raw_bin_is_little_endian_uint16(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x01\x02\xff\x00")
    assert TokenFile(path)[:].tolist() == [0x0201, 0x00FF]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no token file"):
        TokenFile(tmp_path / "missing.npy")
    with pytest.raises(ValueError, match="is a folder"):
        TokenFile(tmp_path)
    empty = tmp_path / "empty.npy"
    empty.touch()
    with pytest.raises(ValueError, match=r"empty\.npy is empty"):
        TokenFile(empty)
    with pytest.raises(ValueError, match="holds no ids"):
        TokenFile(save(tmp_path / "none.npy", []))
    with pytest.raises(ValueError, match="holds int64; ids are uint16 or uint32"):
        TokenFile(save(tmp_path / "wide.npy", [1, 2], "int64"))
    with pytest.raises(ValueError, match="holds >u2"):
        TokenFile(save(tmp_path / "swapped.npy", [1, 2], ">u2"))
    with pytest.raises(ValueError, match=r"shape \(2, 2\), not one row"):
        TokenFile(save(tmp_path / "square.npy", [[1, 2], [3, 4]]))
    with pytest.raises(ValueError, match="odd number"):
        (tmp_path / "odd.bin").write_bytes(b"abc")
        TokenFile(tmp_path / "odd.bin")
    with pytest.raises(ValueError, match=r"\.npy .*or \.bin"):
        (tmp_path / "text.txt").write_text("text")
        TokenFile(tmp_path / "text.txt")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.npy", range(100)).read_bytes()
    cut = tmp_path / "cut.npy"
    for size in [*range(1, 130), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.npy"):
            TokenFile(cut)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged or no"):
        TokenFile(path)


def test_check_names_the_first_id_that_is_too_great(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_file, "_CHUNK", 7)  # positions must hold across pieces
    ids = np.arange(100) % 10
    ids[[53, 80]] = [12, 99]
    tokens = TokenFile(save(tmp_path / "a.npy", ids))
    assert tokens.max_id == 99
    tokens.check(vocab_size=100, context_length=99)
    with pytest.raises(ValueError, match=r"id 12 at position 53 \(the greatest is 99\).* 0 to 11 "):
        tokens.check(vocab_size=12)
    with pytest.raises(ValueError, match="has 100 ids: one window takes 101"):
        tokens.check(vocab_size=100, context_length=100)


def test_the_tokenizer_half_does_not_load_torch() -> None:
    code = (
        "import sys, byteloom.data.token_file as t; t.TokenFile; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
