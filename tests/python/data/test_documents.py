"""A folder of shards as one row of ids and as documents, against lists; and what is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byteloom as bl
from byteloom.data import Batches, Documents, TokenFile

END = "<|endoftext|>"
TEXTS = ["ab", "", "c" * 23, "def", "", "", "g" * 9, "hi", "j" * 10, ""]


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts(special_tokens=[END]).train(257)


@pytest.fixture(scope="module")
def folder(tokenizer: bl.Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "t.jsonl").write_text(lines)
    tokenizer.encode_shards(folder / "t.jsonl", folder / "t", 10)
    tokenizer.encode_files(folder / "t.jsonl", folder / "t.npy", documents=True)
    return folder


@pytest.mark.parametrize("name", ["t", "t.npy"])
def test_documents(tokenizer: bl.Tokenizer, folder: Path, name: str) -> None:
    documents = Documents(folder / name)
    assert len(documents) == len(TEXTS)
    assert [tokenizer.decode(ids) for ids in documents] == TEXTS
    assert [tokenizer.decode(ids) for ids in documents[-2::-3]] == TEXTS[-2::-3]
    assert documents[0].dtype == np.uint16
    for wrong in (len(TEXTS), -len(TEXTS) - 1):
        with pytest.raises(IndexError):
            documents[wrong]


@given(start=st.integers(-60, 60), stop=st.integers(-60, 60) | st.none())
def test_slices_are_those_of_one_array(folder: Path, start: int, stop: int | None) -> None:
    shards, one = TokenFile(folder / "t"), TokenFile(folder / "t.npy")
    assert len(shards) == len(one)
    assert shards.ids.shape == one.ids.shape
    assert (shards.dtype, shards.max_id) == (one.dtype, one.max_id)
    found = shards[start:stop]
    assert found.dtype == one.dtype
    assert found.tolist() == one[start:stop].tolist()
    if -len(one) <= start < len(one):
        assert shards[start] == one[start]


def test_batches_are_the_same(folder: Path) -> None:
    shards, one = (Batches(TokenFile(folder / name), 2, 7, seed=3) for name in ("t", "t.npy"))
    for step in range(20):
        for found, wanted in zip(shards.batch_at(step), one.batch_at(step), strict=True):
            assert found.tolist() == wanted.tolist()


def test_what_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    def damaged(change: object) -> Path:
        shutil.rmtree(tmp_path / "d", ignore_errors=True)
        shutil.copytree(folder / "t", tmp_path / "d")
        change(tmp_path / "d")
        return tmp_path / "d"

    unfinished = damaged(lambda d: (d / "manifest.json").rename(d / "progress.json"))
    with pytest.raises(ValueError, match="its shards are not finished"):
        TokenFile(unfinished)
    with pytest.raises(ValueError, match="damaged or no manifest"):
        TokenFile(damaged(lambda d: (d / "manifest.json").write_text("{")))
    with pytest.raises(ValueError, match="later version"):
        TokenFile(damaged(lambda d: (d / "manifest.json").write_text('{"version": 2}')))
    shorter = damaged(lambda d: np.save(d / "shard-00001.npy", np.zeros(3, np.uint16)))
    with pytest.raises(ValueError, match=r"shard-00001\.npy holds 3 ids, not 10"):
        TokenFile(shorter)[:]
    wrong = damaged(lambda d: np.save(d / "shard-00001.documents.npy", np.zeros(3, np.uint64)))
    with pytest.raises(ValueError, match=r"documents\.npy is not the index of these 10 ids"):
        Documents(wrong)[2]
    with pytest.raises(ValueError, match="does not hold one row of uint64"):
        Documents(damaged(lambda d: np.save(d / "shard-00001.documents.npy", np.zeros(2))))[2]
    np.save(tmp_path / "x.npy", np.arange(5, dtype=np.uint16))
    with pytest.raises(FileNotFoundError, match=r"x\.documents\.npy.*--documents"):
        Documents(tmp_path / "x.npy")
    np.save(tmp_path / "x.documents.npy", np.array([0, 4], np.uint64))
    with pytest.raises(ValueError, match="is not the index of these 5 ids"):
        Documents(tmp_path / "x.npy")
