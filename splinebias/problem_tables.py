"""Problems as plain tables, of which TOML is made: each part of a problem under its name, and its points.

Laws are in `initialization/tables`; what the tables of a file may hold is said in ``Problem.from_toml``.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from splinebias._arguments import nearest
from splinebias._files import named_file
from splinebias.activation import Abs, LeakyReLU, ReLU, ReLUPower
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.initialization import Initialization
from splinebias.parameterization import NTK, MeanField, Standard
from splinebias.potential import Hypentropy, Power, Quadratic, Scaled
from splinebias.smooth_activation import Sigmoid, Softplus, Tanh, X2Tanh, XTanh

_PARTS: dict[str, dict[str, Any]] = {  # besides the data: the kinds of each in TOML, laws aside
    "initialization": {},
    "activation": {"relu": ReLU, "abs": Abs, "leaky_relu": LeakyReLU, "relu_power": ReLUPower, "tanh": Tanh}
    | {"xtanh": XTanh, "x2tanh": X2Tanh, "sigmoid": Sigmoid, "softplus": Softplus},
    "potential": {"quadratic": Quadratic, "power": Power, "hypentropy": Hypentropy},
    "parameterization": {"standard": Standard, "ntk": NTK, "mean_field": MeanField},
}
_EXAMPLES = {"relu_power": "2", "power": "4", "hypentropy": "1.0", "mean_field": "1.0"}  # of what has no default
_TABLES = ("data", "initialization", "problem", "activation", "potential", "parameterization")
_LISTED = "[data], [initialization] and optionally " + ", ".join(f"[{name}]" for name in _TABLES[2:])


def problem_tables(parts: dict[str, Any]) -> dict[str, Any]:
    """The tables of a problem whose fields are `parts`; `problem_parts` reads them back.

    Raises
    ------
    CapabilityError
        As `part_to_table`.
    """
    data = {name: getattr(parts["data"], name).tolist() for name in ("x", "y", "weights")}
    tables = {name: part_to_table(name, parts[name]) for name in _PARTS}
    return {"problem": {"affine": parts["affine"]}, "data": data} | tables


def problem_parts(tables: dict[str, Any], folder: Path | None, root: str | Path | None) -> dict[str, Any]:
    """Fields of the problem that these tables describe; files they name are relative to `folder` and stay in `root`.

    Raises
    ------
    DataError
        If they do not describe a problem: the message names the entry.
    """
    _check_tables(tables)
    options: dict[str, Any] = tables.get("problem", {})
    if set(options) - {"affine"}:
        raise DataError(f"[problem] takes `affine` only, got {sorted(options)}")
    parts = {name: part_from_table(name, tables[name]) for name in _PARTS if name in tables}
    return {"data": _read_data(tables["data"], folder, root)} | parts | options


def part_to_table(name: str, part: Any) -> dict[str, Any]:
    """The part of a problem called `name`, such as "potential", as a plain table; `part_from_table` reads it back equal.

    Raises
    ------
    CapabilityError
        If it, or a law in it, is not one of the library's own.
    """
    if isinstance(part, Initialization):
        return part.to_table()
    scaled = {"scaled": isinstance(part, Scaled)} if name == "potential" else {}
    part = part.base if isinstance(part, Scaled) else part
    kind = next((kind for kind, known in _PARTS[name].items() if type(part) is known), None)
    if kind is None:
        raise CapabilityError(
            f"only the library's own kinds can be written to TOML, got {type(part).__name__}; use one of those"
        )
    return scaled | {"name": kind} | {field.name: getattr(part, field.name) for field in fields(part)}


def part_from_table(name: str, table: Any) -> Any:
    """The part of a problem called `name`, such as "potential", that a plain table describes.

    Raises
    ------
    DataError
        If it describes none: the message names the entry.
    """
    if name == "initialization":
        _check_halves(table)
        return Initialization.from_table(table)
    kinds, options = _PARTS[name], dict(table)
    scaled = options.pop("scaled", False) if name == "potential" else False
    if not isinstance(scaled, bool):
        raise DataError(f"`potential.scaled` must be true or false, got {scaled!r}")
    kind = options.pop("name", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise DataError(f"`{name}.name` must be one of {', '.join(kinds)}, got {kind!r}{nearest(kind, kinds)}")
    taken = {field.name: field.default is MISSING for field in fields(kinds[kind])}
    for key in options:
        if key not in taken:
            rule = f"[{name}] has parameters that {kind} does not take: {key}; it takes {', '.join(taken) or 'none'}"
            raise DataError(rule + nearest(key, taken))
    for key, needed in taken.items():
        if needed and key not in options:
            raise DataError(f"[{name}] {kind} needs {key}, got none; add a line such as {key} = {_EXAMPLES[kind]}")
    part = kinds[kind](**options)
    return Scaled(part) if scaled else part


def _check_tables(tables: dict[str, Any]) -> None:
    """Refuse unknown and missing tables."""
    for name, table in tables.items():
        if name not in _TABLES:
            raise DataError(f"a problem has tables {_LISTED}, got [{name}]{nearest(name, _TABLES)}")
        if not isinstance(table, dict):
            raise DataError(f"a problem has tables {_LISTED}, got {name} = {table!r}; write a line [{name}] instead")
    missing = [name for name in ("data", "initialization") if name not in tables]
    if missing:
        raise DataError(f"a problem has tables {_LISTED}, got no [{missing[0]}]; add it")


def _check_halves(law: dict[str, Any]) -> None:
    """Refuse a law of (w, b) of which half is missing."""
    halves = [name for name in ("weight", "bias") if name not in law]
    if halves and "preset" not in law and law.get("joint", "independent") == "independent":
        raise DataError(
            f"[initialization] needs `weight` and `bias`, or a `preset`, got {sorted(law)}; "
            f'add {halves[0]} = {{name = "norm"}}, for instance'
        )


def _read_data(table: dict[str, Any], folder: Path | None, root: str | Path | None) -> Dataset | Points:
    """The points of [data]: given there, or in a CSV file."""
    table = dict(table)
    replicates = table.pop("replicates", False)
    if not isinstance(replicates, bool):
        raise DataError(f"`data.replicates` must be true or false, got {replicates!r}")
    known = {"csv", "x", "y"} if "csv" in table else {"x", "y", "weights"}
    for name in set(table) - known:
        raise DataError(f"[data] has `x` and `y`, or `csv`, and no `{name}`{nearest(name, [*known, 'csv', 'replicates'])}")
    several = isinstance(table.get("x"), list) and table["x"] and ("csv" in table or isinstance(table["x"][0], list))
    kind = Points if several else Dataset  # rows, or with `csv` the names of columns
    if "csv" in table:
        names = {name: table.pop(name) for name in ("x", "y") if name in table}
        columns = [part for name in names.values() for part in (name if isinstance(name, list) else [name])]
        if not all(isinstance(name, str) for name in [table["csv"], *columns]):
            raise DataError(f"[data] with `csv` names a file and its columns x and y, got {table | names}")
        return kind.from_csv(named_file(table["csv"], "csv", folder, root), **names, replicates=replicates)
    if not {"x", "y"} <= set(table):
        raise DataError(f"[data] needs `x` and `y` (or `csv`), got {sorted(table)}")
    if replicates and "weights" in table:
        raise DataError("[data] takes `weights` or `replicates = true`, got both; replicates are their own weights")
    return kind.from_replicates(**table) if replicates else kind(**table)
