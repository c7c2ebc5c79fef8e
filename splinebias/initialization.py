"""Initialization: the law of the hidden weights and biases, sampled at finite width, read as a penalty at infinite width."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._check import Array, real_number, whole_number
from splinebias.breakpoints import BreakpointLaw, ContinuousWeight, DiscreteBias, DiscreteWeight, UnitCircle
from splinebias.errors import CapabilityError, DataError
from splinebias.laws import Constant, Continuous, Discrete, Rademacher, as_law, describe_law, law_from_table, law_to_table


@dataclass(frozen=True, eq=False)
class Initialization:
    r"""Hidden units :math:`\sigma(w_k x + b_k)` with :math:`(w_k, b_k)` drawn independently from one law.

    The breakpoint of a unit is :math:`c = -b/w`; the law enters the infinite-width limit only through

    .. math:: \zeta_\pm(c) = \int_{\pm w > 0} |w|^3 p_{W,B}(w, -wc)\, dw, \qquad \zeta = \zeta_+ + \zeta_-
              = p_C(c)\, E[W^2 \mid C = c],

    and the curvature penalty is :math:`1/\zeta` (Jin & Montufar 2023, Theorem 4).

    Parameters
    ----------
    weight, bias : law
        Independent laws of w and b: a frozen scipy.stats law, `Rademacher()`, `Constant(v)` or `Discrete(...)`.
        At least one of the two has a density.
    output : law, optional
        Law of the output weights' start. None: zeros. A law: antisymmetric pairs (same w, b, opposite a),
        so that the network starts at zero all the same. Needed for parameterization `NTK`, where a is O(1).

    Raises
    ------
    DataError
        If a second moment is infinite, the weight law has mass at 0, or an argument is no law.
    CapabilityError
        If weight and bias are both discrete (finitely many breakpoints: no density, no limit of this kind).

    Notes
    -----
    Hypotheses checked: finite E[W^2] and E[B^2]; no mass of W at zero. Not checked: that `output` has the
    O(n^{-1/2}) scaling that keeps the network in the lazy regime; draws are multiplied by it here.
    """

    weight: Any = None
    bias: Any = None
    output: Any = None
    joint: str = field(default="independent", kw_only=True)

    def __post_init__(self) -> None:
        if self.joint == "unit_circle":
            if self.weight is not None or self.bias is not None:
                raise DataError("the unit circle fixes `weight` and `bias`; leave both None")
        elif self.joint == "independent":
            self._check_independent()
        else:
            raise DataError(f'`joint` must be "independent" or "unit_circle", got {self.joint!r}')
        if self.output is not None:
            as_law(self.output, "output")

    def _check_independent(self) -> None:
        weight, bias = as_law(self.weight, "weight"), as_law(self.bias, "bias")
        if isinstance(weight, Discrete) and 0.0 in weight.values:
            raise DataError(
                f"`weight` must have no mass at 0, got {describe_law(self.weight)}: a unit with w = 0 has no "
                "breakpoint; remove the value 0"
            )
        if isinstance(weight, Discrete) and isinstance(bias, Discrete):
            raise CapabilityError(
                f"`weight` and `bias` are both discrete ({describe_law(self.weight)}, {describe_law(self.bias)}), which "
                "leaves finitely many breakpoints; give one of them a density"
            )
        if isinstance(bias, Discrete) and 0.0 in bias.values:
            raise DataError(
                f"`bias` must have no mass at 0 when it is discrete, got {describe_law(self.bias)}: all those "
                "breakpoints sit at x = 0; use a nonzero constant or a density"
            )

    # -- presets -------------------------------------------------------------------------------------------------

    @classmethod
    def rademacher(cls, bias_law: Any) -> Initialization:
        r"""W = +-1, B ~ `bias_law`: :math:`\zeta_+(c) = p_B(-c)/2`, :math:`\zeta_-(c) = p_B(c)/2`."""
        return cls(Rademacher(), bias_law)

    @classmethod
    def gaussian(cls, s_w: float = 1.0, s_b: float = 1.0) -> Initialization:
        r"""W ~ N(0, s_w^2), B ~ N(0, s_b^2): :math:`\zeta_\pm(c) = s_w^3 s_b^3 / (\pi (s_b^2 + c^2 s_w^2)^2)`."""
        from scipy import stats

        return cls(stats.norm(0, real_number(s_w, "s_w", above=0)), stats.norm(0, real_number(s_b, "s_b", above=0)))

    @classmethod
    def uniform(cls, w_max: float = 1.0, b_max: float = 1.0) -> Initialization:
        r"""W ~ U(-w_max, w_max), B ~ U(-b_max, b_max).

        :math:`\zeta_\pm(c) = \min(w_{max}, b_{max}/|c|)^4 / (16 w_{max} b_{max})`.
        """
        from scipy import stats

        w_max, b_max = real_number(w_max, "w_max", above=0), real_number(b_max, "b_max", above=0)
        return cls(stats.uniform(-w_max, 2 * w_max), stats.uniform(-b_max, 2 * b_max))

    @classmethod
    def pytorch_default(cls) -> Initialization:
        """The default of ``torch.nn.Linear(1, n)``: W and B uniform on (-1, 1)."""
        return cls.uniform(1.0, 1.0)

    @classmethod
    def unit_circle(cls) -> Initialization:
        r"""(W, B) uniform on the unit circle: :math:`\zeta_\pm(c) = 1/(2\pi(1 + c^2)^2)`."""
        return cls(joint="unit_circle")

    @classmethod
    def constant_bias(cls, beta: float, weight_law: Any) -> Initialization:
        r"""B = beta, W ~ `weight_law`: large-bias networks.

        :math:`\zeta(c) = |\beta|^3 c^{-4} p_W(-\beta/c)`, all of it in :math:`\zeta_+` where :math:`c\beta < 0`.
        """
        return cls(weight_law, Constant(beta))

    # -- infinite width ------------------------------------------------------------------------------------------

    @cached_property
    def breakpoint_law(self) -> BreakpointLaw:
        """The law of (breakpoint, |w|, sign w), from which every infinite-width quantity is integrated."""
        if self.joint == "unit_circle":
            return UnitCircle()
        weight, bias = as_law(self.weight, "weight"), as_law(self.bias, "bias")
        if isinstance(weight, Discrete):
            assert isinstance(bias, Continuous)
            return DiscreteWeight(weight, bias)
        if isinstance(bias, Discrete):
            return DiscreteBias(weight, bias)
        return ContinuousWeight(weight, bias)

    def zeta_plus(self, c: Any) -> Array:
        r""":math:`\zeta_+(c)`, the curvature density of units with w > 0; any shape."""
        return self.breakpoint_law.zeta(np.asarray(c, dtype=float), 1)

    def zeta_minus(self, c: Any) -> Array:
        r""":math:`\zeta_-(c)`, the curvature density of units with w < 0; any shape."""
        return self.breakpoint_law.zeta(np.asarray(c, dtype=float), -1)

    def zeta(self, c: Any) -> Array:
        r""":math:`\zeta(c) = \zeta_+(c) + \zeta_-(c)`; any shape."""
        return self.zeta_plus(c) + self.zeta_minus(c)

    def curvature_penalty(self, c: Any) -> Array:
        r""":math:`1/\zeta(c)`, infinite where no unit can bend the function; any shape."""
        with np.errstate(divide="ignore"):
            return 1.0 / self.zeta(c)

    def breakpoint_density(self, c: Any) -> Array:
        r""":math:`p_C(c)`, the density of the breakpoints -b/w; any shape."""
        c = np.asarray(c, dtype=float)
        return self.breakpoint_law.density(c, 1) + self.breakpoint_law.density(c, -1)

    @property
    def output_second_moment(self) -> float:
        """E[a^2] of the output weights at the start."""
        return 0.0 if self.output is None else as_law(self.output, "output").second_moment

    # -- finite width --------------------------------------------------------------------------------------------

    def sample(self, width: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw (w, b, a), each of shape (width,): hidden weights, biases, output weights.

        With `output` given, units 2j and 2j + 1 share w and b and have opposite a; `width` must then be even.
        """
        width = whole_number(width, "width", at_least=1)
        if self.output is None:
            w, b = self._draw(width, rng)
            return w, b, np.zeros(width)
        if width % 2:
            raise DataError(f"`width` must be even for antisymmetric pairs, got {width}; use {width + 1}")
        w, b = self._draw(width // 2, rng)
        a = as_law(self.output, "output").sample(width // 2, rng)
        return np.repeat(w, 2), np.repeat(b, 2), np.stack([a, -a], axis=1).ravel()

    def _draw(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        if self.joint == "unit_circle":
            angle = rng.uniform(0, 2 * np.pi, size)
            return np.cos(angle), np.sin(angle)
        return as_law(self.weight, "weight").sample(size, rng), as_law(self.bias, "bias").sample(size, rng)

    # -- text ----------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """One line for tables and plots."""
        if self.joint == "unit_circle":
            return "(W, B) on the unit circle"
        return f"W ~ {describe_law(self.weight)}, B ~ {describe_law(self.bias)}"

    def to_table(self) -> dict[str, Any]:
        """Plain dictionary for TOML; `from_table` reads it back."""
        laws = {"weight": self.weight, "bias": self.bias, "output": self.output}
        return {"joint": self.joint} | {name: law_to_table(law) for name, law in laws.items() if law is not None}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Initialization:
        """The initialization written by `to_table`, or ``{preset = "pytorch_default"}`` with its parameters."""
        options = dict(table)
        preset = options.pop("preset", None)
        if preset in ("pytorch_default", "gaussian", "uniform", "unit_circle"):
            try:
                made = getattr(cls, preset)(**options)
            except TypeError as error:
                raise DataError(f"[initialization] has parameters that {preset} does not take: {error}") from None
            assert isinstance(made, cls)
            return made
        unknown = set(options) - {"joint", "weight", "bias", "output"}
        if preset is not None or unknown:
            raise DataError(
                "[initialization] takes `weight`, `bias`, `output` or a `preset` (pytorch_default, gaussian, uniform, "
                f"unit_circle), got {preset!r} and {sorted(unknown)}"
            )
        laws = {n: law_from_table(options[n], n) for n in ("weight", "bias", "output") if n in options}
        return cls(**laws, joint=options.get("joint", "independent"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Initialization):
            return NotImplemented
        try:
            return self.to_table() == other.to_table()
        except CapabilityError:
            return self is other

    def __hash__(self) -> int:
        return hash(self.joint)

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("weight", "bias", "output", "joint")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
