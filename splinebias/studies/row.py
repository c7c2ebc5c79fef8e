"""One run of a study; many of them as an array, as CSV text, as a pandas DataFrame; why some are left out, in words."""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from splinebias._files import write_atomically
from splinebias._result import Drawn
from splinebias.errors import CapabilityError, Outcome

FAILED = "FAILED"
"""Outcome of a run that raised an exception; `Row.reason` holds it."""
LOST = "LOST"
"""Outcome of a run whose worker died each time it was tried; a study that is resumed tries it again."""

_GOOD = {outcome.name for outcome in Outcome if outcome.ok}


class Row(NamedTuple):
    """One run of a study.

    `time` is the training time t = n * (sum of learning rates) and `seconds` the wall time, the only column that differs
    when a study is repeated. `penalty` is that of the limit, so that tables of several studies can be joined;
    `network_penalty` that of the network, its curvature smoothed over ``ceil(sqrt(number of kinks))`` bins (see
    `penalty`), nan where it is not defined, as of several inputs; `argmax`, where `sup` is, is nan there, too. `passes`
    counts evaluations of loss and gradient of the batch that the network was part of.
    `outcome` is the name of an `Outcome`, or ``"FAILED"`` or ``"LOST"``; `reason` says in words why a run is not ok.
    """

    width: int
    seed: int
    sup: float
    l2: float
    argmax: float
    penalty: float
    loss: float
    steps: int
    time: float
    seconds: float
    outcome: str
    network_penalty: float = math.nan
    passes: int = 0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the run reached what was asked for."""
        return self.outcome in _GOOD


COLUMNS = tuple(name for name in Row._fields if name != "reason")
"""The columns of `table_of`: `reason`, a text of any length, stays with the rows."""

KINDS = tuple(get_type_hints(Row)[name] for name in Row._fields)
"""The type of each field of `Row`."""

_FORMATS = {int: "i8", float: "f8", str: "U16"}
_DTYPE = np.dtype([(name, _FORMATS[kind]) for name, kind in zip(COLUMNS, KINDS, strict=False)])


def read_only(rows: Iterable[tuple[Any, ...]], kind: np.dtype[np.void]) -> NDArray[np.void]:
    """`rows` as a read-only structured array of the dtype `kind`, shape (number of rows,)."""
    table = np.array(list(rows), dtype=kind)
    table.setflags(write=False)
    return table


def table_of(rows: Iterable[Row]) -> NDArray[np.void]:
    """The rows as a read-only structured array, shape (R,), with fields `COLUMNS`."""
    return read_only((row[: len(COLUMNS)] for row in rows), _DTYPE)


class Tabulated(Drawn):
    """A result that is made of runs: `_named_rows` are the names of its columns, and its rows."""

    @property
    @abstractmethod
    def _named_rows(self) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]: ...

    def to_csv(self, path: str | Path | None = None) -> str:
        """The rows as CSV text with a header line, exact to the last bit; written atomically to `path` if one is given.

        Those of a grid have a column per axis first.
        """
        columns, rows = self._named_rows
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
        if path is not None:
            write_atomically(path, text.getvalue().encode())
        return text.getvalue()

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame, with the columns of `to_csv`; CapabilityError if pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise CapabilityError(
                "to_frame needs pandas, which is not installed; pip install pandas, or use `table` or to_csv()"
            ) from None
        columns, rows = self._named_rows
        return pandas.DataFrame.from_records(rows, columns=columns)

    def to_dataframe(self) -> Any:
        """The same as `to_frame`, which other results have, too."""
        return self.to_frame()


def failed_row(width: int, seed: int, penalty: float, outcome: str, reason: str) -> Row:
    """A run without a network: everything that was not measured is nan."""
    nan = math.nan
    return Row(width, seed, nan, nan, nan, penalty, nan, 0, nan, 0.0, outcome, nan, 0, reason)


@dataclass(frozen=True, eq=False)
class Done:
    """A finished run: its row, its function as bytes (None if there is none), and what computed it."""

    row: Row
    function: bytes | None
    environment: str


_MOST = 3  # reasons to print for one outcome
_ADVICE = {
    FAILED: "runs that raised are kept and not tried again: change what the reason names, and use another store",
    LOST: "lost runs are tried again by the next start: give workers more memory, or start fewer of them",
}


def left_out(rows: Sequence[Row]) -> list[str]:
    """Lines on the runs that are not ok: their number, their reasons with how often they occur, and what to do; or none.

    Reasons that differ in numbers only are counted as one, of which the first is shown.
    """
    failed = [row for row in rows if not row.ok]
    if not failed:
        return []
    counts = sorted(Counter(row.outcome for row in failed).items())
    lines = [f"left out: {', '.join(f'{count} {name}' for name, count in counts)} of {len(rows)} runs"]
    for name, _ in counts:
        lines += [f"  {line}" for line in _reasons(name, [row.reason for row in failed if row.outcome == name])]
        lines += [f"  {_ADVICE[name]}"] if name in _ADVICE else []
    return lines


def _reasons(outcome: str, reasons: Iterable[str]) -> list[str]:
    """The commonest reasons of an outcome, one line each; what the outcome itself advises in place of an empty one."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "0", reason), []).append(reason)
    commonest = sorted(groups.values(), key=len, reverse=True)
    known = Outcome.__members__.get(outcome)
    lines = []
    for group in commonest[:_MOST]:
        text = group[0] or (known.value if known else "no reason was recorded")
        example = "for example, " if len(set(group)) > 1 else ""
        lines.append(f"{len(group)} {outcome}: {example}{textwrap.shorten(text, 320, placeholder=' ...')}")
    others = sum(map(len, commonest[_MOST:]))
    return lines + ([f"{others} {outcome} for other reasons, which the rows hold (--csv)"] if others else [])
