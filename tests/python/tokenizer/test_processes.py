"""One tokenizer in many processes and threads: nothing hangs, ids are right, threads as asked."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from texts import END, PROSE

import byteloom as bl

#: A worker that hangs is given up after so many seconds.
PATIENCE = 60

TEXTS = [PROSE[n:] * (1 + n % 3) + END for n in range(0, len(PROSE), 7)]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE * 3], [END]).train(500)


@pytest.fixture(scope="module")
def ids(tokenizer: bl.Tokenizer) -> list[list[int]]:
    return [tokenizer.encode(text) for text in TEXTS]


def encode_all(tokenizer: bl.Tokenizer) -> list[list[int]]:
    """What a worker does: each way of encoding texts, which must agree."""
    one_by_one = [tokenizer.encode(text) for text in TEXTS]
    assert [array.tolist() for array in tokenizer.encode_batch(TEXTS, num_threads=2)] == one_by_one
    assert [tokenizer.decode(ids) for ids in one_by_one] == TEXTS
    return one_by_one


def test_pickled_there_and_back(tokenizer: bl.Tokenizer, ids: list[list[int]]) -> None:
    other = pickle.loads(pickle.dumps(tokenizer))
    assert other == tokenizer
    assert encode_all(other) == ids


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(tokenizer: bl.Tokenizer, ids: list[list[int]], method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system has no {method}")
    # Threads of the parent have used the tokenizer before it is handed over.
    tokenizer.encode_batch(TEXTS, num_threads=4)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for got in pool.map(encode_all, [tokenizer] * 3, timeout=PATIENCE):
            assert got == ids


@contextmanager
def encoding(tokenizer: bl.Tokenizer, threads: int) -> Iterator[None]:
    """Threads that do nothing but encode short texts, while the body runs."""
    stop = threading.Event()

    def encode() -> None:
        while not stop.is_set():
            tokenizer.encode("a")

    workers = [threading.Thread(target=encode) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_while_other_threads_encode(tokenizer: bl.Tokenizer, ids: list[list[int]]) -> None:
    with encoding(tokenizer, 3):
        for _ in range(20):
            child = os.fork()
            if child == 0:
                # Nothing of pytest may run here.
                os._exit(0 if encode_all(tokenizer) == ids else 1)
            assert exit_code(child) == 0


def exit_code(child: int) -> int:
    """Of a child process, once it has ended; one that hangs is ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail(f"a forked process still hangs after {PATIENCE} s")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_encodes(tokenizer: bl.Tokenizer, ids: list[list[int]], workers: int) -> None:
    data = pytest.importorskip("torch.utils.data")
    loader = data.DataLoader(
        TEXTS, batch_size=4, num_workers=workers, timeout=PATIENCE if workers else 0,
        collate_fn=tokenizer.encode_batch,
    )  # fmt: skip
    for _ in range(2):
        assert [array.tolist() for batch in loader for array in batch] == ids


def test_many_threads_get_the_right_ids(tokenizer: bl.Tokenizer, ids: list[list[int]]) -> None:
    def encode(shift: int) -> list[list[int]]:
        order = [*range(shift, len(TEXTS)), *range(shift)]
        got = {n: tokenizer.encode(TEXTS[n]) for n in order * 5}
        return [got[n] for n in range(len(TEXTS))]

    with ThreadPoolExecutor(16) as pool:
        for got in pool.map(encode, range(16), timeout=PATIENCE):
            assert got == ids


def idle_processors() -> float:
    """How many processors of those that this process may use others leave to it."""
    return len(os.sched_getaffinity(0)) - os.getloadavg()[0] if sys.platform == "linux" else 0


@needs_proc
def test_two_threads_encode_faster_than_one(tokenizer: bl.Tokenizer) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor")
    text = PROSE * 2000
    tokenizer.encode_array(text)

    def seconds(threads: int) -> float:
        with ThreadPoolExecutor(threads) as pool:
            begin = time.perf_counter()
            list(pool.map(tokenizer.encode_array, [text] * (4 * threads)))
            return time.perf_counter() - begin

    # Twice the work in at most 4/3 of the time. One quiet moment is enough to show it.
    best = 0.0
    for _ in range(15):
        best = max(best, 2 * seconds(1) / seconds(2))
        if best >= 1.5:
            return
        time.sleep(0.1)
    if idle_processors() < 1.5:
        pytest.skip(f"{best:.2f} times as fast, but the machine has other work")
    pytest.fail(f"two threads are {best:.2f} times as fast as one")


def most_threads(call: Callable[[], object]) -> int:
    """How many threads a call adds to the process, at most."""

    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = count()
    most, done = 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, count())
            time.sleep(0.0005)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return most - before - 1


@needs_proc
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_is_honoured(
    tokenizer: bl.Tokenizer, tmp_path: Path, threads: int
) -> None:
    path = tmp_path / "text.txt"
    for call in (
        lambda _: tokenizer.encode_files(path, tmp_path / "ids.npy", num_threads=threads),
        lambda _: bl.PretokenCounts.from_files(path, num_threads=threads),
        lambda times: tokenizer.encode_batch([PROSE * 200] * 100 * times, num_threads=threads),
    ):
        # On a busy machine, the first may have done all before the last begins; then there is more.
        seen = 0
        for times in (1, 2, 4, 8, 16, 32):
            path.write_text(PROSE * 20_000 * times)
            seen = max(seen, most_threads(partial(call, times)))
            if seen >= threads:
                break
        assert seen == threads
