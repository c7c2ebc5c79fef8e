"""`StudySpec` as TOML text and back: problems and their parts as `Problem` writes and reads them, methods by name."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from splinebias._arguments import nearest
from splinebias._files import named_file, read_toml
from splinebias.errors import CapabilityError, DataError
from splinebias.problem import Problem
from splinebias.problem_tables import part_from_table, part_to_table

AXES = ("problems", "potentials", "initializations", "activations", "methods")
_PARTS = AXES[1:-1]
_STUDY = ("seed", "widths", "seeds", "loss_tol", "interval")
_METHODS = {
    "flow": ("flow.flow", "MirrorFlow"),
    "neuron_flow": ("neuron_flow.neuron_flow", "NeuronFlow"),
    "descent": ("descent.descent", "MirrorDescent"),
    "stochastic_descent": ("descent.descent", "StochasticMirrorDescent"),
}


def to_tables(spec: Any) -> dict[str, dict[str, Any]]:
    """A `StudySpec` as plain tables: [study], and one table of tables for each axis that has a name on it.

    Raises
    ------
    CapabilityError
        If a law, an activation, a potential or a method is not one of the library's own.
    """
    head = {name: getattr(spec, name) for name in _STUDY if getattr(spec, name) is not None}
    tables = {"study": head, "problems": {name: problem.to_tables() for name, problem in spec.problems.items()}}
    for axis in _PARTS:
        tables[axis] = {name: part_to_table(axis[:-1], part) for name, part in getattr(spec, axis).items()}
    tables["methods"] = {name: _method_table(method) for name, method in spec.methods.items()}
    return {name: table for name, table in tables.items() if table}


def read_spec(source: str | Path, root: str | Path | None = None) -> dict[str, Any]:
    """The arguments of `StudySpec` that a text or a file holds; files it names stay in `root`, by default its folder.

    Raises
    ------
    DataError
        If it cannot be read, is no TOML, or does not describe a study: the message names the entry.
    """
    tables, folder = read_toml(source, "study")
    head = _checked_head(tables)
    found: dict[str, Any] = {axis: {} for axis in AXES}
    for axis in AXES:
        for name, table in tables.get(axis, {}).items():
            if not isinstance(table, dict):
                raise DataError(f"[{axis}.{name}] must be a table, got {table!r}")
            if axis == "problems":
                found[axis][name] = _problem(name, table, folder, root)
            else:
                found[axis][name] = _method(name, table) if axis == "methods" else part_from_table(axis[:-1], table)
    return found | head


def _checked_head(tables: dict[str, Any]) -> dict[str, Any]:
    """The table [study], with `seeds` as a sequence; refuses what a study does not have."""
    known = ("study", *AXES)
    for name, table in tables.items():
        if name not in known or not isinstance(table, dict):
            raise DataError(f"a study has tables {', '.join(f'[{k}]' for k in known)}, got {name!r}{nearest(name, known)}")
    head: dict[str, Any] = dict(tables.get("study", {}))
    for name in set(head) - set(_STUDY):
        raise DataError(f"[study] takes {', '.join(_STUDY)}, got {name!r}{nearest(name, _STUDY)}")
    missing = [name for name in ("widths", "seeds") if name not in head] + ["problems"] * ("problems" not in tables)
    if missing:
        raise DataError(f"a study needs `widths` and `seeds` in [study], and [problems.NAME], got no {missing[0]!r}; add it")
    seeds = head["seeds"]
    head["seeds"] = range(seeds) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    return head


def is_spec(source: str | Path) -> bool:
    """Whether the text or file describes a study rather than a problem; DataError if it cannot be read or is no TOML."""
    return "study" in read_toml(source, "problem or study")[0]


def _problem(name: str, table: dict[str, Any], folder: Path, root: str | Path | None) -> Problem:
    """[problems.NAME]: the tables of a problem, or `file`."""
    try:
        if set(table) == {"file"} and isinstance(table["file"], str):
            found = named_file(table["file"], "file", folder, root)
            return Problem.from_toml(found, root=folder if root is None else root)
        return Problem.from_tables(table, folder, root=root)
    except DataError as error:
        raise DataError(f"[problems.{name}]: {error}") from None


def _method(name: str, table: dict[str, Any]) -> Any:
    """[methods.NAME]: `name` and the fields of a training method."""
    options = dict(table)
    kind = options.pop("name", None)
    if not isinstance(kind, str) or kind not in _METHODS:
        raise DataError(
            f"[methods.{name}] `name` must be one of {', '.join(_METHODS)}, got {kind!r}{nearest(kind, _METHODS)}"
        )
    module, method = _METHODS[kind]
    try:
        return getattr(import_module(f"splinebias.training.{module}"), method)(**options)
    except TypeError as error:
        raise DataError(f"[methods.{name}] has parameters that {kind} does not take: {error}") from None


def _method_table(method: Any) -> dict[str, Any]:
    """A training method as the table that `_method` reads."""
    name = next((name for name, (_, kind) in _METHODS.items() if type(method).__name__ == kind), None)
    if name is None:
        raise CapabilityError(f"only the library's own methods can be written to TOML, got {method!r}; use one of those")
    values = {field.name: getattr(method, field.name) for field in fields(method)}
    if made := [key for key, value in values.items() if callable(value)]:
        raise CapabilityError(
            f"a function cannot be written to TOML, got one as `{made[0]}`; give its values, one for each step"
        )
    return {"name": name} | {key: value for key, value in values.items() if value not in (None, 0.0)}  # False is 0 as well
