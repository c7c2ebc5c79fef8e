"""How far a study is: done, failed, rate, time to go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from splinebias.errors import DataError

Progress = bool | Callable[[int, int], None] | None
_LONG = 1.0  # seconds after which a study is worth a progress bar


def check_progress(progress: Progress) -> Progress:
    """`progress`, or a DataError."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise DataError(f"`progress` must be None, True, False or a callable(done, total), got {progress!r}")
    return progress


@contextmanager
def reported(progress: Progress, *, done: int, total: int) -> Iterator[Callable[[int, int], None]]:
    """A function to be called as ``note(finished, failed)`` when more runs have finished, of which some failed.

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
        failures = 0

        def note(finished: int, failed: int) -> None:
            nonlocal failures
            failures += failed
            if failures:
                bar.set_postfix_str(f"{failures} failed", refresh=False)
            bar.update(finished)

        yield note


class _Callback:
    """Calls ``report(done, total)`` once for every run."""

    def __init__(self, report: Callable[[int, int], None], done: int, total: int) -> None:
        self._report, self._done, self._total = report, done, total

    def __call__(self, finished: int, failed: int) -> None:
        for _ in range(finished):
            self._done += 1
            self._report(self._done, self._total)
