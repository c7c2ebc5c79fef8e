"""Columns of data as they come: tensors, masked arrays, tables, data frames, CSV files; why equal abscissae are equal."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from splinebias._arguments import nearest, real_vector, warn_caller
from splinebias._array import Array
from splinebias._files import unreadable
from splinebias.errors import DataError

_SHOWN = 20  # characters of a cell in a refusal
_NO_HEADER = "no header above lines of numbers"
_DATES = (
    "subtract the first one and divide by a unit, for example (dates - dates.min()) / np.timedelta64(1, 'D')"  # a way out
)


def plain_column(value: Any) -> Any:
    """`value` without what numpy does not read by itself: a torch tensor as an array, a table of one column as a vector.

    Gradients of tensors are not followed.
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, list | tuple) and value and all(map(_single, value)):
        value = np.asarray(value)
        shape = value.shape
    if shape is not None and len(shape) == 2 and shape[1] == 1 and shape[0] > 1:
        masked = isinstance(value, np.ma.MaskedArray)
        return (value if masked else np.asarray(value)).reshape(-1)
    return value


def _single(entry: Any) -> bool:
    """Whether an entry of a list is itself a list, or an array, of one entry."""
    return getattr(entry, "shape", None) == (1,) or (isinstance(entry, list | tuple) and len(entry) == 1)


def number_column(value: Any, name: str) -> Array:
    """`value` as a fresh finite vector, after `plain_column`; DataError for what is none, dates with the way to numbers."""
    value = plain_column(value)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        raise DataError(f"`{name}` must hold numbers, got dates or durations; {_DATES}")
    return real_vector(value, name)


def without_masked(columns: Sequence[Any]) -> list[Any]:
    """Columns of one length without the rows in which one of them is masked, which a warning counts."""
    plain = [plain_column(column) for column in columns]
    masks = [np.ma.getmaskarray(column) for column in plain if np.ma.is_masked(column)]
    if not masks or len({np.shape(column) for column in plain if column is not None}) > 1 or masks[0].ndim != 1:
        return plain  # as it is, or refused for its shape
    masked = np.any(masks, axis=0)
    warn_caller(f"{np.count_nonzero(masked)} of {masked.size} points are masked and left out")
    return [None if column is None else np.ma.getdata(np.ma.asarray(column))[~masked] for column in plain]


def without_zeros(columns: Sequence[Array], weights: Array) -> list[Array]:
    """Columns and `weights` without the rows of weight 0, which a warning counts."""
    zero = weights == 0
    if zero.any():
        warn_caller(f"{np.count_nonzero(zero)} of {zero.size} points have weight 0 and are left out")
    return [column[~zero] for column in (*columns, weights)]


def _weights(weights: Any, y: Array) -> Array:
    """Weights >= 0, as many as ordinates, or a DataError; None: one each."""
    m = np.ones_like(y) if weights is None else number_column(weights, "weights")
    if m.shape != y.shape or (m < 0).any():
        raise DataError(
            f"`weights` must be {y.size} numbers >= 0, got {m.size} with minimum {m.min(initial=math.inf):g}; drop points "
            "that do not count, or give them 0"
        )
    return m


def checked_points(x: Any, y: Any, weights: Any) -> tuple[Array, Array, Array]:
    """Abscissae, ordinates and positive weights as vectors of one length, or a DataError."""
    x, y, weights = without_masked([x, y, weights])
    x, y = number_column(x, "x"), number_column(y, "y")
    if x.shape != y.shape:
        raise DataError(f"`x` and `y` must have one length, got {x.size} and {y.size}; pair every x with one y")
    x, y, m = without_zeros([x, y], _weights(weights, y))
    return x, y, m


def checked_rows(x: Any, y: Any, weights: Any) -> tuple[Array, Array, Array]:
    """Rows of inputs, as many ordinates and positive weights, or a DataError; masked ones and weights 0 are left out."""
    try:
        shape = np.shape(x)
    except ValueError:
        raise DataError("`x` must be a matrix of shape (M, d), got rows of different lengths") from None
    if len(shape) != 2 or shape[1] == 0:
        hint = "for one input use sb.Dataset(x, y)" if len(shape) == 1 else "one row a point, one column an input"
        raise DataError(f"`x` of Points must be a matrix of shape (M, d), got shape {shape}; {hint}")
    if isinstance(x, list | tuple):
        x = np.asarray(x)
    taken = [x[:, j] if hasattr(x, "ndim") else np.asarray(x)[:, j] for j in range(shape[1])]
    *taken, y, weights = without_masked([*taken, y, weights])
    columns = [real_vector(column, f"x[:, {j}]") for j, column in enumerate(taken)]
    rows, y = np.stack(columns, axis=1) + 0.0, real_vector(y, "y")  # + 0.0: no -0.0, which sorts apart from 0.0
    if len(rows) != y.size:
        raise DataError(f"`x` and `y` must have one length, got {len(rows)} and {y.size}; pair every row of x with one y")
    rows, y, m = without_zeros([rows, y], _weights(weights, y))
    return rows, y, m


def frame_column(frame: Any, name: Any) -> Any:
    """The column of a DataFrame that has a name, as an array; DataError if there is none, or two, or no numbers in it."""
    columns = list(getattr(frame, "columns", ()))
    if not hasattr(frame, "__getitem__") or not columns:
        raise DataError(f"`frame` must be a DataFrame with columns, got {type(frame).__name__}; for arrays take sb.Dataset")
    if columns.count(name) != 1:
        there = f"{columns.count(name)} of that name" if name in columns else f"{', '.join(map(str, columns[:20]))}"
        raise DataError(f"column {name!r} must stand once in the frame, got {there}{nearest(name, map(str, columns))}")
    column = np.asarray(frame[name])
    if column.dtype.kind != "O":
        return column
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"column {name!r} must hold numbers, got entries that are none or missing; drop them: frame.dropna()"
        ) from None


def file_columns(path: Any, names: tuple[str, ...]) -> Array:
    """Named columns of a CSV file, a column each; a file that is no table is refused without a word of what is in it."""
    if not isinstance(path, str | Path):
        raise DataError(f"`path` must be the name of a CSV file, got {path!r}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, first = list(reader.fieldnames or []), next(reader, {})
            for name in names:
                if name not in columns:
                    raise DataError(f"column {name!r} is missing in {path}; it has {_found(columns, first)}")
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
    table = np.empty((len(rows), len(names)))
    for number, (line, row) in enumerate(rows):
        cells = [row[name] for name in names]
        try:
            table[number] = [float(cell) for cell in cells]
        except (TypeError, ValueError):
            shown = ", ".join("nothing" if cell is None else repr(cell[:_SHOWN]) for cell in cells)
            count = "two" if len(names) == 2 else len(names)
            raise DataError(f"line {line} of {path} must hold {count} numbers, got {shown}; mend that line") from None
    return table


def _found(columns: Sequence[str], first: Mapping[Any, Any]) -> str:
    """What stands where names of columns should; without a word of a file that is no table."""
    if not _is_table(columns, first):
        other = {";": "semicolons", "\t": "tabs"}
        apart = [other[mark] for mark in other if len(columns) == 1 and mark in columns[0]]
        return f"{apart[0]} between its fields; write commas there, and decimal points" if apart else _NO_HEADER
    if all(map(_is_number, columns)):
        return "numbers in its first line; write a line with the names of the columns above them"
    return ", ".join(columns)


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


def digits(value: float) -> str:
    """All digits of a number, no more: 1499170048 rather than 1.49917e9."""
    return repr(float(value)).removesuffix(".0")


def of_rounding(original: Any, where: float, span: float) -> str:
    """Words on why abscissae near `where` may have become equal: the numbers of their type are far apart; or nothing."""
    kind = getattr(plain_column(original), "dtype", None)
    held = kind if kind is not None and kind.kind == "f" else np.dtype(np.float64)
    name = str(getattr(original, "dtype", held)).removeprefix("torch.")
    gap = float(np.spacing(np.abs(np.asarray(where, dtype=name if name in ("float16", "float32") else held))))
    if name not in ("float16", "float32") and gap < 1e-9 * span:
        return ""
    return (
        f"; numbers of {name} near {where:.6g} are {gap:.3g} apart, so that points which differed may have become equal: "
        "subtract the first x before they are rounded, in float64"
    )
