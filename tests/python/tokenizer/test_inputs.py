"""What may be given as input, and what happens to what may not."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from texts import END, PROSE

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
    assert resolve_inputs(["-", folder / "a.txt"]) == ["-", str(folder / "a.txt")]


def test_a_folder_is_all_files_below_it_that_are_not_hidden(folder: Path) -> None:
    for name in (".hidden", "sub/.hidden", ".git/a.txt", "sub/deep/z.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    os.mkfifo(folder / "pipe")
    (folder / "round").symlink_to(folder)
    found = [str(Path(path).relative_to(folder)) for path in resolve_inputs(folder)]
    assert found == ["a.txt", "b.txt", "odd[1].txt", "sub/c.txt", "sub/deep/z.txt"]
    together = bl.PretokenCounts.from_files(folder)
    assert together == bl.PretokenCounts.from_texts(
        Path(folder, name).read_text() for name in found
    )


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nope\.txt"):
        bl.train_bpe(folder / "nope.txt", 300)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        bl.train_bpe(folder / "*.md", 300)
    (folder / "sub" / "c.txt").rename(folder / "sub" / ".c.txt")
    with pytest.raises(FileNotFoundError, match=r"sub has no files"):
        bl.train_bpe(folder / "sub", 300)
    with pytest.raises(ValueError, match="given twice"):
        bl.train_bpe(["-", folder / "a.txt", "-"], 300)
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


# -- formats, written by other tools --------------------------------------------------------------

#: Documents that would be others if they met: halves of words, of contractions, of special tokens.
DOCUMENTS = [
    "low lo",
    "wer",
    "it",
    "'s ",
    " new",
    "<|endof",
    "text|>",
    "",
    PROSE,
    "x" * 70_000,
    "\0",
]


def json_lines(documents: Sequence[str], ascii_only: bool) -> bytes:
    lines = (json.dumps({"n": 1, "text": text}, ensure_ascii=ascii_only) for text in documents)
    return "\n".join(lines).encode()


def compressed(data: bytes, codec: str) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def check(path: Path, documents: Sequence[str | bytes], tmp_path: Path) -> None:
    """Counts and ids are those of the documents, each taken for itself."""
    expected = bl.PretokenCounts.from_texts(documents, [END])
    tokenizer = expected.train(300)
    ids = [i for text in documents for i in [*tokenizer.encode(text), 0]]
    for num_threads, piece_size in ((1, 1), (2, 5), (1, 1000), (3, None)):
        counts = bl.PretokenCounts([END])
        progress: dict[int, int] = {}  # done -> total
        counts._core.count_files(
            [str(path)], num_threads, piece_size, progress=progress.__setitem__
        )
        assert counts == expected
        size = path.stat().st_size
        assert max(progress.items()) == (size, size)
        tokenizer._core.encode_files(
            [str(path)],
            str(tmp_path / "ids.npy"),
            num_threads=num_threads,
            piece_size=piece_size,
            separator=END,
        )
        assert np.load(tmp_path / "ids.npy").tolist() == ids


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_lines(tmp_path: Path, ascii_only: bool) -> None:
    lines = json_lines(DOCUMENTS, ascii_only)
    packed = {
        "t.jsonl": lines,
        "t.jsonl.gz": gzip.compress(lines[:100]) + gzip.compress(lines[100:]),
        "t.jsonl.zst": compressed(lines[:100], "zstd") + compressed(lines[100:], "zstd"),
    }
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
        check(tmp_path / name, DOCUMENTS, tmp_path)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_of_every_codec(tmp_path: Path, codec: str, version: str) -> None:
    table = pyarrow.table({"n": range(len(DOCUMENTS)), "text": DOCUMENTS})
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(
        table, path, compression=codec, data_page_version=version, row_group_size=4
    )
    check(path, DOCUMENTS, tmp_path)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string(), pyarrow.binary()])
def test_parquet_of_every_encoding_and_type(tmp_path: Path, encoding: str, kind: object) -> None:
    documents = [text.encode() for text in DOCUMENTS]
    if kind == pyarrow.binary():
        documents += [b"\xff\xfe lo", b"w\xed\xa0\x80", bytes(range(256))]
    texts = pyarrow.array(documents, pyarrow.binary()).cast(kind)
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts}), path, use_dictionary=False, column_encoding=encoding,
        data_page_size=64, write_batch_size=1,
    )  # fmt: skip
    check(path, documents, tmp_path)


def test_a_column_in_a_structure_goes_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [{"text": "low"}, {"text": "er"}]
    pyarrow.parquet.write_table(pyarrow.table({"page": rows, "tags": [["a"], ["b"]]}), path)
    assert len(bl.PretokenCounts.from_files(path, column="page.text")) == 2
    with pytest.raises(ValueError, match=r'no column "text".*\["page\.text"\]'):
        bl.PretokenCounts.from_files(path)


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    texts = ["a"] * 5 + [None, "b"]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=3)
    with pytest.raises(ValueError, match="row 6: null"):
        bl.PretokenCounts.from_files(path)


def test_an_output_among_the_inputs_is_refused(folder: Path) -> None:
    tokenizer = bl.PretokenCounts().train(256)
    output = folder / "sub" / "ids.npy"
    tokenizer.encode_files(folder, output)
    before = output.read_bytes()
    with pytest.raises(ValueError, match="is among the inputs"):
        tokenizer.encode_files(folder, output)
    assert output.read_bytes() == before


def test_nothing_of_a_damaged_input_is_left(tmp_path: Path) -> None:
    good = gzip.compress(PROSE.encode() * 100)
    (tmp_path / "t.gz").write_bytes(good[: len(good) // 2])
    tokenizer = bl.PretokenCounts().train(256)
    with pytest.raises(ValueError, match=r"t\.gz: damaged or cut short at byte"):
        tokenizer.encode_files(tmp_path / "t.gz", tmp_path / "ids.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["t.gz"]


def test_a_damaged_file_that_makes_the_reader_panic_prints_nothing(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["low", "lower", "low"] * 9})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    code = (
        "import sys, byteloom as bl\n"
        "path, found = sys.argv[1], 0\n"
        "good = open(path, 'rb').read()\n"
        "for place in range(4, len(good)):\n"
        "    for byte in {0, 0xFF, good[place] ^ 0x80, good[place] ^ 1}:\n"
        "        bad = good[:place] + bytes([byte]) + good[place + 1 :]\n"
        "        open(path, 'wb').write(bad)\n"
        "        try:\n"
        "            bl.PretokenCounts.from_files(path, num_threads=1)\n"
        "        except ValueError as error:\n"
        "            found += 'it cannot be decoded' in str(error)\n"
        "print(found)"
    )
    command = [sys.executable, "-c", code, tmp_path / "t.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0, "no change makes it panic any more: find another file"
    assert done.stderr == ""


# -- memory ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["t.gz", "t.zst", "t.jsonl", "t.parquet"])
def test_memory_does_not_follow_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = PROSE.encode() * 200
    rows = 128_000_000 // len(text)
    if name == "t.parquet":
        schema = pyarrow.schema({"text": pyarrow.binary()})
        options = {"use_dictionary": False, "write_batch_size": 16}  # rows a page
        with pyarrow.parquet.ParquetWriter(path, schema, **options) as parquet:
            for _ in range(4):
                parquet.write_batch(
                    pyarrow.record_batch([pyarrow.array([text] * (rows // 4))], schema=schema)
                )
    else:
        block = json.dumps({"text": text.decode()}).encode() + b"\n" if "json" in name else text
        codec = {".gz": gzip.compress, ".zst": lambda data: compressed(data, "zstd")}
        block = codec.get(path.suffix, bytes)(block)
        with path.open("wb") as file:
            for _ in range(rows):
                file.write(block)
    code = (
        "import sys, byteloom as bl\n"
        "counts = bl.PretokenCounts.from_files(sys.argv[1], num_threads=2)\n"
        "status = open('/proc/self/status').read()\n"
        "print(counts.total_bytes, status.split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    size, peak_kilobytes = map(int, done.stdout.split())
    assert size >= 100_000_000
    assert peak_kilobytes < 90_000
