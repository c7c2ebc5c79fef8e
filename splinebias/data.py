"""Dataset and Points, of one and of several inputs: the one place where data are validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from splinebias._arguments import known_keywords, real_vector, true_or_false
from splinebias._array import Array
from splinebias._columns import checked_points, checked_rows, digits, file_columns, frame_column, of_rounding
from splinebias.errors import CapabilityError, DataError


class Weighted:
    """Points with weights, of one input or of several: `x`, `y` and `weights`, as many of each."""

    x: Array
    y: Array
    weights: Array

    @property
    def size(self) -> int:
        """Number M of distinct points."""
        return int(self.y.size)

    def with_ordinates(self, y: Array) -> Self:
        """The same points with other ordinates, shape (M,), in the order of `x` here."""
        return replace(self, y=y)  # type: ignore[type-var]  # both kinds are dataclasses

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("x", "y", "weights")
        )

    def __hash__(self) -> int:
        return hash((self.size, float(self.y.sum())))  # equality looks at all points


@known_keywords
@dataclass(frozen=True, eq=False)
class Dataset(Weighted):
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
        x, y, m = checked_points(self.x, self.y, self.weights)
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
        x, y, m = checked_points(x, y, weights)
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
        return (cls.from_replicates if true_or_false(replicates, "replicates") else cls)(*columns)

    @classmethod
    def from_csv(cls, path: str | Path, *, x: str = "x", y: str = "y", replicates: bool = False) -> Dataset:
        """Read two named columns of a CSV file with a header line (see `from_replicates` for `replicates`)."""
        make = cls.from_replicates if true_or_false(replicates, "replicates") else cls
        return make(*file_columns(path, (x, y)).T)

    @property
    def inputs(self) -> int:
        """Number of inputs: 1."""
        return 1

    @property
    def box(self) -> Array:
        """`span`, shape (1, 2)."""
        return np.array([self.span])

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest abscissa."""
        return float(self.x[0]), float(self.x[-1])

    @property
    def default_interval(self) -> tuple[float, float]:
        """Where functions are compared and drawn unless told otherwise: the span, a quarter wider on each side."""
        lo, hi = self.span
        return lo - (hi - lo) / 4, hi + (hi - lo) / 4

    def __repr__(self) -> str:
        lo, hi = self.span
        weighted = "" if (self.weights == 1).all() else f", weights {self.weights.min():g} to {self.weights.max():g}"
        return f"Dataset({self.size} points on [{lo:g}, {hi:g}]{weighted})"


@known_keywords
@dataclass(frozen=True, eq=False)
class Points(Weighted):
    r"""Points :math:`(x_i, y_i)`, :math:`i = 1..M`, to be interpolated, with distinct rows :math:`x_i` of d inputs.

    Parameters
    ----------
    x : array_like, shape (M, d)
        Inputs, one row a point, in any order, at least two distinct rows. Of one input `Dataset` is faster, and is taken by
        every verb. An exact duplicate (equal row and equal y) is merged into one point, weights added.
    y : array_like, shape (M,)
        Ordinates.
    weights : array_like, shape (M,), optional
        How often each point was observed, :math:`m_i \ge 0`, as in `Dataset`. Default: one each. Points of weight 0, and
        points that are masked in one of the arrays, are left out, with a warning.

    Raises
    ------
    DataError
        For NaN or infinity, complex or text, wrong or different shapes, fewer than two points, equal rows with
        different y (use `from_replicates`), negative weights.

    Notes
    -----
    Arrays are copied, rows are sorted (by the first input, then by the second, ...), and both are made read-only.
    """

    x: Array
    y: Array
    weights: Array = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        x, y, m = checked_rows(self.x, self.y, self.weights)
        distinct, place = np.unique(x, axis=0, return_inverse=True)
        place = place.ravel()
        order = np.argsort(place, kind="stable")
        first = order[np.flatnonzero(np.r_[True, np.diff(place[order]) > 0])] if order.size else order
        clash = np.flatnonzero(y != y[first[place]]) if order.size else order
        if clash.size:
            i = clash[0]
            raise DataError(
                f"equal rows of `x` must have equal `y`, got x = {x[i].tolist()} with y = {y[first[place[i]]]:g} and "
                f"{y[i]:g}; average replicates: Points.from_replicates(x, y)"
            )
        if len(distinct) < 2:
            raise DataError(
                f"at least 2 distinct points are needed, got {len(distinct)}; add a point with another row of `x`"
            )
        for name, array in (("x", distinct), ("y", y[first]), ("weights", np.bincount(place, weights=m))):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_replicates(cls, x: Any, y: Any, weights: Any = None) -> Points:
        """Group equal rows of x into one point with the weighted mean of its y and the sum of its weights (one each)."""
        x, y, m = checked_rows(x, y, weights)
        if not y.size:
            raise DataError("at least 2 distinct points are needed, got none; add points")
        distinct, place = np.unique(x, axis=0, return_inverse=True)
        order = np.argsort(place.ravel(), kind="stable")
        numbers, mean, count = _group(place.ravel()[order].astype(float), y[order], m[order])
        return cls(distinct[numbers.astype(int)], mean, count)

    @classmethod
    def from_csv(cls, path: str | Path, *, x: Sequence[str], y: str = "y", replicates: bool = False) -> Points:
        """Read named columns of a CSV file with a header line: those of the inputs `x`, in this order, and `y`."""
        table = file_columns(path, (*_names(x), y))
        make = cls.from_replicates if true_or_false(replicates, "replicates") else cls
        return make(table[:, :-1], table[:, -1])

    @classmethod
    def from_dataframe(
        cls, frame: Any, *, x: Sequence[str], y: str = "y", weights: str | None = None, replicates: bool = False
    ) -> Points:
        """Columns of a DataFrame, as `Dataset.from_dataframe`: those of the inputs `x`, in order, `y`, and `weights`."""
        inputs = np.stack([real_vector(frame_column(frame, name), str(name)) for name in _names(x)], axis=1)
        others = [real_vector(frame_column(frame, name), str(name)) for name in (y, weights) if name is not None]
        return (cls.from_replicates if true_or_false(replicates, "replicates") else cls)(inputs, *others)

    @property
    def inputs(self) -> int:
        """Number d of inputs."""
        return int(self.x.shape[1])

    @property
    def box(self) -> Array:
        """Smallest and largest value of every input, shape (d, 2)."""
        return np.stack([self.x.min(axis=0), self.x.max(axis=0)], axis=1)

    @property
    def span(self) -> tuple[float, float]:
        """Refused: there is no smallest and largest of several inputs.

        Raises
        ------
        CapabilityError
            Always: what asks for it works on a line.
        """
        raise CapabilityError(
            f"this works on a line, of one input, and got {self!r}; predict, train, study, error_band and compare take "
            "several inputs; one input goes into sb.Dataset(x, y)"
        )

    @property
    def default_interval(self) -> tuple[float, float]:
        """Refused, as `span`; see ``problem.default_box``."""
        return self.span

    def __repr__(self) -> str:
        return f"Points({self.size} points of {self.inputs} input{'s' * (self.inputs > 1)})"


def _names(x: Any) -> tuple[str, ...]:
    """Names of the columns of inputs, or a DataError."""
    if isinstance(x, str) or not isinstance(x, Sequence) or not len(x):
        raise DataError(f'`x` must be the names of the columns of all inputs, such as ["x1", "x2"], got {x!r}')
    return tuple(x)


def _group(x: Array, y: Array, m: Array) -> tuple[Array, Array, Array]:
    """Distinct x (sorted input), weighted mean of y, sum of weights."""
    distinct, index = np.unique(x, return_inverse=True)
    total = np.bincount(index, weights=m)
    mean = np.bincount(index, weights=m * y) / total
    first = np.flatnonzero(np.r_[True, x[1:] != x[:-1]])
    constant = np.bincount(index, weights=(y != y[first][index])) == 0
    mean = np.where(constant, y[first], mean)  # a mean of equal numbers can be off by rounding
    return distinct, np.asarray(mean, dtype=float), np.asarray(total, dtype=float)
