"""Initializations as plain tables, for TOML: weight and bias, a joint law, or a preset with its parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from splinebias._arguments import nearest
from splinebias.errors import DataError
from splinebias.initialization.joint_laws import joint_from_table
from splinebias.initialization.tables.law_tables import law_from_table

_PRESETS = (
    *("pytorch_default", "gaussian", "uniform", "unit_circle", "rademacher", "constant_bias"),
    *("kaiming", "xavier", "sphere", "coordinates"),
)


def initialization_from_table(cls: Any, table: dict[str, Any]) -> Any:
    """The initialization, of class `cls`, that ``Initialization.to_table`` wrote, or ``{preset = "pytorch_default"}``.

    A preset takes parameters by name, laws as tables: ``{preset = "rademacher", bias_law = {name = "norm"}}``.

    Raises
    ------
    DataError
        For entries that no initialization has, laws that are none, and parameters that a preset does not take.
    """
    options = dict(table)
    start = {name: options.pop(name) for name in ("antisymmetric",) if name in options}
    if "output_bias" in options:
        start["output_bias"] = law_from_table(options.pop("output_bias"), "output_bias")
    if start:
        return replace(initialization_from_table(cls, options), **start)
    if "preset" in options:
        return _from_preset(cls, options)
    if unknown := set(options) - {"joint", "weight", "bias", "output"}:
        raise DataError(
            "[initialization] takes `weight`, `bias`, `output`, `output_bias`, `antisymmetric`, `joint` or a `preset` "
            f"({', '.join(_PRESETS)}), got {sorted(unknown)}"
        )
    joint = options.pop("joint", "independent")
    laws = {n: law_from_table(options[n], n) for n in ("weight", "bias", "output") if n in options}
    if joint == "independent":
        return cls(**laws)
    if laws.keys() & {"weight", "bias"}:
        raise DataError(f"[initialization] `joint` fixes `weight` and `bias`, got both {joint!r} and {sorted(laws)}")
    if joint == "unit_circle":
        return cls.unit_circle(**laws)
    if not isinstance(joint, dict):
        raise DataError(f'`joint` must be "independent", "unit_circle" or a table with a `name`, got {joint!r}')
    return replace(_from_joint(cls, joint), **laws)


def _from_joint(cls: Any, joint: dict[str, Any]) -> Any:
    if joint.get("name") == "samples":
        if not {"w", "b"} <= set(joint) <= {"name", "w", "b", "bandwidth"}:
            raise DataError(f"`joint` of samples takes `w`, `b` and `bandwidth`, got {sorted(joint)}")
        return cls.from_samples(joint["w"], joint["b"], bandwidth=joint.get("bandwidth"))
    if (several := {"sphere": {"bias"}, "coordinates": {"weight", "bias"}}.get(str(joint.get("name")))) is not None:
        if set(joint) != {"name", "dim"} | several:
            raise DataError(f"`joint` of {joint['name']} takes {sorted({'dim'} | several)}, got {sorted(joint)}")
        laws = [law_from_table(joint[name], name) for name in ("weight", "bias") if name in several]
        make = cls.sphere if joint["name"] == "sphere" else cls.coordinates
        return make(*laws, dim=joint["dim"])
    if joint.get("name") != "mixture":
        return cls.joint(joint_from_table(joint))
    if set(joint) != {"name", "probabilities", "components"}:
        raise DataError(f"`joint` of a mixture takes `probabilities` and `components`, got {sorted(joint)}")
    parts = joint["components"]
    if not isinstance(parts, list | tuple) or not all(isinstance(part, dict) for part in parts):
        raise DataError(f"`components` of a mixture must be tables like [initialization], got {parts!r}")
    return cls.mixture(joint["probabilities"], [initialization_from_table(cls, part) for part in parts])


def _from_preset(cls: Any, options: dict[str, Any]) -> Any:
    preset = options.pop("preset")
    if preset not in _PRESETS:
        raise DataError(
            f"[initialization] `preset` must be one of {', '.join(_PRESETS)}, got {preset!r}{nearest(preset, _PRESETS)}"
        )
    output = law_from_table(options.pop("output"), "output") if "output" in options else None
    laws = {name: law_from_table(table, name) for name, table in options.items() if isinstance(table, dict)}
    try:
        made = getattr(cls, preset)(**options | laws)
    except TypeError as error:
        raise DataError(f"[initialization] {error}") from None
    return made if output is None else replace(made, output=output)
