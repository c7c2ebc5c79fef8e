"""Ctrl-C and SIGTERM: a study ends by them in order, and the processes that it starts never see them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """A request to end (SIGTERM, as from a batch system) leaves like Ctrl-C: workers ended, store closed.

    An exception that is raised while Python frees an object is printed and forgotten. What is yielded raises it again.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            raise KeyboardInterrupt

    def leave(number: int, frame: object) -> None:
        received.append(number)
        check()

    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    mine = threading.current_thread() is threading.main_thread()  # the only one that may handle signals
    taken = {number: handler for number, handler in usual.items() if mine and signal.getsignal(number) is handler}
    for number in taken:
        signal.signal(number, leave)
    try:
        yield check
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


@contextmanager
def blocked() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block, and never reach the processes that are started in it.

    Both are sent to whole groups of processes, by terminals and by batch systems; the coordinator ends its workers itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
