"""The difference between two specifications in words: what is renamed, new, gone or changed, however long its lists are."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from splinebias.initialization.tables.law_tables import canonical
from splinebias.studies.spec_text import AXES

_SHORT = 80  # characters of a value to print whole


def difference(old: str, new: str) -> tuple[str, bool]:
    """How the text `new` differs from `old`, in words (empty if it does not), and whether it only adds to the grid.

    The order of names does not count, nor how a law of scipy is given its parameters.

    Raises
    ------
    ValueError
        If a text is no TOML of tables.
    """
    before, after = _tables(old), _tables(new)
    numbers, grows = [], True
    for entry in ("widths", "seeds"):
        fewer, more = (set(tables.get("study", {}).pop(entry, [])) for tables in (before, after))
        numbers += [f"{entry} without {_list(sorted(fewer - more))}"] if fewer - more else []
        numbers += [f"{entry} also {_list(sorted(more - fewer))}"] if more - fewer else []
        grows &= fewer <= more
    words = _changed(before.get("study", {}), after.get("study", {}), "study")
    grows &= not words
    for axis in AXES:
        was, now = before.get(axis, {}), after.get(axis, {})
        other = _renamed(was, now, axis) + [f"{axis}.{name} is gone" for name in was if name not in now]
        added = [f"{axis}.{name} is new" for name in now if name not in was]
        changed = [line for name in was if name in now for line in _changed(was[name], now[name], f"{axis}.{name}")]
        words += other + added + changed
        grows &= not other + changed and (bool(was) or not added)  # a new axis replaces a part of every problem
    words += numbers
    most = 8
    rest = [f"and {len(words) - most} more differences"] if len(words) > most else []
    return "; ".join(words[:most] + rest), grows


def _tables(text: str) -> dict[str, dict[str, Any]]:
    """The tables of a specification, laws in one form."""
    if not isinstance(text, str):
        raise ValueError("its specification is no text")
    tables: dict[str, dict[str, Any]] = canonical(tomllib.loads(text))
    if not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError("its specification is none")
    return tables


def _renamed(was: dict[str, Any], now: dict[str, Any], axis: str) -> list[str]:
    """Words on things that only have another name; they have the new one in both afterwards."""
    words = []
    for name in [name for name in was if name not in now]:
        new = next((other for other in now if other not in was and now[other] == was[name]), None)
        if new is not None:
            was[new] = was.pop(name)
            words.append(f"{axis}.{name} is now called {new}")
    return words


def _changed(was: Any, now: Any, path: str) -> list[str]:
    """Words on every entry below `path` that differs."""
    if was == now:
        return []
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return [
            line for key in dict.fromkeys([*was, *now]) for line in _changed(was.get(key), now.get(key), f"{path}.{key}")
        ]
    if isinstance(was, list) and isinstance(now, list) and max(len(repr(was)), len(repr(now))) > _SHORT:
        return [f"{path} {_between(was, now)}"]
    return [f"{path} {_value(was)} -> {_value(now)}"]


def _between(was: Sequence[Any], now: Sequence[Any]) -> str:
    """How two lists differ, of which one is long."""
    apart = [index for index, (one, other) in enumerate(zip(was, now, strict=False)) if one != other]
    sizes = f"of {len(was)} entries" if len(was) == len(now) else f"of {len(was)} entries -> {len(now)}"
    if not apart:
        return sizes
    first = ", ".join(f"[{i}] {_value(was[i])} -> {_value(now[i])}" for i in apart[:2])
    return f"{sizes}, {len(apart)} differ: {first}{', ...' if len(apart) > 2 else ''}"


def _list(values: Sequence[int]) -> str:
    """A list of numbers, of which a long one is cut."""
    text = repr(values)
    return text if len(text) <= _SHORT else f"[{', '.join(map(repr, values[:5]))}, ... {len(values)} in all]"


def _value(value: Any) -> str:
    """A value, of which a long one is cut."""
    return "none" if value is None else textwrap.shorten(repr(value), _SHORT, placeholder=" ...")
