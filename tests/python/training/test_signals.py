from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from byteloom.training.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_remembered(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop and stop.signal == number
    assert signal.getsignal(number) == before


def test_the_second_ctrl_c_is_obeyed_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_the_second_ctrl_c_can_end_the_process_where_python_hears_of_nothing() -> None:
    code = """
import signal, sys, torch
from byteloom.training.signals import StopRequest

with StopRequest(second=signal.SIG_DFL):
    signal.raise_signal(signal.SIGINT)
    print("patient", flush=True)
    a = torch.randn(3000, 3000)
    while True:  # one operation takes seconds
        torch.linalg.svdvals(a)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "patient\n"
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT
        assert time.monotonic() - begin < 1


def test_sigterm_stays_patient() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM


def test_outside_the_main_thread_it_does_nothing() -> None:
    found = []

    def work() -> None:
        with StopRequest() as stop:
            found.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
