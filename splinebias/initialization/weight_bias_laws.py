"""The law of one hidden unit's (w, b), in every form that an initialization takes: sampled, and as a breakpoint law.

`Independent` weights and biases, `OnUnitCircle`, a `Joint` density, and a `Mixture` of any of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.densities.stand_ins import require_quick
from splinebias.initialization.joint_laws import JointDensity, joint_to_table, normal_pair
from splinebias.initialization.laws import Discrete, Law, as_law, describe_law
from splinebias.initialization.tables.law_tables import law_to_table


@dataclass(frozen=True, eq=False)
class Independent(PairLaw):
    """Independent w and b; `given` holds the two laws as the user wrote them.

    Raises
    ------
    DataError
        If a second moment is infinite, the weight law or a discrete bias law has mass at 0, or an argument is no law.
    CapabilityError
        If both laws are discrete.
    """

    given: tuple[Any, Any]

    def __post_init__(self) -> None:
        weight, bias = self.laws
        if isinstance(weight, Discrete) and 0.0 in weight.values:
            raise DataError(
                f"`weight` must have no mass at 0, got {describe_law(self.given[0])}: a unit with w = 0 has no "
                "breakpoint; remove the value 0"
            )
        if isinstance(weight, Discrete) and isinstance(bias, Discrete):
            raise CapabilityError(
                f"`weight` and `bias` are both discrete ({describe_law(self.given[0])}, {describe_law(self.given[1])}), "
                "which leaves finitely many breakpoints; give one of them a density"
            )
        if isinstance(bias, Discrete) and 0.0 in bias.values:
            raise DataError(
                f"`bias` must have no mass at 0 when it is discrete, got {describe_law(self.given[1])}: all those "
                "breakpoints sit at x = 0; use a nonzero constant or a density"
            )

    @cached_property
    def laws(self) -> tuple[Law, Law]:
        """The two laws as this library reads them."""
        return as_law(self.given[0], "weight"), as_law(self.given[1], "bias")

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        weight, bias = self.laws
        return weight.sample(size, rng), bias.sample(size, rng)

    def breakpoint_law(self) -> BreakpointLaw:
        from splinebias.initialization import continuous_breakpoints, discrete_breakpoints

        weight, bias = self.laws
        alone = isinstance(weight, Discrete) or isinstance(bias, Discrete)
        for law in self.laws:
            if not isinstance(law, Discrete):
                require_quick(law.frozen, law.landmarks, alone=alone)
        if isinstance(weight, Discrete):
            assert not isinstance(bias, Discrete)
            return discrete_breakpoints.DiscreteWeight(weight, bias)
        if isinstance(bias, Discrete):
            return discrete_breakpoints.DiscreteBias(weight, bias)
        kinds = {law_name(law) for law in self.given}
        if kinds in ({"norm"}, {"uniform"}):
            loc, scale = np.array([shape_loc_scale(law)[1:] for law in self.given]).T
            if kinds == {"norm"} and loc.any():
                return continuous_breakpoints.GaussianBreakpoints(normal_pair(loc, scale))
            if kinds == {"norm"}:
                return continuous_breakpoints.CentredGaussian(*scale.tolist())
            if (loc == -scale / 2).all():
                return continuous_breakpoints.CentredUniform(*(scale / 2).tolist())
        return continuous_breakpoints.of_independent(weight, bias)

    @property
    def second_moments(self) -> tuple[float, float]:
        weight, bias = self.laws
        return weight.second_moment, bias.second_moment

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        for name, law, given in zip(("weight", "bias"), self.laws, self.given, strict=True):
            if not (law.has_moment(order) or (weight_only and name == "bias")):
                return f"the `{name}` law, and {describe_law(given)}"
        return None

    def describe(self) -> str:
        return f"W ~ {describe_law(self.given[0])}, B ~ {describe_law(self.given[1])}"

    def to_table(self) -> dict[str, Any]:
        weight, bias = (law_to_table(law) for law in self.given)
        return {"joint": "independent", "weight": weight, "bias": bias}


@dataclass(frozen=True)
class OnUnitCircle(PairLaw):
    """(w, b) uniform on the unit circle."""

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        angle = rng.uniform(0, 2 * np.pi, size)
        return np.cos(angle), np.sin(angle)

    def breakpoint_law(self) -> BreakpointLaw:
        from splinebias.initialization import discrete_breakpoints

        return discrete_breakpoints.UnitCircle()

    @property
    def second_moments(self) -> tuple[float, float]:
        return 0.5, 0.5

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        return None

    def describe(self) -> str:
        return "(W, B) on the unit circle"

    def to_table(self) -> dict[str, Any]:
        return {"joint": "unit_circle"}


@dataclass(frozen=True, eq=False)
class Joint(PairLaw):
    """w and b with a joint density."""

    density: JointDensity

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        return self.density.sample(size, rng)

    def breakpoint_law(self) -> BreakpointLaw:
        from splinebias.initialization.continuous_breakpoints import GaussianBreakpoints, JointBreakpoints

        law = GaussianBreakpoints if self.density.gaussian else JointBreakpoints
        return law(self.density)

    @property
    def second_moments(self) -> tuple[float, float]:
        return self.density.second_moments

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        return None if self.density.has_moment(order) else f"the joint law, and {self.density.describe()}"

    def describe(self) -> str:
        return f"(W, B) ~ {self.density.describe()}"

    def to_table(self) -> dict[str, Any]:
        return {"joint": joint_to_table(self.density)}


@dataclass(frozen=True, eq=False)
class Mixture(PairLaw):
    """With probability `probabilities[k]` a draw of `components[k]`."""

    probabilities: tuple[float, ...]
    components: tuple[PairLaw, ...]

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        which = rng.choice(len(self.components), size=size, p=np.array(self.probabilities))
        w, b = np.empty(size), np.empty(size)
        for k, component in enumerate(self.components):
            chosen = which == k
            if chosen.any():
                w[chosen], b[chosen] = component.sample(int(chosen.sum()), rng)
        return w, b

    def breakpoint_law(self) -> BreakpointLaw:
        from splinebias.initialization import discrete_breakpoints

        return discrete_breakpoints.MixtureBreakpoints(
            self.probabilities, [component.breakpoint_law() for component in self.components]
        )

    @property
    def second_moments(self) -> tuple[float, float]:
        moments = np.array(self.probabilities) @ np.array([component.second_moments for component in self.components])
        return float(moments[0]), float(moments[1])

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        lacking = (component.lacks_moment(order, weight_only=weight_only) for component in self.components)
        return next((words for words in lacking if words is not None), None)

    def describe(self) -> str:
        parts = zip(self.probabilities, self.components, strict=True)
        return "mixture of " + " and ".join(f"{p:g} x [{component.describe()}]" for p, component in parts)

    def to_table(self) -> dict[str, Any]:
        components = [component.to_table() for component in self.components]
        return {"joint": {"name": "mixture", "probabilities": list(self.probabilities), "components": components}}
