"""What a store holds, for those who only look: also while its coordinator is at work."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splinebias.errors import DataError, SplinebiasError
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.problem import Problem
from splinebias.studies.row import KINDS, LOST, Row
from splinebias.studies.store.packing import unpack
from splinebias.studies.store.schema import connect, guarded, is_held


@dataclass(frozen=True, eq=False)
class StoredCase:
    """One case of a store: its names, problem, method (as text), interval, loss to reach, and its runs so far."""

    path: Path
    key: str
    names: dict[str, str]
    problem: Problem
    method: str
    interval: tuple[float, float]
    loss_tol: float
    rows: tuple[Row, ...]

    def function(self, width: int, seed: int) -> PiecewisePolynomial | None:
        """The network of one run, exact; None if there is no such run, or it failed."""
        query = "SELECT function FROM runs WHERE key = ? AND width = ? AND seed = ?"
        with _reading(self.path) as file:
            found = file.execute(query, (self.key, int(width), int(seed))).fetchone()
        return unpack(found[0]) if found and found[0] is not None else None


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes
    ----------
    total, done, failed, lost : int
        Runs asked for; finished, those that failed among them; given up because their workers died (to be tried again).
    seconds : float
        Time that networks took so far, summed over all processes.
    rate : float
        Runs per second of the last ten minutes of work; nan if there are too few.
    holder : str or None
        The coordinator that is at work.
    environments : tuple of str
        What the runs were computed with.
    """

    total: int
    done: int
    failed: int
    lost: int
    seconds: float
    rate: float
    holder: str | None
    environments: tuple[str, ...]

    @property
    def remaining(self) -> float:
        """Seconds to go at the present rate; nan if that is not known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else math.nan


def read_cases(path: str | Path) -> list[StoredCase]:
    """All cases of the store at `path`.

    Raises
    ------
    DataError
        If there is no intact store of a known format.
    """
    names = ", ".join(Row._fields)
    found = []
    with _reading(path) as file:
        path = Path(path)
        cases = file.execute("SELECT key, names, problem, method, lo, hi, loss_tol FROM cases ORDER BY number").fetchall()
        for key, text, problem, method, lo, hi, tol in cases:
            rows = file.execute(f"SELECT {names} FROM runs WHERE key = ? ORDER BY width, seed", (key,))
            kept = tuple(map(_row, rows))
            found.append(StoredCase(path, key, json.loads(text), _problem(path, problem), method, (lo, hi), tol, kept))
    return found


def _row(values: tuple[Any, ...]) -> Row:
    """A row as it was before SQLite, which keeps nan as NULL."""
    return Row._make(math.nan if value is None else kind(value) for kind, value in zip(KINDS, values, strict=True))


def _problem(path: Path, text: str) -> Problem:
    """The problem of a case."""
    try:
        return Problem.from_toml(text + "\n")
    except SplinebiasError as error:
        raise DataError(
            f"the store {path} holds a problem that this version cannot read: {error}; update splinebias"
        ) from None


def status(path: str | Path) -> Status:
    """How far the study of the store at `path` is; DataError as in `read_cases`."""
    with _reading(path) as file:
        total, holder = file.execute("SELECT total, holder FROM study").fetchone()
        counts = dict(file.execute("SELECT outcome, count(*) FROM runs GROUP BY outcome").fetchall())
        (bad,) = file.execute("SELECT count(*) FROM runs WHERE reason != '' AND outcome != ?", (LOST,)).fetchone()
        (seconds,) = file.execute("SELECT total(seconds) FROM runs").fetchone()
        last = file.execute("SELECT max(finished) FROM runs").fetchone()[0] or time.time()
        (first,) = file.execute("SELECT min(finished) FROM runs WHERE finished >= ?", (last - 600,)).fetchone()
        (later,) = file.execute("SELECT count(*) FROM runs WHERE finished > ?", (first,)).fetchone()
        texts = tuple(text for (text,) in file.execute("SELECT text FROM environments ORDER BY number"))
    lost = counts.pop(LOST, 0)
    rate = later / (last - first) if later else math.nan  # of what came after the first batch, whose beginning is not known
    return Status(total, sum(counts.values()), bad, lost, seconds, rate, holder if is_held(Path(path)) else None, texts)


@contextmanager
def _reading(path: str | Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as file, guarded(Path(path)):
        yield file
