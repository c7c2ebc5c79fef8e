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

from splinebias._arguments import real_number, whole_number
from splinebias._files import parse_toml
from splinebias.errors import DataError, Outcome, SplinebiasError
from splinebias.functions.compare_on_box import Place, checked_place
from splinebias.problem import Problem
from splinebias.studies.row import FAILED, KINDS, LOST, Row
from splinebias.studies.store.packing import NetworkFunction, unpack
from splinebias.studies.store.schema import connect, guarded, is_held

_OUTCOMES = (*Outcome.__members__, FAILED, LOST)


@dataclass(frozen=True, eq=False)
class StoredCase:
    """One case of a store: its names, problem, method (as text), interval, loss to reach, and its runs so far."""

    path: Path
    key: str
    names: dict[str, str]
    problem: Problem
    method: str
    interval: Place
    loss_tol: float
    rows: tuple[Row, ...]

    def function(self, width: int, seed: int) -> NetworkFunction | None:
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
            what = _names(text), _problem(path, problem), _text(method, "method"), _place(lo, hi)
            found.append(StoredCase(path, _text(key, "key"), *what, real_number(tol, "loss_tol", above=0), kept))
    if not found:
        raise DataError(f"the store {path} holds no case: its study was stopped before it began; run the same command again")
    return found


def _text(value: Any, name: str) -> str:
    """A text of a store, or a DataError."""
    if not isinstance(value, str):
        raise DataError(f"`{name}` must be a text, got {value!r}")
    return value


def _names(text: Any) -> dict[str, str]:
    """The names of a case, or a DataError."""
    try:
        names = json.loads(_text(text, "names"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"`names` must be JSON: {error}") from None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(f"`names` must map names to names, got {names!r}")
    return names


def _place(lo: Any, hi: Any) -> Place:
    """The interval or the box of a case, or a DataError."""
    if not (isinstance(lo, str) and isinstance(hi, str)):
        return checked_place((lo, hi))
    try:
        low, high = json.loads(lo), json.loads(hi)
        return checked_place(list(zip(low, high, strict=True)))
    except (ValueError, TypeError, RecursionError):
        raise DataError(f"`lo` and `hi` must be numbers, or lists of them, got {lo!r} and {hi!r}") from None


def _row(values: tuple[Any, ...]) -> Row:
    """A row as it was before SQLite, which keeps nan as NULL."""
    entries = zip(Row._fields, KINDS, values, strict=True)
    row = Row._make(
        math.nan if value is None and kind is float else _entry(name, kind, value) for name, kind, value in entries
    )
    whole_number(row.width, "width", at_least=1)
    if row.outcome not in _OUTCOMES:
        raise DataError(f"`outcome` must be one of {', '.join(_OUTCOMES)}, got {row.outcome!r}")
    if row.ok:  # what fits and tables are made of
        real_number(row.sup, "sup", at_least=0)
        if not math.isnan(row.argmax):  # of several inputs
            real_number(row.argmax, "argmax")
    return row


def _entry(name: str, kind: type, value: Any) -> Any:
    """An entry of a row, of its kind, or a DataError."""
    if kind is int:
        return whole_number(value, name)
    if kind is str:
        return _text(value, name)
    if not isinstance(value, int | float):
        raise DataError(f"`{name}` must be a number, got {value!r}")
    return float(value)


def _problem(path: Path, text: Any) -> Problem:
    """The problem of a case."""
    try:
        return Problem.from_tables(parse_toml(_text(text, "problem"), "problem"), None)  # a store names no file
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
        last = real_number(file.execute("SELECT max(finished) FROM runs").fetchone()[0] or time.time(), "finished")
        (first,) = file.execute("SELECT min(finished) FROM runs WHERE finished >= ?", (last - 600,)).fetchone()
        (later,) = file.execute("SELECT count(*) FROM runs WHERE finished > ?", (first,)).fetchone()
        texts = tuple(_text(text, "text") for (text,) in file.execute("SELECT text FROM environments ORDER BY number"))
        total, seconds = whole_number(total, "total"), real_number(seconds, "seconds", at_least=0)
        holder = None if holder is None else _text(holder, "holder")
    lost = counts.pop(LOST, 0)
    rate = later / (last - first) if later else math.nan  # of what came after the first batch, whose beginning is not known
    return Status(total, sum(counts.values()), bad, lost, seconds, rate, holder if is_held(Path(path)) else None, texts)


@contextmanager
def _reading(path: str | Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as file, guarded(Path(path), entries=True):
        yield file
