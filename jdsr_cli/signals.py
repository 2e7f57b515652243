"""Signals that end a command: Ctrl-C, SIGTERM, and SIGHUP of a terminal that was closed.

Each is raised as KeyboardInterrupt, upon which finished work is kept and everything temporary is
removed. SIGQUIT (Ctrl-backslash) is left to the system and ends a process at once, as SIGKILL does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that end a command; Windows has no SIGHUP."""
_REPEATED = b"closing: finished work is being kept (Ctrl-\\ ends at once)\n"
_AGAIN_SECONDS = 0.05
"""Seconds after which a signal whose exception was lost is raised again."""
_STANDARD_ERROR = 2


class _Handler:
    """Raises KeyboardInterrupt for the first signal; later ones do not disturb what it ends."""

    def __init__(self) -> None:
        self.closing = False
        self._told = False
        self._owner = os.getpid()
        self._unraisable = sys.unraisablehook

    def receive(self, number: int, _: FrameType | None) -> None:
        """Handle a signal.

        Forked processes, such as workers that prepare samples, leave the end to this one; SIGTERM
        ends them.
        """
        if os.getpid() != self._owner:
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            raise KeyboardInterrupt
        if not self.closing:
            self.closing = True
            raise KeyboardInterrupt
        if not self._told:
            self._told = True
            # A handler may interrupt a write to `sys.stderr`, which cannot be entered again.
            with suppress(OSError):
                os.write(_STANDARD_ERROR, _REPEATED)

    def report_lost(self, lost: sys.UnraisableHookArgs) -> None:
        """Raise the signal again if its exception was lost, as in `__del__`."""
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._unraisable(lost)
            return
        self.closing = False
        again = threading.Timer(_AGAIN_SECONDS, self._raise_again)
        again.daemon = True
        again.start()

    @staticmethod
    def _raise_again() -> None:
        thread = threading.main_thread().ident
        if thread is not None and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(thread, signal.SIGINT)


_active: _Handler | None = None


@contextmanager
def interrupting_signals(*, ends_process: bool = False) -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first signal of `ENDING` in this block.

    Later ones are ignored until the block ends: what is closed takes its time. Signals that are
    ignored at the start stay ignored (`nohup`). In another thread, and inside another such block,
    it does nothing.

    Args:
        ends_process: Whether the process ends with the block: after a signal, later ones stay
            ignored while the interpreter is closed.

    """
    global _active
    if threading.current_thread() is not threading.main_thread() or _active is not None:
        yield
        return
    handler = _active = _Handler()
    kept = {one: signal.getsignal(one) for one in ENDING}
    before = {one: old for one, old in kept.items() if old not in (signal.SIG_IGN, None)}
    unraisable, sys.unraisablehook = sys.unraisablehook, handler.report_lost
    try:
        for one in before:
            signal.signal(one, handler.receive)
        yield
    finally:
        _active, sys.unraisablehook = None, unraisable
        for one, old in before.items():
            signal.signal(one, signal.SIG_IGN if handler.closing and ends_process else old)


def ignore_ending_signals() -> None:
    """Ignore the signals of `ENDING` from now on, so that the end of a process is not disturbed."""
    for one in ENDING:
        signal.signal(one, signal.SIG_IGN)
