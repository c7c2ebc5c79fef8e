"""Functions as JSON text: the one place where what such a text holds is checked, entry by entry."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import nearest
from splinebias._array import Array
from splinebias.errors import DataError


class JsonText(ABC):
    """A function with an exact text form."""

    def to_json(self) -> str:
        """Exact text form; `from_json` of the same class reads it back bit for bit.

        Raises
        ------
        CapabilityError
            For parts of one's own, such as an activation, or a function in a sum.
        """
        return json.dumps(self._state())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The function written by `to_json`; DataError for any other text, which names the entry."""
        try:
            return cls(**cls._arguments(read_object(text)))
        except DataError as error:
            raise DataError(f"this is not the JSON text of a {cls.__name__}: {error}") from None

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """All there is to know about the function, in lists, numbers and words."""

    @classmethod
    @abstractmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""


def read_object(text: Any) -> dict[str, Any]:
    """The JSON object that a text is.

    Raises
    ------
    DataError
        If `text` is no text, no JSON, or another thing than an object.
    """
    if not isinstance(text, str):
        raise DataError(f"it must be a str, got {text!r}; use what to_json() wrote")
    try:
        state = json.loads(text)
    except RecursionError:
        raise DataError("its lists are within each other, and too many; use what to_json() wrote") from None
    except ValueError as error:  # no JSON; or a whole number of more digits than Python reads
        raise DataError(f"{error}; use what to_json() wrote") from None
    return checked_object(state, "it")


def checked_object(value: Any, name: str, entries: tuple[str, ...] = ()) -> dict[str, Any]:
    """`value` as an object, with exactly these `entries` if any are given, or a DataError."""
    if not isinstance(value, dict):
        raise DataError(f"{name} must be an object, got {value!r}")
    for key in value.keys() ^ set(entries) if entries else ():
        known = f"has the entries {', '.join(entries)}"
        raise DataError(f"{name} {known}, got {f'{key!r}{nearest(key, entries)}' if key in value else f'no {key!r}'}")
    return value


def checked_list(value: Any, name: str, size: int) -> list[Any]:
    """`value` as a list of `size` entries, or a DataError."""
    if not isinstance(value, list) or len(value) != size:
        raise DataError(f"{name} must be a list of {size} entries, got {value!r}")
    return value


def numbers(value: Any, name: str, shape: tuple[int | None, ...], *, finite: bool = True) -> Array:
    """`value` as an array of this `shape` (None: any number) of finite floats, or a DataError."""
    try:
        array = np.asarray(value, dtype=float) if isinstance(value, list) and _holds_numbers(value) else None
    except (ValueError, OverflowError):  # rows of different lengths; whole numbers beyond floats
        array = None
    if array is not None and array.size == 0 and 0 in [1 if size is None else size for size in shape]:
        array = array.reshape([0 if size is None else size for size in shape]) if array.ndim < len(shape) else array
    fits = array is not None and array.ndim == len(shape)
    fits = fits and all(size in (None, have) for size, have in zip(shape, array.shape, strict=True))  # type: ignore[union-attr]
    if array is None or not fits or (finite and not np.isfinite(array).all()):
        wanted = " x ".join("any number" if size is None else str(size) for size in shape)
        raise DataError(f"`{name}` must be a list of {'finite ' if finite else ''}numbers, {wanted} of them, got {value!r}")
    return array


def increasing(value: Any, name: str, size: int | None = None, *, least: int = 0) -> Array:
    """`value` as `size` numbers, `least` at least, none smaller than the one before it; or a DataError."""
    array = numbers(value, name, (size,))
    if array.size < least or (np.diff(array) < 0).any():
        raise DataError(f"`{name}` must hold {least or 'some'} increasing numbers or more, got {value!r}")
    return array


def row_numbers(value: Any, name: str, size: int, count: int) -> NDArray[np.intp]:
    """`value` as `size` whole numbers from -1 to `count` - 1, or a DataError."""
    array = numbers(value, name, (size,))
    if ((array < -1) | (array >= count) | (array != np.round(array))).any():
        raise DataError(f"`{name}` must hold whole numbers from -1 to {count - 1}, got {value!r}")
    return array.astype(np.intp)


def made(kinds: Mapping[str, Any], value: Any, name: str) -> Any:
    """One of `kinds`, from its name and its parameters in an object; or a DataError."""
    fields = dict(checked_object(value, name))
    kind = fields.pop("name", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise DataError(f"{name}.name must be one of {', '.join(kinds)}, got {kind!r}{nearest(kind, kinds)}")
    try:
        return kinds[kind](**fields)
    except TypeError as error:
        raise DataError(f"{name} has parameters that {kind} does not take: {error}") from None


def _holds_numbers(value: list[Any]) -> bool:
    """Whether lists hold numbers in the end, and nothing that numpy would take for one."""
    level = value
    while level and isinstance(level[0], list):
        if not all(isinstance(part, list) for part in level):
            return False
        level = [entry for part in level for entry in part]
    return all(type(entry) in (int, float) for entry in level)
