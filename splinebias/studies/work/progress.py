"""How far a study is: done, failed, rate, time to go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from splinebias.errors import DataError

Progress = bool | Callable[[int, int], None] | None


def check_progress(progress: Progress) -> Progress:
    """`progress`, or a DataError if it is none of a bool, a callable and None."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise DataError(f"`progress` must be None, True, False or a callable(done, total), got {progress!r}")
    return progress


@contextmanager
def reported(progress: Progress, *, done: int, total: int) -> Iterator[Report]:
    """Where to say that more runs have finished.

    `done` of the `total` runs are there already; a bar starts with them and takes no rate from them.
    """
    from tqdm.auto import tqdm

    terminal = sys.stderr is not None and sys.stderr.isatty()
    shown = progress is True or (progress is None and terminal)
    with tqdm(
        mininterval=0.0,  # batches are rare enough to redraw after each
        total=total,
        initial=done,
        desc="study",
        unit="run",
        disable=not shown,
        delay=0 if progress else 1.0,  # seconds after which a study is worth a bar
        leave=False,
    ) as bar:
        yield Report(bar, progress, done, total)


class Report:
    """Moves a bar of tqdm, and calls ``progress(done, total)`` once for every run if that can be called."""

    def __init__(self, bar: Any, progress: Progress, done: int, total: int) -> None:
        self._bar, self._progress, self._done, self._total = bar, progress, done, total
        self._failures = 0

    def __call__(self, finished: int, failed: int) -> None:
        """`finished` more runs are there, of which `failed` failed."""
        self._failures += failed
        if self._failures:
            self._bar.set_postfix_str(f"{self._failures} failed", refresh=False)
        self._bar.update(finished)
        if callable(self._progress):
            for _ in range(finished):
                self._done += 1
                self._progress(self._done, self._total)

    def say(self, line: str) -> None:
        """Whoever waits should know this: a line on stderr, above the bar if one is drawn, unless all is to be silent."""
        if self._progress is not False and sys.stderr is not None:
            self._bar.write(line, file=sys.stderr)
