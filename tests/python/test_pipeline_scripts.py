"""The scripts that measure a corpus: reading `time -v`, splitting text, refusing nonsense."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPTS = Path(__file__).parents[2] / "scripts"
END = b"<|endoftext|>"

time_table: dict[str, Any] = runpy.run_path(str(SCRIPTS / "time_table.py"), run_name="time_table")
split_documents: dict[str, Any] = runpy.run_path(
    str(SCRIPTS / "split_documents.py"), run_name="split_documents"
)

LOG = """\
\tCommand being timed: "train-bpe a: b.txt"
\tUser time (seconds): 61.50
\tSystem time (seconds): 2.25
\tPercent of CPU this job got: 170%
\tElapsed (wall clock) time (h:mm:ss or m:ss): {elapsed}
\tMaximum resident set size (kbytes): 123456
\tExit status: 0
"""


@pytest.mark.parametrize(
    ("elapsed", "seconds"), [("0:37.50", 37.5), ("2:05.01", 125.01), ("1:02:03", 3723.0)]
)
def test_usage_of_a_log(elapsed: str, seconds: float) -> None:
    usage = time_table["Usage"].parse(LOG.format(elapsed=elapsed))
    assert usage.wall == pytest.approx(seconds)
    assert usage.cpu == pytest.approx(63.75)
    assert usage.peak == 123456 * 1024


GNU_TIME = os.environ.get("GNU_TIME") or shutil.which("time") or ""


def has_gnu_time() -> bool:
    probe = [GNU_TIME, "-v", "true"]
    return bool(GNU_TIME) and not subprocess.run(probe, capture_output=True, check=False).returncode


@pytest.mark.skipif(not has_gnu_time(), reason="GNU time is not installed")
def test_usage_of_a_real_process(tmp_path: Path) -> None:
    log = tmp_path / "real.time"
    code = "import time; x = b'x' * 50_000_000; time.sleep(0.3)"
    subprocess.run([GNU_TIME, "-v", "-o", log, sys.executable, "-c", code], check=True)
    usage = time_table["Usage"].parse(log.read_text())
    assert 0.3 <= usage.wall < 10
    assert 0 < usage.cpu < usage.wall
    assert 50e6 < usage.peak < 500e6


def test_other_text_is_no_log() -> None:
    with pytest.raises(ValueError, match=r"here is not from .*no line 'Elapsed"):
        time_table["Usage"].parse("real 0m1.0s", "here")


def test_the_table(tmp_path: Path) -> None:
    figures = {
        "tokenizer": {"text_bytes": 75_000_000, "bytes_per_token": 4.25},
        "encode-train": {"bytes": 150_000_000, "tokens": 40_000_000, "bytes_per_token": 3.75},
        "training": {"tokens_per_second": 5321.7, "valid_loss": 3.4567, "loss": 9.0},
        "evaluation": {"loss": 3.5, "bits_per_byte": 1.25, "bytes": 10},
    }
    for name, values in figures.items():
        (tmp_path / f"{name}.time").write_text(LOG.format(elapsed="0:37.50"))
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    (tmp_path / "training.resumed").touch()
    lines = time_table["table"](tmp_path).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in lines}) == 1
    assert [row[0] for row in cells[2:]] == [
        "train the tokenizer",
        "encode the training text",
        "train the model (the part after its interruption)",
        "evaluate on the validation text",
    ]
    usage = ["37.5", "63.8", "170%", "126"]
    assert cells[2][1:] == [*usage, "2.0", "4.250", "–", "–", "–"]
    assert cells[3][1:] == [*usage, "4.0", "3.750", "–", "–", "–"]
    assert cells[4][1:] == [*usage, "–", "–", "5,322", "3.457", "–"]
    assert cells[5][1:] == [*usage, "–", "–", "–", "3.500", "1.250"]


def split(tmp_path: Path, *texts: bytes, per_mille: int = 10) -> tuple[list[bytes], list[bytes]]:
    inputs = []
    for i, text in enumerate(texts):
        inputs.append(tmp_path / f"input{i}.txt")
        inputs[-1].write_bytes(text)
    counts = split_documents["split"](inputs, tmp_path, per_mille)
    sides = [(tmp_path / f"{role}.txt").read_bytes().split(END) for role in ("train", "valid")]
    assert all(side[-1] == b"" for side in sides)
    train, valid = (side[:-1] for side in sides)
    assert counts == {"train": len(train), "valid": len(valid)}
    return train, valid


def test_split_keeps_every_document_once_and_in_order(tmp_path: Path) -> None:
    documents = [b"\ndocument %d \xff\n" % i for i in range(5_000)]
    train, valid = split(tmp_path, END.join(documents[:2_000]), END.join(documents[2_000:]))
    assert 20 < len(valid) < 100
    chosen = set(valid)
    assert train == [document for document in documents if document not in chosen]
    assert valid == [document for document in documents if document in chosen]


def test_split_does_not_depend_on_the_neighbours(tmp_path: Path) -> None:
    documents = [b"document %d" % i for i in range(2_000)]
    _, valid = split(tmp_path, END.join(documents))
    _, reversed_valid = split(tmp_path, END.join(documents[::-1]))
    assert set(valid) == set(reversed_valid)


def test_split_of_few_documents(tmp_path: Path) -> None:
    assert split(tmp_path, b"a" + END + b"b" + END + b"c") == ([b"a", b"b"], [b"c"])
    # The first is for training even if chance would have it otherwise.
    assert split(tmp_path, b"a" + END + b"b", per_mille=999) == ([b"a"], [b"b"])
    line = b"a line of text\n"
    train, valid = split(tmp_path, line * 1_000)
    assert (len(train), len(valid)) == (1, 1)
    assert train[0] + valid[0] == line * 1_000
    assert train[0].endswith(b"\n")
    assert 5 <= valid[0].count(b"\n") <= 11


@given(st.binary(min_size=2), st.integers(1, 999))
def test_a_single_document_loses_nothing(document: bytes, per_mille: int) -> None:
    parts = split_documents["cut_near_the_end"](document + END, per_mille)
    assert b"".join(part.removesuffix(END) for part in parts) == document
    assert all(part.endswith(END) for part in parts)
    assert parts[0] != END


@pytest.mark.parametrize("text", [b"", END * 3, b" \n" + END])
def test_split_of_nothing(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ValueError, match="no text to train on"):
        split(tmp_path, text)
    assert not (tmp_path / "train.txt").exists()


def run_script(
    name: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPTS / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize("name", ["tinystories.sh", "owt.sh", "books.sh"])
def test_help_of_the_scripts(name: str) -> None:
    done = run_script(name, "--help")
    assert done.returncode == 0
    assert f"usage: scripts/{name}" in done.stdout
    config = re.search(r"--config FILE .* default: (\S+)", done.stdout)
    assert config
    assert Path(config[1]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one TEXT"),
        (["no-such-file.txt"], "cannot read no-such-file.txt"),
        (["--valid"], "--valid needs a value"),
        (["--vocab", "3"], "no option --vocab"),
    ],
)
def test_wrong_usage_of_the_scripts(arguments: list[str], message: str) -> None:
    done = run_script("books.sh", *arguments)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A copy of the scripts, far from any .venv, with stand-ins for the commands they call.

    A stand-in writes down how it was called, makes its -o, and prints figures.
    """
    for path in SCRIPTS.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / path.name)
    (tmp_path / "bin").mkdir()
    figures = json.dumps({"bytes_per_token": 4.0, "bytes": 8, "text_bytes": 8, "loss": 2.5})
    texts = {"train": "t.txt", "valid": "v.txt"}
    files = json.dumps({"files": [{"role": k, "path": v} for k, v in texts.items()]})
    for name in ("byteloom", "train-bpe", "train-lm"):
        command = tmp_path / "bin" / name
        command.write_text(
            f"""#!/bin/bash
            echo {name} "$@" >>"{tmp_path}/calls"
            if [ "$1" = data ]; then echo '{files}'; exit; fi
            if [ "$1" = generate ]; then echo "a sample"; exit; fi
            if [ {name} = "$BREAK" ]; then [ {name} != train-lm ] || mkdir -p out/run; exit 1; fi
            while [ $# -gt 1 ]; do
                if [ "$1" = -o ]; then
                    case $2 in */run) mkdir -p "$2" ;; *) touch "$2" ;; esac
                fi
                shift
            done
            echo '{figures}'
            """
        )
        command.chmod(0o755)
    # split_documents.py needs the package; where no .venv is, its Python is the one on the PATH.
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    (tmp_path / "text.txt").write_text("a<|endoftext|>b<|endoftext|>")
    return tmp_path


def pipeline(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, list[str]]:
    """Exit code, output, and the calls of the commands."""
    (folder / "calls").write_text("")
    done = subprocess.run(
        ["bash", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ
        | {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "BREAK": "", "GNU_TIME": GNU_TIME}
        | {"PYTHONPATH": os.pathsep.join(sys.path)}
        | environment,
        check=False,
    )
    calls = (folder / "calls").read_text().splitlines()
    return done.returncode, done.stdout + done.stderr, calls


needs_gnu_time = pytest.mark.skipif(not has_gnu_time(), reason="GNU time is not installed")


@needs_gnu_time
def test_the_pipeline_calls_everything_once(elsewhere: Path) -> None:
    books = ["books.sh", "text.txt", "-o", "out", "--num-threads", "2"]
    books += ["--", "--training.steps", "7"]
    code, output, calls = pipeline(elsewhere, *books)
    assert code == 0, output
    assert [call.split(" -o ")[0] for call in calls[:4]] == [
        "train-bpe out/train.txt --vocab-size 32000 --special-token <|endoftext|> --num-threads 2",
        "byteloom encode out/tokenizer.json out/train.txt --num-threads 2",
        "byteloom encode out/tokenizer.json out/valid.txt --num-threads 2",
        f"train-lm {elsewhere}/books.toml --data.train out/train.npy --data.valid out/valid.npy "
        "--data.tokenizer out/tokenizer.json --training.steps 7",
    ]
    assert calls[4] == "byteloom eval out/run out/valid.npy --json"
    assert calls[5].startswith("byteloom generate out/run --prompt It was a dark night, and")
    assert "a sample" in output
    table = (elsewhere / "out" / "table.md").read_text()
    assert table.count("\n") == 2 + 5
    assert table in output
    # A second time, only the sample is made anew, and the table is that of the first time.
    code, output, calls = pipeline(elsewhere, *books)
    assert code == 0, output
    assert [call.split()[1] for call in calls] == ["generate"]
    assert table in output


@needs_gnu_time
def test_the_pipeline_takes_a_download_without_a_text(elsewhere: Path) -> None:
    code, output, calls = pipeline(elsewhere, "tinystories.sh", "-o", "out")
    assert code == 0, output
    assert calls[0] == "byteloom data tinystories --json"
    assert calls[1].startswith("train-bpe t.txt --vocab-size 10000 ")
    assert calls[3].startswith("byteloom encode out/tokenizer.json v.txt ")


@needs_gnu_time
def test_the_pipeline_refuses_to_mix_results(elsewhere: Path) -> None:
    assert pipeline(elsewhere, "books.sh", "text.txt", "-o", "out")[0] == 0
    code, output, calls = pipeline(
        elsewhere, "books.sh", "text.txt", "-o", "out", "--vocab-size", "500"
    )
    assert code == 1
    assert "out/tokenizer.json was made by another command" in output
    assert calls == []


@needs_gnu_time
def test_the_pipeline_goes_on_after_a_failure(elsewhere: Path) -> None:
    books = ["books.sh", "text.txt", "-o", "out"]
    code, output, calls = pipeline(elsewhere, *books, BREAK="train-bpe")
    assert code == 1
    assert "tokenizer failed" in output
    code, output, calls = pipeline(elsewhere, *books, BREAK="train-lm")
    assert code == 1
    assert "training failed" in output
    assert calls[0].startswith("train-bpe")
    code, output, calls = pipeline(elsewhere, *books)
    assert code == 0, output
    assert [call.split()[0] for call in calls] == ["train-lm", "byteloom", "byteloom"]
    assert "--resume out/run" in calls[0]
    assert "train the model (the part after its interruption)" in output
    code, output, calls = pipeline(elsewhere, *books)
    assert code == 0, output
    assert len(calls) == 1


def test_a_machine_without_gnu_time(elsewhere: Path) -> None:
    """A copy of the script looks for it where it is not."""
    script = elsewhere / "pipeline.sh"
    text = script.read_text()
    assert "/usr/bin/time gtime" in text
    script.write_text(text.replace("/usr/bin/time gtime", "/nowhere/time"))
    code, output, calls = pipeline(elsewhere, "books.sh", "text.txt", "-o", "out", GNU_TIME="")
    assert code == 1
    assert "GNU time is missing: apt install time" in output
    assert calls == []
    assert not (elsewhere / "out").exists()
