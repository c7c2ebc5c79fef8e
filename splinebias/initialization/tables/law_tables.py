"""Laws as plain tables, for TOML: ``{name = "norm", loc = 0.0, scale = 1.0}`` and back."""

from __future__ import annotations

from typing import Any

from splinebias._arguments import nearest, real_number
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.laws import Constant, Discrete, Rademacher

_OWN: dict[str, Any] = {"rademacher": Rademacher, "constant": Constant, "discrete": Discrete}
_OWN_PARAMETERS = {"rademacher": (), "constant": ("value",), "discrete": ("values", "probabilities")}
_DEFAULTS = {"loc": 0.0, "scale": 1.0}


def law_to_table(law: Any) -> dict[str, Any]:
    """A plain dictionary that `law_from_table` turns back into the same law.

    Raises
    ------
    CapabilityError
        If the law is neither one of the library's own nor a frozen scipy.stats law that scipy finds by name.
    """
    if isinstance(law, Rademacher):
        return {"name": "rademacher"}
    if isinstance(law, Constant):
        return {"name": "constant", "value": law.values[0]}
    if isinstance(law, Discrete):
        return {"name": "discrete", "values": list(law.values), "probabilities": list(law.probabilities)}
    import scipy.stats

    name = getattr(getattr(law, "dist", None), "name", "")
    if name and type(getattr(scipy.stats, name, None)) is type(law.dist):  # a histogram's name is nobody's
        return {"name": name, "args": [float(v) for v in law.args]} | {k: float(v) for k, v in law.kwds.items()}
    raise CapabilityError(
        f"only sb.* and frozen scipy.stats laws can be written to TOML, got {law!r}; use scipy.stats.NAME(...)"
    )


def law_from_table(table: Any, name: str) -> Any:
    """The law written by `law_to_table`; `name` is used in messages.

    Raises
    ------
    DataError
        If `table` has no known law name, or parameters that the law does not take or that are no numbers.
    """
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise DataError(f'`{name}` must be a table with a `name`, such as {{name = "norm", scale = 1.0}}, got {table!r}')
    options = dict(table)
    kind = options.pop("name")
    own, dist = _OWN.get(kind), _scipy_law(kind)
    if own is None and dist is None:
        rule = f"`{name}.name` must be a scipy.stats law or one of {', '.join(_OWN)}"
        raise DataError(f"{rule}, got {kind!r}{_similar(kind)}")
    takes = _OWN_PARAMETERS[kind] if own else _parameters(dist)
    args = () if own else options.pop("args", ())
    if unknown := sorted(set(options) - set(takes)):
        known = f"it takes {', '.join(takes) or 'none'}"
        raise DataError(f"`{name}` has parameters that {kind} does not take: {', '.join(unknown)}; {known}")
    if not isinstance(args, list | tuple) or len(args) > len(takes):
        raise DataError(f"`{name}.args` must be a list of at most {len(takes)} numbers ({', '.join(takes)}), got {args!r}")
    if twice := sorted(set(takes[: len(args)]) & set(options)):
        raise DataError(f"`{name}` gives {twice[0]} twice, in `args` and by name; drop one of them")
    if missing := [key for key in takes[len(args) :] if key not in (*options, *_DEFAULTS)]:
        raise DataError(f"`{name}` needs the parameter {missing[0]} of {kind}, got {sorted(options)}; add it")
    if own:
        return own(**options)
    given = [real_number(value, f"{name}.args") for value in args]
    return dist(*given, **{key: real_number(value, f"{name}.{key}") for key, value in options.items()})


def canonical(tables: Any) -> Any:
    """`tables`, in which all tables of one law are equal: a scipy law has its parameters in `args`, and no 0 has a sign.

    Examples
    --------
    >>> from splinebias.initialization.tables.law_tables import canonical
    >>> canonical({"weight": {"name": "norm", "args": [-0.0], "scale": 2.0}})
    {'weight': {'name': 'norm', 'args': [0.0, 2.0]}}
    """
    if isinstance(tables, dict):
        inner = {name: canonical(value) for name, value in tables.items()}
        return _by_position(inner) if isinstance(inner.get("args"), list) else inner
    if isinstance(tables, list | tuple):
        return [canonical(value) for value in tables]
    return tables + 0.0 if isinstance(tables, float) else tables


def _by_position(table: dict[str, Any]) -> dict[str, Any]:
    """The table of a scipy law with all parameters in `args`; any other as it is."""
    dist = _scipy_law(str(table.get("name")))
    if dist is None:
        return table
    takes = _parameters(dist)
    given = _DEFAULTS | dict(zip(takes, table["args"], strict=False))
    given |= {key: value for key, value in table.items() if key not in ("name", "args")}
    return {"name": table["name"], "args": [given.get(key) for key in takes]}


def _scipy_law(name: str) -> Any:
    """The law that scipy.stats has under this name; None if it has none."""
    import scipy.stats

    found = getattr(scipy.stats, name, None)
    return found if isinstance(found, scipy.stats.rv_continuous | scipy.stats.rv_discrete) else None


def _parameters(dist: Any) -> tuple[str, ...]:
    """What a law of scipy takes, in order: a discrete one has no scale."""
    shapes = dist.shapes.replace(" ", "").split(",") if dist.shapes else []
    return (*shapes, "loc", "scale") if hasattr(dist, "pdf") else (*shapes, "loc")


def _similar(kind: str) -> str:
    """A hint naming the law whose name is spelled like `kind`."""
    import scipy.stats

    names = [*_OWN, *filter(_scipy_law, dir(scipy.stats))]
    return nearest(kind, names) or nearest(kind.lower(), names)
