"""What scipy calls a frozen law, and its parameters: shapes, location, scale."""

from __future__ import annotations

from typing import Any


def law_name(law: Any) -> str:
    """scipy's name of one of its frozen laws, empty for anything else."""
    return str(getattr(getattr(law, "dist", None), "name", ""))


def shape_loc_scale(law: Any) -> tuple[tuple[Any, ...], float, float]:
    """Shape parameters, location and scale of a frozen scipy law."""
    args, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    return tuple(args), float(loc), float(scale)
