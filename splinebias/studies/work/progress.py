"""How far a study is: done, failed, rate, time to go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from splinebias.errors import DataError

Progress = bool | Callable[[int, int], None] | None
_LONG = 1.0  # seconds after which a study is worth a progress bar


def check_progress(progress: Progress) -> Progress:
    """`progress`, or a DataError."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise DataError(f"`progress` must be None, True, False or a callable(done, total), got {progress!r}")
    return progress


class Report(Protocol):
    """Where a study says how far it is."""

    def __call__(self, finished: int, failed: int) -> None:
        """`finished` more runs are there, of which `failed` failed."""

    def say(self, line: str) -> None:
        """Whoever waits should know this."""


@contextmanager
def reported(progress: Progress, *, done: int, total: int) -> Iterator[Report]:
    """Where to say that more runs have finished.

    `done` of the `total` runs are there already; a bar starts with them and takes no rate from them.
    """
    if callable(progress):
        yield _Callback(progress, done, total)
        return
    from tqdm.auto import tqdm

    terminal = sys.stderr is not None and sys.stderr.isatty()
    shown = terminal if progress is None else progress
    with tqdm(  # batches are rare enough to redraw after each
        mininterval=0.0,
        total=total,
        initial=done,
        desc="study",
        unit="run",
        disable=not shown,
        delay=0 if progress else _LONG,
        leave=False,
    ) as bar:
        yield _Bar(bar, silent=progress is False)


class _Bar:
    """Moves a bar of tqdm."""

    def __init__(self, bar: Any, *, silent: bool) -> None:
        self._bar, self._silent, self._failures = bar, silent, 0

    def __call__(self, finished: int, failed: int) -> None:
        self._failures += failed
        if self._failures:
            self._bar.set_postfix_str(f"{self._failures} failed", refresh=False)
        self._bar.update(finished)

    def say(self, line: str) -> None:
        if not self._silent and sys.stderr is not None:
            self._bar.write(line, file=sys.stderr)  # above the bar, if one is drawn


class _Callback:
    """Calls ``report(done, total)`` once for every run; lines go to stderr."""

    def __init__(self, report: Callable[[int, int], None], done: int, total: int) -> None:
        self._report, self._done, self._total = report, done, total

    def __call__(self, finished: int, failed: int) -> None:
        for _ in range(finished):
            self._done += 1
            self._report(self._done, self._total)

    def say(self, line: str) -> None:
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)
