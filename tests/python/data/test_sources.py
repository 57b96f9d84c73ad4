"""The catalogue, and folders of text that are filled, reused, checked and never half right."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flaky_server import Answer, FlakyServer, flaky_server

from byteloom.data.sources import (
    DownloadError,
    Patience,
    Source,
    SourceFile,
    fetch,
    load_catalog,
    write_stdlib,
)
from byteloom.data.sources import folder as folder_module
from byteloom.data.sources.stdlib import is_validation

TEXT = "".join(f"story {i}\n<|endoftext|>\n" for i in range(20_000)).encode()
SHA256 = hashlib.sha256(TEXT).hexdigest()
HASTE = Patience(timeout=0.4, attempts=2, pause=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with flaky_server(TEXT) as running:
        yield running


def source_of(server: FlakyServer, *files: SourceFile) -> Source:
    return Source("small", "a small text", server.url, files)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestCatalog:
    def test_the_one_that_comes_along(self) -> None:
        catalog = load_catalog()
        assert {"tinystories", "owt"} <= set(catalog)
        for source in catalog.values():
            assert [file.role for file in source.files] == ["train", "valid"]
            assert source.page.startswith("https://")
            for file in source.files:
                assert source.url(file).startswith("https://")
                assert file.name.endswith(".txt")
        assert [file.packed for file in catalog["owt"].files] == [True, True]
        assert [file.packed for file in catalog["tinystories"].files] == [False, False]

    def test_an_own_one(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(
            '[mine]\nbase = "http://localhost/texts/"\n'
            '[[mine.files]]\nname = "a b.txt"\nrole = "train"\nsha256 = "' + "AB" * 32 + '"\n'
        )
        source = load_catalog(path)["mine"]
        assert source.url(source.files[0]) == "http://localhost/texts/a%20b.txt"
        assert source.files[0].sha256 == "ab" * 32
        mirror = source.at("https://mirror.example/x")
        assert mirror.url(mirror.files[0]) == "https://mirror.example/x/a%20b.txt"
        with pytest.raises(ValueError, match="not an http"):
            source.at("file:///etc")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[mine", "is not TOML"),
            ("mine = 3", "a source is a table"),
            ("[mine]", "'base' is missing"),
            ('[mine]\nbase = "http://x"', "'files' is missing"),
            ('[mine]\nbase = "http://x"\nfiles = []', "at least one"),
            ('[mine]\nbase = "http://x"\nfiles = [3]', r"files\[0\]: a file is a table"),
            ('[mine]\nbase = "http://x"\nlicense = ""', "did you mean 'licence'"),
            ('[mine]\nbase = "ftp://x"\nfiles = [{}]', "not an http:// or https:// address"),
            ('[mine]\nbase = 3\nfiles = [{name = "a", role = "train"}]', "mine.base: must be str"),
        ],
    )
    def test_broken(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "broken.toml"
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            load_catalog(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('name = "../a"', "not a plain file name"),
            ('name = "/etc/passwd"', "not a plain file name"),
            ('name = ".."', "not a plain file name"),
            ('name = ""', "not a plain file name"),
            ('role = "test"', "none of train, valid"),
            ('sha256 = "abc"', "not 64 hexadecimal digits"),
            ("size = -1", "is negative"),
            ("size = true", "must be int"),
            ('size = "1"', "must be int"),
            ('sha265 = ""', "did you mean 'sha256'"),
        ],
    )
    def test_broken_file(self, tmp_path: Path, line: str, message: str) -> None:
        entry = {"name": '"a"', "role": '"train"'}
        key, value = line.split(" = ")
        body = "\n".join(f"{k} = {v}" for k, v in (entry | {key: value}).items())
        path = tmp_path / "broken.toml"
        path.write_text(f'[mine]\nbase = "http://x"\n[[mine.files]]\n{body}\n')
        with pytest.raises(ValueError, match=message):
            load_catalog(path)

    def test_two_files_of_one_name(self, tmp_path: Path) -> None:
        path = tmp_path / "twice.toml"
        entry = '[[mine.files]]\nname = "a"\nrole = "train"\n'
        path.write_text(f'[mine]\nbase = "http://x"\n{entry}{entry}')
        with pytest.raises(ValueError, match="two files are called 'a'"):
            load_catalog(path)


class TestFetch:
    def test_loads_once_and_reuses(self, server: FlakyServer, tmp_path: Path) -> None:
        source = source_of(
            server,
            SourceFile("train.txt", "train", "train.txt", len(TEXT), SHA256),
            SourceFile("valid.txt", "valid", "valid.txt"),
        )
        folder = tmp_path / "deep" / "down"
        first = fetch(source, folder, patience=HASTE)
        assert [(file.role, file.size, file.reused) for file in first] == [
            ("train", len(TEXT), False),
            ("valid", len(TEXT), False),
        ]
        assert all(file.path.read_bytes() == TEXT for file in first)
        assert names(folder) == {"train.txt", "valid.txt", "manifest.json"}
        again = fetch(source, folder, patience=HASTE)
        assert all(file.reused for file in again)
        checked = fetch(source, folder, check=True, patience=HASTE)
        assert [file.sha256 for file in checked] == [SHA256, SHA256]
        assert len(server.requests) == 2
        forced = fetch(source, folder, force=True, patience=HASTE)
        assert not any(file.reused for file in forced)
        assert len(server.requests) == 4

    def test_unpacks(self, server: FlakyServer, tmp_path: Path) -> None:
        archive = gzip.compress(TEXT[:100_000]) + gzip.compress(TEXT[100_000:])  # two members
        server.content = archive
        server.script = [Answer(cut_after=1_000)]
        source = source_of(
            server,
            SourceFile("owt.txt", "train", "deep/owt.txt.gz", len(TEXT), SHA256, len(archive)),
        )
        (file,) = fetch(source, tmp_path, patience=HASTE)
        assert file.path.read_bytes() == TEXT
        assert file.sha256 == SHA256
        assert names(tmp_path) == {"owt.txt", "manifest.json"}
        assert {path for path, _ in server.requests} == {"/deep/owt.txt.gz"}
        assert fetch(source, tmp_path, patience=HASTE)[0].reused

    def test_a_loaded_archive_is_unpacked_by_the_next_call(
        self, server: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.content = gzip.compress(TEXT)
        source = source_of(server, SourceFile("t.txt", "train", "t.txt.gz", sha256=SHA256))

        def interrupted(*args: object, **kwargs: object) -> str:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(folder_module, "unpack_gzip", interrupted)
            fetch(source, tmp_path, patience=HASTE)
        assert names(tmp_path) == {"t.txt.gz"}
        fetch(source, tmp_path, patience=HASTE)
        assert len(server.requests) == 1
        assert names(tmp_path) == {"t.txt", "manifest.json"}

    @pytest.mark.parametrize("damage", ["short", "flipped", "no gzip", "other text"])
    def test_a_damaged_archive(self, server: FlakyServer, tmp_path: Path, damage: str) -> None:
        packed = bytearray(gzip.compress(TEXT))
        if damage == "short":
            packed = packed[:-5]
        elif damage == "flipped":
            packed[len(packed) // 2] ^= 255
        server.content = {
            "no gzip": TEXT,
            "other text": gzip.compress(TEXT[1:]),
        }.get(damage, bytes(packed))
        source = source_of(server, SourceFile("t.txt", "train", "t.txt.gz", sha256=SHA256))
        expected = "does not hold the expected text" if damage == "other text" else "damaged"
        with pytest.raises(DownloadError, match=expected):
            fetch(source, tmp_path, patience=HASTE)
        assert names(tmp_path) == set()

    def test_a_gz_that_should_stay_one(self, server: FlakyServer, tmp_path: Path) -> None:
        server.content = gzip.compress(TEXT)
        source = source_of(server, SourceFile("t.txt.gz", "train", "t.txt.gz"))
        assert fetch(source, tmp_path, patience=HASTE)[0].path.name == "t.txt.gz"

    def test_what_is_complete_stays_when_the_next_fails(
        self, server: FlakyServer, tmp_path: Path
    ) -> None:
        server.script = [Answer(), Answer(status=404)]
        source = source_of(
            server,
            SourceFile("a.txt", "train", "a.txt"),
            SourceFile("b.txt", "valid", "b.txt"),
        )
        with pytest.raises(DownloadError, match=r"b\.txt: the server says 404"):
            fetch(source, tmp_path, patience=HASTE)
        assert names(tmp_path) == {"a.txt", "manifest.json"}
        assert [file.reused for file in fetch(source, tmp_path, patience=HASTE)] == [True, False]

    def test_an_unknown_checksum_is_recorded_and_a_change_noticed(
        self, server: FlakyServer, tmp_path: Path
    ) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt"))
        (file,) = fetch(source, tmp_path, patience=HASTE)
        recorded = json.loads((tmp_path / "manifest.json").read_bytes())["files"]["a.txt"]
        assert recorded["sha256"] == SHA256
        assert recorded["origin"]["url"] == f"{server.url}/a.txt"
        # The file on the disk changes ...
        file.path.write_bytes(TEXT[:-1] + b"?")
        with pytest.raises(ValueError, match=f"expected {SHA256}.*--force"):
            fetch(source, tmp_path, patience=HASTE)
        # ... and then the one on the server.
        server.content = TEXT.upper()
        told: list[str] = []
        fetch(source, tmp_path, force=True, patience=HASTE, notify=told.append)
        assert any(f"not the file of last time: sha256 {SHA256} ->" in line for line in told)

    def test_a_touched_file_is_checked_and_reused(
        self, server: FlakyServer, tmp_path: Path
    ) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt"))
        (file,) = fetch(source, tmp_path, patience=HASTE)
        file.path.touch()
        told: list[str] = []
        assert fetch(source, tmp_path, patience=HASTE, notify=told.append)[0].reused
        assert "computing its checksum" in told[0]
        assert fetch(source, tmp_path, patience=HASTE, notify=told.append)[0].reused
        assert len(told) == 1

    def test_check_sees_what_a_glance_does_not(self, server: FlakyServer, tmp_path: Path) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt"))
        (file,) = fetch(source, tmp_path, patience=HASTE)
        state = file.path.stat()
        file.path.write_bytes(TEXT[::-1])
        os.utime(file.path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert fetch(source, tmp_path, patience=HASTE)[0].reused
        with pytest.raises(ValueError, match="is not the file it should be"):
            fetch(source, tmp_path, check=True, patience=HASTE)

    @pytest.mark.parametrize("sha256", [SHA256, None])
    def test_a_file_brought_by_hand_is_adopted(
        self, server: FlakyServer, tmp_path: Path, sha256: str | None
    ) -> None:
        (tmp_path / "a.txt").write_bytes(TEXT)
        source = source_of(server, SourceFile("a.txt", "train", "a.txt", sha256=sha256))
        (file,) = fetch(source, tmp_path, patience=HASTE)
        assert file.reused
        assert file.sha256 == SHA256
        assert server.requests == []

    def test_a_wrong_file_brought_by_hand_is_not(self, server: FlakyServer, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"half")
        source = source_of(server, SourceFile("a.txt", "train", "a.txt", sha256=SHA256))
        with pytest.raises(ValueError, match="is not the file it should be"):
            fetch(source, tmp_path, patience=HASTE)
        assert (tmp_path / "a.txt").read_bytes() == b"half"

    def test_no_room(self, server: FlakyServer, tmp_path: Path) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt", size=10**18))
        with pytest.raises(OSError, match=r"a\.txt needs 1000000000.0 GB, the disk has"):
            fetch(source, tmp_path, patience=HASTE)
        assert server.requests == []

    def test_a_folder_of_another_text(self, server: FlakyServer, tmp_path: Path) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt"))
        fetch(source, tmp_path, patience=HASTE)
        with pytest.raises(ValueError, match=r"holds 'small'.*not 'stdlib'"):
            write_stdlib(tmp_path)

    def test_a_damaged_manifest_is_as_none(self, server: FlakyServer, tmp_path: Path) -> None:
        source = source_of(server, SourceFile("a.txt", "train", "a.txt", sha256=SHA256))
        fetch(source, tmp_path, patience=HASTE)
        for damaged in ("", "[]", '{"source": "small", "files": {"a.txt": 3}}'):
            (tmp_path / "manifest.json").write_text(damaged)
            assert fetch(source, tmp_path, patience=HASTE)[0].reused


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small library with everything in it that must not get into the text."""
    root = tmp_path / "lib"
    for i in range(200):
        path = root / f"package{i % 7}" / f"module{i:03}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# module {i}: é\n")
    (root / "crlf.py").write_bytes(b"a = 1\r\n")
    (root / "empty.py").touch()
    (root / "blank.py").write_text(" \n\n")
    (root / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\n# \xe9\n")
    (root / "special.py").write_text("print('<|endoftext|>')  # SECRET\n")
    (root / "sitecustomize.py").write_text("# SECRET\n")
    (root / "_sysconfigdata__linux.py").write_text("# SECRET\n")
    (root / "notes.txt").write_text("SECRET")
    (root / "link.py").symlink_to(root / "crlf.py")
    (root / "dangling.py").symlink_to(root / "nowhere.py")
    (root / "folder.py").mkdir()
    for skipped in ("site-packages/numpy", "dist-packages", "__pycache__", "encodings"):
        (root / skipped).mkdir(parents=True)
        (root / skipped / "module.py").write_text("# SECRET\n")
    return root


class TestStdlib:
    def test_by_file_complete_and_sorted(self, library: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        files = write_stdlib(out, library=library)
        assert names(out) == {"train.txt", "valid.txt", "manifest.json"}
        sides = {file.role: file.path.read_bytes() for file in files}
        documents = {role: text.split(b"<|endoftext|>") for role, text in sides.items()}
        assert all(parts[-1] == b"" for parts in documents.values())
        wanted = [library / "crlf.py", *library.glob("package*/*.py")]
        expected: dict[str, list[bytes]] = {"train": [], "valid": []}
        for name in sorted(path.relative_to(library).as_posix() for path in wanted):
            expected["valid" if is_validation(name) else "train"].append(
                (library / name).read_bytes()
            )
        assert all(len(parts) > 1 for parts in expected.values())
        assert {role: parts[:-1] for role, parts in documents.items()} == expected
        assert [file.documents for file in files] == [len(expected[f.role]) for f in files]
        assert b"SECRET" not in sides["train"] + sides["valid"]
        assert "é".encode() in sides["train"]

    def test_the_same_file_is_always_on_the_same_side(self) -> None:
        listed = [f"package{i % 11}/module{i}.py" for i in range(10_000)]
        chosen = [name for name in listed if is_validation(name)]
        assert 400 < len(chosen) < 600
        code = "from byteloom.data.sources.stdlib import is_validation as v\n"
        code += f"print([n for n in {listed[:500]} if v(n)])"
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert out.strip() == str([name for name in chosen if name in set(listed[:500])])

    def test_reuses_until_something_changes(self, library: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        told: list[str] = []

        def make(**options: bool) -> bool:
            files = write_stdlib(out, library=library, notify=told.append, **options)
            return all(file.reused for file in files)

        assert not make()
        first = (out / "train.txt").read_bytes()
        assert make()
        assert "unchanged" in told[-1]
        assert not make(force=True)
        assert (out / "train.txt").read_bytes() == first
        (out / "valid.txt").unlink()
        assert not make()
        (out / "train.txt").write_text("something else")
        assert not make()
        assert (out / "train.txt").read_bytes() == first
        (library / "package0" / "new.py").write_text("new = 1\n")
        assert not make()
        assert make()

    def test_it_does_not_matter_where_the_library_lies(self, library: Path, tmp_path: Path) -> None:
        here = write_stdlib(tmp_path / "a", library=library)
        moved = shutil.copytree(library, tmp_path / "elsewhere", symlinks=True)
        there = write_stdlib(tmp_path / "b", library=moved)
        assert [file.sha256 for file in here] == [file.sha256 for file in there]

    def test_too_little(self, tmp_path: Path) -> None:
        library = tmp_path / "lib"
        library.mkdir()
        (library / "one.py").write_text("1\n")
        with pytest.raises(ValueError, match=r"1 source file\(s\) there are too few"):
            write_stdlib(tmp_path / "out", library=library)
        assert names(tmp_path / "out") == set()

    def test_a_python_without_a_library(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "python311.zip"))
        with pytest.raises(FileNotFoundError, match=r"python311\.zip"):
            write_stdlib(tmp_path / "out")

    def test_this_python(self, tmp_path: Path) -> None:
        train, valid = write_stdlib(tmp_path)
        assert train.size > 2_000_000
        assert 0.01 < valid.size / (train.size + valid.size) < 0.2
        assert zlib.crc32(train.path.read_bytes()) != zlib.crc32(valid.path.read_bytes())
        text = train.path.read_text(encoding="utf-8")
        assert "class ArgumentParser(" in text
        assert "import torch\n" not in text


def test_needs_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys, byteloom.data.sources, byteloom.cli.data\n"
        "print(sorted({'torch', 'pydantic', 'wandb', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
