"""Counting within a memory limit: the same counts, or a warning; and no more memory, measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import byteloom as bl

#: Enough for one thread, little for counts.
LIMIT = 12 << 20

#: Prints by how many bytes the peak of memory rises above what the process had before.
MEASURED = """
import json, sys, warnings
import byteloom as bl

def field(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))

path, limit, threads = sys.argv[1], int(sys.argv[2]) or None, int(sys.argv[3])
warnings.simplefilter("ignore")
bl.PretokenCounts.from_texts(["code is in memory now"])
before = field("VmRSS")
counts = bl.PretokenCounts.from_files(path, num_threads=threads, memory_limit=limit)
risen = field("VmHWM") - before
pruned = counts.pruned
left = pruned and [pruned.pretokens, pruned.occurrences]
print(json.dumps([risen, len(counts), counts.total, left]))
"""


def write_words(path: Path, distinct: int, repeated: int) -> Path:
    """Words, most of them once, some of them often, all over the text; every tenth is long."""
    with path.open("w") as file:
        for n in range(distinct):
            word = f"{n * 2654435761 % 2**32:08x}"
            word = word.translate(str.maketrans("0123456789", "ghijklmnop"))
            file.write(f" {word * 3 if n % 10 == 0 else word}")
            if n % 3 == 0:
                file.write(f" common{chr(97 + n % repeated % 26)}{chr(97 + n % repeated // 26)}")
    return path


def from_files(path: Path, limit: int | None) -> bl.PretokenCounts:
    return bl.PretokenCounts.from_files(path, num_threads=1, memory_limit=limit)


def from_texts(path: Path, limit: int | None) -> bl.PretokenCounts:
    lines = path.read_text().replace(" common", "\n common").splitlines()
    return bl.PretokenCounts.from_texts(iter(lines), memory_limit=limit)


@pytest.mark.parametrize("count", [from_files, from_texts])
def test_the_rarest_are_left_out_with_a_warning(
    tmp_path: Path, count: Callable[[Path, int | None], bl.PretokenCounts]
) -> None:
    path = write_words(tmp_path / "text.txt", 400_000, 500)
    everything = count(path, None)
    with pytest.warns(UserWarning, match="distinct pretokens that occur less than 2 times"):
        counts = count(path, LIMIT)
    assert counts == everything.at_least(2)
    pruned = counts.pruned
    assert pruned is not None
    assert (pruned.pretokens, pruned.below) == (len(everything) - len(counts), 2)
    assert pruned.occurrences == everything.total - counts.total
    # It is not forgotten.
    counts.save(tmp_path / "counts")
    with pytest.warns(UserWarning, match="left out"):
        assert bl.PretokenCounts.load(tmp_path / "counts").pruned == pruned
    assert (counts + counts).pruned.occurrences == 2 * pruned.occurrences


@pytest.mark.parametrize("count", [from_files, from_texts])
def test_what_fits_in_the_end_is_not_changed(
    tmp_path: Path, count: Callable[[Path, int | None], bl.PretokenCounts]
) -> None:
    path = write_words(tmp_path / "text.txt", 100_000, 500)
    with warnings.catch_warnings(action="error"):
        counts = count(path, 3 * LIMIT)
    assert counts == count(path, None)
    assert counts.pruned is None


def test_a_limit_too_low_is_refused_with_what_would_do(tmp_path: Path) -> None:
    path = write_words(tmp_path / "text.txt", 10, 10)
    with pytest.raises(ValueError, match=r"is the least$"):
        from_files(path, 1000)
    texts = iter(["never taken"])
    with pytest.raises(ValueError, match=r"is the least$"):
        bl.PretokenCounts.from_texts(texts, memory_limit=1000)
    assert next(texts) == "never taken"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_stays_below_the_limit(tmp_path: Path, threads: int) -> None:
    path = write_words(tmp_path / "text.txt", 1_500_000, 500)
    folder = tmp_path / "temporary"
    folder.mkdir()

    def measure(limit: int) -> tuple[int, int, int, list[int] | None]:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(path), str(limit), str(threads)],
            capture_output=True, text=True, check=True, env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
        risen, distinct, total, pruned = json.loads(done.stdout)
        return risen, distinct, total, pruned

    limit = 40 << 20
    free, distinct, total, _ = measure(0)
    assert free > limit * 1.5, "the text is too small for this test"
    risen, kept, occurrences, pruned = measure(limit)
    assert risen <= limit
    assert pruned is not None
    assert [kept + pruned[0], occurrences + pruned[1]] == [distinct, total]
    assert not list(folder.iterdir())
