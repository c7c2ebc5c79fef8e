"""Laws as plain tables, for TOML: ``{name = "norm", loc = 0.0, scale = 1.0}`` and back."""

from __future__ import annotations

import difflib
from typing import Any

from splinebias._arguments import real_number
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
    import scipy.stats

    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise DataError(f'`{name}` must be a table with a `name`, such as {{name = "norm", scale = 1.0}}, got {table!r}')
    options = dict(table)
    kind = options.pop("name")
    if kind in _OWN:
        _require_parameters(options, _OWN_PARAMETERS[kind], kind, name)
        if absent := [key for key in _OWN_PARAMETERS[kind] if key not in options]:
            raise DataError(f"`{name}` needs the parameter {absent[0]} of {kind}, got {sorted(options)}; add it")
        own: Any = _OWN[kind]
        return own(**options)
    dist = getattr(scipy.stats, kind, None)
    if not isinstance(dist, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
        raise DataError(f"`{name}.name` must be a scipy.stats law or one of {', '.join(_OWN)}, got {kind!r}{_similar(kind)}")
    args = options.pop("args", ())
    takes = _parameters(dist)
    _require_parameters(options, takes, kind, name)
    if not isinstance(args, list | tuple) or len(args) > len(takes):
        raise DataError(f"`{name}.args` must be a list of at most {len(takes)} numbers ({', '.join(takes)}), got {args!r}")
    given = [real_number(value, f"{name}.args") for value in args]
    named = {key: real_number(value, f"{name}.{key}") for key, value in options.items()}
    if twice := set(takes[: len(given)]) & set(named):
        raise DataError(f"`{name}` gives {sorted(twice)[0]} twice, in `args` and by name; drop one of them")
    if missing := [key for key in takes[len(given) :] if key not in (*named, *_DEFAULTS)]:
        raise DataError(f"`{name}` needs the parameter {missing[0]} of {kind}, got {sorted(options)}; add it")
    return dist(*given, **named)


def canonical(tables: Any) -> Any:
    """`tables`, in which all tables of one law are equal: a scipy law has its parameters in `args`, and no 0 has a sign.

    Examples
    --------
    >>> from splinebias.initialization.law_files import canonical
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
    """The table of a scipy law with all parameters in `args`."""
    import scipy.stats

    dist = getattr(scipy.stats, str(table.get("name")), None)
    if not isinstance(dist, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
        return table
    takes = _parameters(dist)
    given = _DEFAULTS | dict(zip(takes, table["args"], strict=False))
    given |= {key: value for key, value in table.items() if key not in ("name", "args")}
    return {"name": table["name"], "args": [given.get(key) for key in takes]}


def _parameters(dist: Any) -> tuple[str, ...]:
    """What a law of scipy takes, in order."""
    import scipy.stats

    shapes = dist.shapes.replace(" ", "").split(",") if dist.shapes else []
    return (*shapes, "loc") if isinstance(dist, scipy.stats.rv_discrete) else (*shapes, "loc", "scale")


def _require_parameters(options: dict[str, Any], takes: tuple[str, ...], kind: str, name: str) -> None:
    """Raise DataError if `options` has a key that is not in `takes`."""
    if unknown := sorted(set(options) - set(takes)):
        known = f"it takes {', '.join(takes)}" if takes else "it takes none"
        raise DataError(f"`{name}` has parameters that {kind} does not take: {', '.join(unknown)}; {known}")


def _similar(kind: str) -> str:
    """A hint naming the laws whose names are spelled like `kind`."""
    import scipy.stats

    laws = (scipy.stats.rv_continuous, scipy.stats.rv_discrete)
    names = [*_OWN, *(n for n in dir(scipy.stats) if isinstance(getattr(scipy.stats, n), laws))]
    close = difflib.get_close_matches(kind, names, n=3) or difflib.get_close_matches(kind.lower(), names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
