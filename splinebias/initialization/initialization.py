"""Initialization: the law of the hidden weights and biases, sampled at finite width, read as a penalty at infinite width."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, true_or_false, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw
from splinebias.initialization.laws import as_law, describe_law
from splinebias.initialization.presets import Presets
from splinebias.initialization.tables.initialization_tables import initialization_from_table
from splinebias.initialization.tables.law_tables import law_to_table
from splinebias.initialization.weight_bias_laws import Independent


@known_keywords
@dataclass(frozen=True, eq=False)
class Initialization(Presets):
    r"""Hidden units :math:`\sigma(w_k x + b_k)` with :math:`(w_k, b_k)` drawn independently from one law.

    The breakpoint of a unit is :math:`c = -b/w`; the law enters the infinite-width limit only through

    .. math:: \zeta_\pm(c) = \int_{\pm w > 0} |w|^3 p_{W,B}(w, -wc)\, dw, \qquad \zeta = \zeta_+ + \zeta_-
              = p_C(c)\, E[W^2 \mid C = c],

    and the curvature penalty is :math:`1/\zeta` (Jin & Montufar 2023, Theorem 4).

    Parameters
    ----------
    weight, bias : law
        Independent laws of w and b: a frozen scipy.stats law, `Rademacher()`, `Constant(v)` or `Discrete(...)`.
        At least one of the two has a density. For a w and b that depend on each other see `joint` and `mixture`.
    output : law, optional
        Law of the output weights' start: of :math:`\sqrt n\, a` with parameterization `Standard`, so that one law serves
        every width, of a with `NTK` and `MeanField`. None: zeros. Needed for `NTK`.
    pair : PairLaw, optional
        The law of (w, b) as one object, in place of `weight` and `bias`; what the presets fill in.
    antisymmetric : bool
        Whether units come in pairs with the same w and b and opposite a, so that the network starts at the zero function.
        Then n units have n/2 different (w, b): errors of finite networks are those of half the width. False: independent
        units, whose start function is a Gaussian process of covariance :math:`E[n a^2] K(x, x')` at infinite width. Without
        `output` the start is zero either way.
    output_bias : law, optional
        Law of the output bias' start, of :math:`\sqrt n\, d` and d as for `output`; not with antisymmetric pairs. None: 0.

    Raises
    ------
    DataError
        If a second moment is infinite, the weight law has mass at 0, or an argument is no law.
    CapabilityError
        If weight and bias are both discrete (finitely many breakpoints: no density, no limit of this kind).

    See Also
    --------
    rademacher, gaussian, uniform, pytorch_default, unit_circle, constant_bias, joint, mixture, from_samples : presets.
    curvature_penalty, zeta_plus, zeta_minus, breakpoint_density, sample : what becomes of them.

    Notes
    -----
    Hypotheses checked: finite E[W^2] and E[B^2]; no mass of W at zero.
    """

    weight: Any = None
    bias: Any = None
    output: Any = None
    pair: PairLaw | None = field(default=None, kw_only=True)
    antisymmetric: bool = field(default=True, kw_only=True)
    output_bias: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.pair is not None and (self.weight is not None or self.bias is not None):
            raise DataError(f"`pair` ({self.pair.describe()}) fixes `weight` and `bias`; leave both out")
        self.pair_law  # noqa: B018 (its checks)
        if self.output is not None:
            as_law(self.output, "output")
        true_or_false(self.antisymmetric, "antisymmetric")
        if self.output_bias is not None:
            as_law(self.output_bias, "output_bias")
            if self.antisymmetric:
                raise DataError(
                    f"`output_bias` must be None with antisymmetric pairs, which start at zero, got "
                    f"{describe_law(self.output_bias)}; give antisymmetric=False as well"
                )

    @cached_property
    def pair_law(self) -> PairLaw:
        """The law of (w, b)."""
        return Independent((self.weight, self.bias)) if self.pair is None else self.pair

    # -- infinite width ------------------------------------------------------------------------------------------

    @cached_property
    def breakpoint_law(self) -> BreakpointLaw:
        """The law of (breakpoint, |w|, sign w), from which every infinite-width quantity is integrated."""
        return self.pair_law.breakpoint_law()

    def zeta_plus(self, c: Any) -> Array:
        r""":math:`\zeta_+(c)`, the curvature density of units with w > 0; any shape."""
        return self.breakpoint_law.sides[0].zeta(np.asarray(c, dtype=float))

    def zeta_minus(self, c: Any) -> Array:
        r""":math:`\zeta_-(c)`, the curvature density of units with w < 0; any shape."""
        return self.breakpoint_law.sides[1].zeta(np.asarray(c, dtype=float))

    def zeta(self, c: Any) -> Array:
        r""":math:`\zeta(c) = \zeta_+(c) + \zeta_-(c)`; any shape."""
        return self.breakpoint_law.both.zeta(np.asarray(c, dtype=float))

    def curvature_penalty(self, c: Any) -> Array:
        r""":math:`1/\zeta(c)`, infinite where no unit can bend the function; any shape."""
        with np.errstate(divide="ignore"):
            return 1.0 / self.zeta(c)

    def breakpoint_density(self, c: Any) -> Array:
        r""":math:`p_C(c)`, the density of the breakpoints -b/w; any shape."""
        return self.breakpoint_law.both.density(np.asarray(c, dtype=float))

    @property
    def inputs(self) -> int:
        """The number of inputs of a unit."""
        return self.pair_law.inputs

    @property
    def second_moments(self) -> tuple[float, float]:
        """The second moments E[W^2] and E[B^2] of weight (of several inputs: of one of them, on average) and bias."""
        return self.pair_law.second_moments

    @property
    def output_second_moment(self) -> float:
        """The second moment of the law of output weights, 0 without one."""
        return 0.0 if self.output is None else as_law(self.output, "output").second_moment

    @property
    def paired(self) -> bool:
        """Whether units come in antisymmetric pairs."""
        return self.output is not None and self.antisymmetric

    @property
    def starts_at_zero(self) -> bool:
        """Whether every network starts at the zero function."""
        return self.output_bias is None and (self.output is None or self.antisymmetric)

    # -- finite width --------------------------------------------------------------------------------------------

    def sample(self, width: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw (w, b, a), each of shape (width,): hidden weights, biases, and output weights in the units of `output`.

        Of d > 1 inputs w has shape (width, d).

        In antisymmetric pairs units 2j and 2j + 1 share w and b and have opposite a; `width` must then be even.
        """
        width = whole_number(width, "width", at_least=1)
        if not isinstance(rng, np.random.Generator):
            raise DataError(f"`rng` must be a numpy Generator, got {rng!r}; take numpy.random.default_rng(seed)")
        if self.output is None:
            w, b = self.pair_law.sample(width, rng)
            return w, b, np.zeros(width)
        if not self.paired:
            w, b = self.pair_law.sample(width, rng)
            return w, b, as_law(self.output, "output").sample(width, rng)
        if width % 2:
            raise DataError(f"`width` must be even for antisymmetric pairs, got {width}; use {width + 1}")
        w, b = self.pair_law.sample(width // 2, rng)
        a = as_law(self.output, "output").sample(width // 2, rng)
        return np.repeat(w, 2, axis=0), np.repeat(b, 2), np.stack([a, -a], axis=1).ravel()

    def sample_output_bias(self, rng: np.random.Generator) -> float:
        """One draw of the output bias in the units of `output_bias`; to be drawn after `sample`."""
        return 0.0 if self.output_bias is None else float(as_law(self.output_bias, "output_bias").sample(1, rng)[0])

    # -- text ----------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """One line for tables and plots."""
        return self.pair_law.describe()

    def __repr__(self) -> str:
        return f"Initialization({self.describe()})"

    def to_table(self) -> dict[str, Any]:
        """Plain dictionary for TOML; `from_table` reads it back."""
        table = self.pair_law.to_table()
        laws = {"output": self.output, "output_bias": self.output_bias}
        table |= {name: law_to_table(law) for name, law in laws.items() if law is not None}
        return table if self.antisymmetric else table | {"antisymmetric": False}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Initialization:
        """The initialization written by `to_table`, or ``{preset = "pytorch_default"}`` with its parameters."""
        read: Initialization = initialization_from_table(cls, table)
        return read

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Initialization):
            return NotImplemented
        try:
            return self.to_table() == other.to_table()
        except CapabilityError:
            return self is other

    def __hash__(self) -> int:
        return hash(type(self.pair_law))

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: self.__dict__[item.name] for item in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
