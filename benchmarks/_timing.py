"""Paired timings: the things to compare take turns in one process, so that a busy machine slows all of them."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def paired(rounds: int, *calls: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> NDArray[np.float64]:
    """Seconds of every call in every round, shape (rounds, calls), after one round to warm up; of the process, by
    ``clock=time.process_time``.
    """
    seconds = np.empty((rounds + 1, len(calls)))
    for row in seconds:
        for column, call in enumerate(calls):
            began = clock()
            call()
            row[column] = clock() - began
    return seconds[1:]


def ratio(seconds: NDArray[np.float64], other: int, ours: int = 0) -> float:
    """Median over rounds of how many times longer the other call took."""
    return float(np.median(seconds[:, other] / seconds[:, ours]))


def peak_bytes(call: Callable[[], Any]) -> int:
    """Most memory that Python and numpy held at one time during the call, beyond what they held before."""
    tracemalloc.start()
    try:
        kept = call()  # alive until the peak is read, as it would be for a user
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del kept
    return peak


def duration(seconds: float) -> str:
    """Two digits and a unit: ``"3.4 ms"``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.995 * size:  # two digits of less are less
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds / 1e-9)} ns"


def times(value: float) -> str:
    """A ratio to two digits: ``"0.43"``, ``"12"``, ``"1300"``."""
    return _two_digits(value)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _two_digits(value: float) -> str:
    rounded = float(f"{value:.2g}")
    return f"{rounded:.0f}" if rounded >= 10 else f"{rounded:.2g}"
