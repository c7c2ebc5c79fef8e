"""One run of a study, and many of them as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from splinebias.errors import Outcome

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
    `penalty`), nan where it is not defined. `passes` counts evaluations of loss and gradient of the batch that the network
    was part of.
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


def table_of(rows: Iterable[Row]) -> NDArray[np.void]:
    """The rows as a read-only structured array, shape (R,), with fields `COLUMNS`."""
    table = np.array([row[: len(COLUMNS)] for row in rows], dtype=_DTYPE)
    table.setflags(write=False)
    return table


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
