"""Dataset: the one place where data are validated."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias._columns import digits, frame_column, number_column, of_rounding, without_masked, without_zeros
from splinebias._files import unreadable
from splinebias.errors import DataError

_SHOWN = 20  # characters of a cell in a refusal


@dataclass(frozen=True, eq=False)
class Dataset:
    r"""Points :math:`(x_i, y_i)`, :math:`i = 1..M`, to be interpolated, with distinct real :math:`x_i`.

    Parameters
    ----------
    x, y : array_like, shape (M,)
        Abscissae and ordinates; any order, at least two distinct abscissae. An exact duplicate
        (equal x and equal y) is merged into one point, weights added.
    weights : array_like, shape (M,), optional
        How often each point was observed, :math:`m_i \ge 0`. The loss is
        :math:`\frac{1}{2 \sum m} \sum_i m_i (f(x_i) - y_i)^2`. Default: one each. Points of weight 0 are left out, with a
        warning.

    Raises
    ------
    DataError
        For NaN or infinity, complex or text, wrong or different shapes, fewer than two points,
        equal x with different y (use `from_replicates`), negative weights.

    Notes
    -----
    Tables of one column are vectors, and torch tensors arrays, whose gradients are not followed. Points that are masked in
    one of the arrays are left out, with a warning.
    Arrays are copied, sorted by x and made read-only. Weights change training trajectories at finite
    time only: any interpolant has zero loss whatever its weights.
    """

    x: Array
    y: Array
    weights: Array = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        original = self.x
        x, y, m = _points(self.x, self.y, self.weights, depth=4)
        order = np.argsort(x, kind="stable")
        x, y, m = x[order], y[order], m[order]
        same = np.flatnonzero(x[1:] == x[:-1])
        clash = same[y[same] != y[same + 1]]
        if clash.size:
            i = clash[0]
            raise DataError(
                f"equal `x` must have equal `y`, got x = {digits(x[i])} with y = {y[i]:g} and {y[i + 1]:g}; "
                "average replicates: Dataset.from_replicates(x, y), or `replicates = true` for data in files"
                + of_rounding(original, x[i], x[-1] - x[0])
            )
        if same.size:
            x, y, m = _group(x, y, m)
        if x.size < 2:
            raise DataError(f"at least 2 distinct points are needed, got {x.size}; add a point with another `x`")
        for name, array in (("x", x), ("y", y), ("weights", m)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_replicates(cls, x: Any, y: Any, weights: Any = None) -> Dataset:
        """Group equal x into one point with the weighted mean of its y and the sum of its weights, by default one each.

        The gradient flow on the replicated data equals the weighted flow on the grouped data.
        """
        x, y, m = _points(x, y, weights, depth=3)
        if not x.size:
            raise DataError("at least 2 distinct points are needed, got none; add points")
        order = np.argsort(x, kind="stable")
        return cls(*_group(x[order], y[order], m[order]))

    @classmethod
    def from_dataframe(
        cls, frame: Any, *, x: Any = "x", y: Any = "y", weights: Any = None, replicates: bool = False
    ) -> Dataset:
        """Columns of a DataFrame, of pandas or of anything that has `columns` and gives them by name.

        Parameters
        ----------
        frame : DataFrame
            With columns of numbers; missing entries are refused: ``frame.dropna()``.
        x, y, weights : hashable
            Names of columns; `weights` None: one each.
        replicates : bool
            Whether equal x are averaged: see `from_replicates`.

        Raises
        ------
        DataError
            If a column is missing or holds no numbers; otherwise as `Dataset`.
        """
        columns = [frame_column(frame, x), frame_column(frame, y)]
        columns += [] if weights is None else [frame_column(frame, weights)]
        return (cls.from_replicates if replicates else cls)(*columns)

    @classmethod
    def from_csv(cls, path: str | Path, *, x: str = "x", y: str = "y", replicates: bool = False) -> Dataset:
        """Read two named columns of a CSV file with a header line (see `from_replicates` for `replicates`)."""
        if not isinstance(path, str | Path):
            raise DataError(f"`path` must be the name of a CSV file, got {path!r}")
        make = cls.from_replicates if replicates else cls
        return make(*_read_columns(path, (x, y)).T)

    @property
    def size(self) -> int:
        """Number M of distinct points."""
        return int(self.x.size)

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest abscissa."""
        return float(self.x[0]), float(self.x[-1])

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        lo, hi = self.span
        weighted = "" if (self.weights == 1).all() else f", weights {self.weights.min():g} to {self.weights.max():g}"
        return f"Dataset({self.size} points on [{lo:g}, {hi:g}]{weighted})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("x", "y", "weights")
        )

    def __hash__(self) -> int:
        return hash((self.size, self.span))  # equality looks at all points


def _read_columns(path: str | Path, names: tuple[str, str]) -> Array:
    """Two columns of a CSV file, shape (M, 2); a file that is no table is refused without a word of what is in it."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, first = list(reader.fieldnames or []), next(reader, {})
            for name in names:
                if name not in columns:
                    found = ", ".join(columns) if _is_table(columns, first) else "no header above lines of numbers"
                    raise DataError(f"column {name!r} is missing in {path}; it has {found}")
                if columns.count(name) > 1:
                    raise DataError(
                        f"column {name!r} stands {columns.count(name)} times in the header of {path}; rename one"
                    )
            rows = [(reader.line_num, row) for row in chain([first] if first else [], reader)]
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, or a name that no file can have
        raise unreadable("data", path, error) from None
    except csv.Error as error:
        raise DataError(f"cannot read the data file {path} as CSV: {error}; mend that line") from None
    table = np.empty((len(rows), 2))
    for number, (line, row) in enumerate(rows):
        cells = [row[name] for name in names]
        try:
            table[number] = [float(cell) for cell in cells]
        except (TypeError, ValueError):
            shown = ", ".join("nothing" if cell is None else repr(cell[:_SHOWN]) for cell in cells)
            raise DataError(f"line {line} of {path} must hold two numbers, got {shown}; mend that line") from None
    return table


def _is_table(columns: Sequence[str], first: Mapping[Any, Any]) -> bool:
    """Whether names of columns stand above as many cells, of which two are numbers."""
    cells = list(first.values())
    return None not in first and None not in cells and sum(map(_is_number, cells)) > 1 and max(map(len, columns)) < 80


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _points(x: Any, y: Any, weights: Any, *, depth: int) -> tuple[Array, Array, Array]:
    """Abscissae, ordinates and positive weights as vectors of one length, or a DataError; warnings are for `depth` up."""
    x, y, weights = without_masked([x, y, weights], depth=depth)
    x, y = number_column(x, "x"), number_column(y, "y")
    if x.shape != y.shape:
        raise DataError(f"`x` and `y` must have one length, got {x.size} and {y.size}; pair every x with one y")
    m = np.ones_like(x) if weights is None else number_column(weights, "weights")
    if m.shape != x.shape or (m < 0).any():
        raise DataError(
            f"`weights` must be {x.size} numbers >= 0, got {m.size} with minimum {m.min(initial=math.inf):g}; drop points "
            "that do not count, or give them 0"
        )
    x, y, m = without_zeros([x, y], m, depth=depth)
    return x, y, m


def _group(x: Array, y: Array, m: Array) -> tuple[Array, Array, Array]:
    """Distinct x (sorted input), weighted mean of y, sum of weights."""
    distinct, index = np.unique(x, return_inverse=True)
    total = np.bincount(index, weights=m)
    mean = np.bincount(index, weights=m * y) / total
    first = np.flatnonzero(np.r_[True, x[1:] != x[:-1]])
    constant = np.bincount(index, weights=(y != y[first][index])) == 0
    mean = np.where(constant, y[first], mean)  # a mean of equal numbers can be off by rounding
    return distinct, np.asarray(mean, dtype=float), np.asarray(total, dtype=float)
