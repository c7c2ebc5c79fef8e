"""Argument checks shared by every module: each states the rule, the value received and the fix."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import numbers
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numpy as np

from splinebias._array import Array
from splinebias.errors import DataError, UnknownArgument

_Called = TypeVar("_Called", bound=Callable[..., Any])
_PERIODIC = (
    "periodic data are not supported: a network on the line is no periodic function, and its penalty is not the same at "
    "the two ends of a period; repeat the data over three periods, with a law that covers them, and read the middle one"
)
_NOT_SUPPORTED = {  # what is looked for and has an answer of its own
    "period": _PERIODIC,
    "periodic": _PERIODIC,
    "loss": "limits are those of the squared error; other losses are an argument of sb.train",
}


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


def listed(value: Any) -> Any:
    """One number as a list of it, anything else as it is: where one time, width or point stands for a list of them."""
    return value if isinstance(value, list | tuple) or np.ndim(value) else [entry(value)]


def whole_number(value: Any, name: str, *, at_least: int = 0, fix: str = "") -> int:
    """`value` as an int >= `at_least`, or a DataError; 1e3 is 1000, and an array of no dimension is its entry."""
    given, value = value, entry(value)
    if isinstance(value, float | np.floating) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or value < at_least:
        value = given
        raise DataError(f"`{name}` must be a whole number >= {at_least}, got {value!r}" + (f"; {fix}" if fix else ""))
    return int(value)


def true_or_false(value: Any, name: str) -> bool:
    """`value` as a bool, one of numpy included, or a DataError: 1, "no" and None are none."""
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"`{name}` must be True or False, got {value!r}")
    return bool(value)


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


def time_of(time: Any, name: str) -> float:
    """A training time >= 0, infinity included, as a float, or a DataError."""
    time = entry(time)
    try:
        accepted = isinstance(time, numbers.Real) and not isinstance(time, bool | np.bool_)
        value = float(time) if accepted else math.nan
    except OverflowError:
        raise DataError(f"`{name}` must be at most {sys.float_info.max:.2g}, got more; inf stands for the limit") from None
    if not value >= 0:
        got = f"an array of shape {time.shape}" if isinstance(time, np.ndarray) else repr(time)
        raise DataError(f"`{name}` must be a number >= 0, got {got}; inf stands for the limit")
    return value


def times_of(times: Any) -> Array:
    """Training times >= 0, one at least, as a read-only vector, or a DataError."""
    times = entry(times)
    if isinstance(times, numbers.Real):
        times = [times]
    vector = [] if isinstance(times, str | bytes) or not np.iterable(times) else list(times)
    if not vector:
        raise DataError(f"`times` must be one number >= 0 or a vector of such numbers, got {times!r}")
    checked = np.array([time_of(t, f"times[{i}]") for i, t in enumerate(vector)])
    checked.setflags(write=False)
    return checked


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


def points_of(value: Any, inputs: int, name: str = "x", *, finite: bool = True) -> Array:
    """`value` as float64 points of shape (..., inputs), `finite` ones unless told otherwise, or a DataError."""
    array = real_array(value, name)
    if array.ndim == 0 or array.shape[-1] != inputs:
        raise DataError(f"`{name}` must have shape (..., {inputs}), an input each along the last axis, got {array.shape}")
    if finite and not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite, got {np.count_nonzero(~np.isfinite(array))} numbers that are not")
    return array


def at_finite(evaluate: Callable[[Array], Any], x: Array, *, points: bool = False) -> Array:
    """`evaluate` where `x` is finite, nan elsewhere: no function has a value at infinity, whatever it tends to.

    With `points` the last axis of `x` holds the inputs of a point, all of which have to be finite.
    """
    known = np.isfinite(x).all(axis=-1) if points else np.isfinite(x)
    if known.all():
        return np.asarray(evaluate(x))
    values = np.full(known.shape, math.nan)
    if known.any():
        values[known] = evaluate(x[known])
    return values


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that names the line outside of this package which led here, however many frames away."""
    frame, level = sys._getframe(1), 3
    while (frame := frame.f_back) and frame.f_globals.get("__name__", "").split(".")[0] == "splinebias":  # type: ignore[assignment]
        level += 1
    warnings.warn(message, category, stacklevel=level)


def memory_left() -> float:
    """Bytes of memory that this machine has left, about; infinity where the system does not say."""
    return _memory("SC_AVPHYS_PAGES", "SC_PHYS_PAGES")


def memory_of_machine() -> float:
    """Bytes of memory that this machine has, in use or not; infinity where the system does not say."""
    return _memory("SC_PHYS_PAGES")


def _memory(*names: str) -> float:
    for pages in names:
        with suppress(AttributeError, ValueError, OSError):  # no such function, no such name, not now
            return float(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE"))
    return math.inf


def known_keywords(called: _Called) -> _Called:
    """`called` with unknown and missing arguments refused in words; of a class, its constructor and class methods.

    Types stay. A call costs some tenths of a microsecond more. Callables that hand ``**options`` on are as they were.

    Raises
    ------
    UnknownArgument
        When called: a DataError and, as for any function, a TypeError.
    """
    if not isinstance(called, type):
        return cast(_Called, _checked(called, called.__qualname__))
    members = {name: member for base in reversed(called.__mro__[:-1]) for name, member in vars(base).items()}
    for name, member in members.items():
        if isinstance(member, classmethod) and not name.startswith("_"):
            setattr(called, name, classmethod(_checked(member.__func__, f"{called.__qualname__}.{name}")))
    if "__init__" in vars(called):
        type.__setattr__(called, "__init__", _checked(vars(called)["__init__"], called.__qualname__))
    return cast(_Called, called)


def _checked(called: Any, name: str) -> Any:
    """`called`, with its keywords looked at first."""
    signature = inspect.signature(called)
    takes = signature.parameters.values()
    if any(part.kind is part.VAR_KEYWORD for part in takes):
        return called
    names = [part.name for part in takes if part.kind in (part.POSITIONAL_OR_KEYWORD, part.KEYWORD_ONLY)]
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    known = frozenset(names)

    @functools.wraps(called)
    def checked(*args: Any, **keywords: Any) -> Any:
        if not keywords.keys() <= known:
            refuse_unknown(keywords, names, f"`{name}`")
        try:
            return called(*args, **keywords)
        except TypeError:
            try:
                signature.bind(*args, **keywords)
            except TypeError as wrong:
                raise UnknownArgument(f"`{name}` takes {', '.join(names) or 'nothing'}; {wrong}") from None
            raise  # an error of its body

    checked.__qualname__ = name
    return checked


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str, rest: str = "") -> None:
    """Raise an UnknownArgument for the first name of `given` that is not among `known`; `rest` says what else is taken."""
    known = list(known)
    for name in given:
        if name in known:
            continue
        if name in _NOT_SUPPORTED:
            raise UnknownArgument(f"{what} has no argument {name!r}: {_NOT_SUPPORTED[name]}")
        takes = (f"takes {', '.join(known)}" if known else "takes no keywords") + rest
        raise UnknownArgument(f"{what} {takes}, got {name!r}{nearest(name, known)}")
