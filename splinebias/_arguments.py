"""Argument checks shared by every module: each states the rule, the value received and the fix."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.errors import DataError


def namespace(array: Any) -> Any:
    """torch for a torch tensor, else numpy: bodies that run on both use the names the two share."""
    return sys.modules["torch"] if type(array).__module__.split(".")[0] == "torch" else np


def real_number(value: Any, name: str, *, above: float = -math.inf, at_least: float = -math.inf, fix: str = "") -> float:
    """`value` as a finite float with `value > above` and `value >= at_least`, or a DataError."""
    rule = "a finite real number"
    if above > -math.inf:
        rule = f"a finite real number > {above:g}"
    elif at_least > -math.inf:
        rule = f"a finite real number >= {at_least:g}"
    value = entry(value)
    accepted = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    try:
        finite = accepted and math.isfinite(value)
    except OverflowError:  # an int or a fraction above every float
        finite = False
    if not (finite and value > above and value >= at_least):
        raise DataError(f"`{name}` must be {rule}, got {value!r}" + (f"; {fix}" if fix else ""))
    return float(value)


def entry(value: Any) -> Any:
    """The entry of an array or a tensor of no dimension; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def whole_number(value: Any, name: str, *, at_least: int = 0, fix: str = "") -> int:
    """`value` as an int >= `at_least`, or a DataError; 1e3 is 1000, and an array of no dimension is its entry."""
    given, value = value, entry(value)
    if isinstance(value, float | np.floating) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or value < at_least:
        value = given
        raise DataError(f"`{name}` must be a whole number >= {at_least}, got {value!r}" + (f"; {fix}" if fix else ""))
    return int(value)


def keep_plain(instance: Any, *whole: str) -> None:
    """Numbers in a frozen dataclass as Python's own, which print, hash and compare; checked fields in `whole` as ints."""
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        plain = int(value) if field.name in whole else entry(value)
        if plain is not value:
            object.__setattr__(instance, field.name, plain)


def real_array(value: Any, name: str) -> Array:
    """`value` as a float64 array of its own shape, infinities and NaN included, or a DataError."""
    with suppress(ValueError, TypeError, OverflowError):  # rows of different lengths, objects that are no numbers
        array = np.asarray(value)
        if array.dtype.kind in "iufbO":
            return array.astype(np.float64, copy=False)
    raise DataError(f"`{name}` must be real numbers, in an array of any shape, got {value!r}")


def real_vector(value: Any, name: str, *, fix: str = "drop or impute such points") -> Array:
    """`value` as a fresh finite float64 vector, shape (n,), or a DataError; `fix` is for entries that are not finite."""
    if np.ma.is_masked(value):  # np.asarray would hand out what is behind the mask
        masked = int(np.ma.getmaskarray(value).sum())
        raise DataError(f"`{name}` must have no masked entries, got {masked}; drop those points from all arrays")
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(
            f"`{name}` must be one-dimensional, got rows of different lengths; pass a vector of shape (n,)"
        ) from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"`{name}` must hold real numbers, got dtype {array.dtype}; convert it to float first")
    if isinstance(value, list | tuple) and {bool, np.bool_} & set(map(type, value)):  # among numbers they become 0 and 1
        raise DataError(f"`{name}` must hold real numbers, got True or False among them; leave it out or write a number")
    if array.ndim != 1:
        raise DataError(f"`{name}` must be one-dimensional, got shape {array.shape}; pass a vector of shape (n,)")
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise DataError(f"`{name}` must be finite, got {array[bad[0]]} at index {bad[0]}; {fix}")
    return array


def nearest(name: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'abs'?"`` if `name` is a misspelling of one of `known`, else nothing."""
    found = difflib.get_close_matches(name, list(known), n=1) if isinstance(name, str) else []
    return f"; did you mean {found[0]!r}?" if found else ""


def interval(value: Any, name: str = "interval") -> tuple[float, float]:
    """`value` as a pair (lo, hi) of finite floats with lo < hi, or a DataError."""
    try:
        ends = np.asarray(value)
    except ValueError:  # rows of different lengths
        ends = np.zeros(0)
    if ends.dtype.kind not in "iuf" or ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise DataError(f"`{name}` must be a pair of finite numbers (lo, hi) with lo < hi, got {value!r}")
    return float(ends[0]), float(ends[1])


def points_of(value: Any, inputs: int, name: str = "x") -> Array:
    """`value` as finite float64 points of shape (..., inputs), or a DataError."""
    array = real_array(value, name)
    if array.ndim == 0 or array.shape[-1] != inputs:
        raise DataError(f"`{name}` must have shape (..., {inputs}), an input each along the last axis, got {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite, got {np.count_nonzero(~np.isfinite(array))} numbers that are not")
    return array


def memory_left() -> float:
    """Bytes of memory that this machine has left, about; infinity where the system does not say."""
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        with suppress(AttributeError, ValueError, OSError):  # no such function, no such name, not now
            return float(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE"))
    return math.inf
