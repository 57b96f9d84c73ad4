"""Ctrl-C and SIGTERM end a run at the next step, with a checkpoint; a second Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class StopRequest:
    """While its block runs, SIGINT and SIGTERM are remembered instead of obeyed.

    The second SIGINT is handled as before the block: where Python was left alone, it raises
    ``KeyboardInterrupt`` as soon as Python is asked, which within one long operation of torch's it
    is not. Outside the main thread, where Python allows no handlers, the block does nothing.

    Args:
        second: how the second SIGINT is handled instead; ``signal.SIG_DFL`` ends the process even
            there.

    Example:
        >>> with StopRequest() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.signal.name
        'SIGTERM'
    """

    def __init__(self, second: Any = None) -> None:
        self.second = second
        self.signal: signal.Signals | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        """Whether somebody wants the run to end."""
        return self.signal is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        second = self._former[signal.SIGINT] if self.second is None else self.second
        signal.signal(signal.SIGINT, second)
