"""`StudySpec` as TOML text and back.

The parts of a problem are read and written as parts of a `Problem`: whatever it can write, a specification can.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from splinebias._arguments import nearest
from splinebias._files import read_source, write_atomically
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.initialization import Initialization
from splinebias.problem import Problem

AXES = ("problems", "potentials", "initializations", "activations", "methods")
_PARTS = ("potentials", "initializations", "activations")
_STUDY = ("seed", "widths", "seeds", "loss_tol", "interval")
_METHODS = {
    "flow": ("flow.flow", "MirrorFlow"),
    "descent": ("descent.descent", "MirrorDescent"),
    "stochastic_descent": ("descent.descent", "StochasticMirrorDescent"),
}


def write_spec(spec: Any, path: str | Path | None) -> str:
    """The text of a `StudySpec`, also written to `path` if there is one."""
    head: dict[str, Any] = {"seed": spec.seed, "widths": list(spec.widths), "seeds": list(spec.seeds)}
    head["loss_tol"] = float(spec.loss_tol)
    if spec.interval is not None:
        head["interval"] = list(spec.interval)
    tables: dict[str, Any] = {"study": head}
    tables["problems"] = {name: tomllib.loads(problem.to_toml()) for name, problem in spec.problems.items()}
    for axis in _PARTS:
        tables[axis] = {name: _part_table(axis[:-1], value) for name, value in getattr(spec, axis).items()}
    tables["methods"] = {name: _method_table(method) for name, method in spec.methods.items()}
    text = _document({name: table for name, table in tables.items() if table})
    if path is not None:
        write_atomically(path, text.encode())
    return text


def read_spec(source: str | Path) -> dict[str, Any]:
    """The arguments of `StudySpec` that a text or a file holds."""
    text, folder = read_source(source, "study")
    tables = _loads(text)
    head = _checked_head(tables)
    problems = {name: _problem(name, table, folder) for name, table in tables["problems"].items()}
    parts: dict[str, Any] = {axis: {n: _part(axis[:-1], t) for n, t in tables.get(axis, {}).items()} for axis in _PARTS}
    methods = {name: _method(name, table) for name, table in tables.get("methods", {}).items()}
    return {"problems": problems, "methods": methods} | parts | head


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
    """Whether the text or file describes a study rather than a problem."""
    return "study" in _loads(read_source(source, "problem or study")[0])


def _loads(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the study is not valid TOML: {error}") from None


def _problem(name: str, table: Any, folder: Path) -> Problem:
    """[problems.NAME]: the tables of a problem, or `file`."""
    if not isinstance(table, dict):
        raise DataError(f"[problems.{name}] must be a table, got {table!r}")
    try:
        if set(table) == {"file"} and isinstance(table["file"], str):
            return Problem.from_toml(folder / table["file"])
        data = table.get("data")
        if isinstance(data, dict) and isinstance(data.get("csv"), str):
            table = table | {"data": data | {"csv": str(folder.absolute() / data["csv"])}}
        return Problem.from_toml(_document(table))
    except DataError as error:
        raise DataError(f"[problems.{name}]: {error}") from None


def _blank() -> Problem:
    """A problem whose parts are read and written."""
    return Problem(Dataset(np.array([0.0, 1.0]), np.array([0.0, 1.0])), Initialization.pytorch_default())


def _part(name: str, table: Any) -> Any:
    """The potential, initialization or activation of a table."""
    tables = tomllib.loads(_blank().to_toml()) | {name: table}
    return getattr(Problem.from_toml(_document(tables)), name)


def _part_table(name: str, value: Any) -> Any:
    return tomllib.loads(replace(_blank(), **{name: value}).to_toml())[name]


def _method(name: str, table: Any) -> Any:
    """[methods.NAME]: `name` and the fields of a training method."""
    from importlib import import_module

    options = dict(table) if isinstance(table, dict) else {}
    kind = options.pop("name", None)
    if kind not in _METHODS:
        raise DataError(
            f"[methods.{name}] `name` must be one of {', '.join(_METHODS)}, got {kind!r}{nearest(kind, _METHODS)}"
        )
    module, method = _METHODS[kind]
    try:
        return getattr(import_module(f"splinebias.training.{module}"), method)(**options)
    except TypeError as error:
        raise DataError(f"[methods.{name}] has parameters that {kind} does not take: {error}") from None


def _method_table(method: Any) -> dict[str, Any]:
    name = next((name for name, (_, kind) in _METHODS.items() if type(method).__name__ == kind), None)
    if name is None:
        raise CapabilityError(f"only the library's own methods can be written to TOML, got {method!r}; use one of those")
    values = {field.name: getattr(method, field.name) for field in fields(method)}
    return {"name": name} | {key: value for key, value in values.items() if value is not None}


def _document(tables: Mapping[str, Any]) -> str:
    """Nested tables as TOML text: the standard library only reads it."""
    lines: list[str] = []

    def write(table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        plain = {name: value for name, value in table.items() if not isinstance(value, Mapping) or len(path) > 1}
        if path:
            lines.append(f"[{'.'.join(map(_key, path))}]")
        lines.extend(f"{_key(name)} = {_text_of(value)}" for name, value in plain.items())
        for name, value in table.items():
            if name not in plain:
                write(value, (*path, name))

    write(tables, ())
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # of which JSON asks no escape


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_text_of(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text_of, value)) + "]"
    return repr(float(value))
