"""Initialization: the law of the hidden weights and biases, sampled at finite width, read as a penalty at infinite width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw
from splinebias.initialization.joint_laws import as_joint, joint_from_table
from splinebias.initialization.law_files import law_from_table, law_to_table
from splinebias.initialization.laws import Constant, Rademacher, as_law, normalized
from splinebias.initialization.samples import Samples
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture, OnUnitCircle

_PRESETS = ("pytorch_default", "gaussian", "uniform", "unit_circle")


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
        At least one of the two has a density. For a w and b that depend on each other see `joint` and `mixture`.
    output : law, optional
        Law of the output weights' start. None: zeros. A law: antisymmetric pairs (same w, b, opposite a),
        so that the network starts at zero all the same. Needed for parameterization `NTK`, where a is O(1).
    pair : PairLaw, optional
        The law of (w, b) as one object, in place of `weight` and `bias`; what the presets fill in.

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
    Hypotheses checked: finite E[W^2] and E[B^2]; no mass of W at zero. Not checked: that `output` has the
    O(n^{-1/2}) scaling that keeps the network in the lazy regime; draws are multiplied by it here.
    """

    weight: Any = None
    bias: Any = None
    output: Any = None
    pair: PairLaw | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.pair is not None and (self.weight is not None or self.bias is not None):
            raise DataError(f"`pair` ({self.pair.describe()}) fixes `weight` and `bias`; leave both out")
        self.pair_law  # noqa: B018 (its checks)
        if self.output is not None:
            as_law(self.output, "output")

    @cached_property
    def pair_law(self) -> PairLaw:
        """The law of (w, b)."""
        return Independent((self.weight, self.bias)) if self.pair is None else self.pair

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
    def unit_circle(cls, output: Any = None) -> Initialization:
        r"""(W, B) uniform on the unit circle: :math:`\zeta_\pm(c) = 1/(2\pi(1 + c^2)^2)`."""
        return cls(output=output, pair=OnUnitCircle())

    @classmethod
    def joint(cls, law: Any, output: Any = None) -> Initialization:
        r"""(W, B) with a joint density p: :math:`\zeta_\pm(c) = \int_{\pm w > 0} |w|^3 p(w, -wc)\, dw`.

        Parameters
        ----------
        law : law
            ``scipy.stats.multivariate_normal(mean, cov)`` (closed form), ``scipy.stats.multivariate_t(...)``, or any object
            with `pdf` of points (..., 2) and ``rvs(size=, random_state=)`` whose density is smooth.
        output : law, optional
            As in the constructor.

        Raises
        ------
        DataError
            If `law` is no law of pairs, its covariance is singular, its second moments are infinite, or its mass is not 1.
        CapabilityError
            If the density is too rough to be integrated to 1e-9.
        """
        return cls(output=output, pair=Joint(as_joint(law)))

    @classmethod
    def mixture(
        cls, probabilities: Sequence[float], components: Sequence[Initialization], output: Any = None
    ) -> Initialization:
        r"""A unit comes from component k with probability :math:`\pi_k`: :math:`\zeta_\pm = \sum_k \pi_k \zeta^{(k)}_\pm`.

        Parameters
        ----------
        probabilities : sequence of float
            The :math:`\pi_k`, positive, summing to 1 within 1e-9.
        components : sequence of Initialization
            Without a law of output weights.
        output : law, optional
            As in the constructor.

        Raises
        ------
        DataError
            If a component is no Initialization or has an `output` of its own, or the probabilities do not fit.
        """
        components = list(components)
        for k, component in enumerate(components):
            if not isinstance(component, Initialization):
                raise DataError(f"`components[{k}]` must be an sb.Initialization, got {component!r}")
            if component.output is not None:
                raise DataError(f"`components[{k}]` must have output=None; give `output` to the mixture")
        mass = real_vector(probabilities, "probabilities")
        if mass.size != len(components):
            raise DataError(f"`probabilities` must be as many as `components`, got {mass.size} and {len(components)}")
        return cls(output=output, pair=Mixture(normalized(mass), tuple(component.pair_law for component in components)))

    @classmethod
    def constant_bias(cls, beta: float, weight_law: Any) -> Initialization:
        r"""B = beta, W ~ `weight_law`: large-bias networks.

        :math:`\zeta(c) = |\beta|^3 c^{-4} p_W(-\beta/c)`, all of it in :math:`\zeta_+` where :math:`c\beta < 0`.
        """
        return cls(weight_law, Constant(beta))

    @classmethod
    def from_samples(cls, w: Any, b: Any, output: Any = None, *, bandwidth: float | None = None) -> Initialization:
        r"""The law of samples :math:`(w_j, b_j)`: smoothed for limits, as they are for networks.

        A smoothed unit keeps the radius :math:`r_j` of :math:`(w_j, b_j/s) = r_j(\cos\theta_j, \sin\theta_j)`, s the
        median of :math:`|b_j/w_j|`, and turns to an angle near :math:`\theta_j`: its density is continuous and piecewise
        linear between m equal angles :math:`t_i`, :math:`\delta = 2\pi/m`, with a share
        :math:`\Lambda((\theta_j - t_i)/\delta)/n` of every sample at :math:`t_i`, :math:`\Lambda(u) = \max(1 - |u|, 0)`. So

        .. math:: \zeta_\pm(c) = \frac{\cos^4\theta}{s\,\delta} \sum_{ij} \Lambda\!\left(\frac{\theta - t_i}{\delta}\right)
                  \Lambda\!\left(\frac{\theta_j - t_i}{\delta}\right) \frac{r_j^2}{n}, \qquad c = -s \tan\theta .

        A network of n units gets the samples themselves, in their order (with `output`: one of 2n); a smaller one
        some of them, drawn without replacement; a larger one draws with replacement.

        Parameters
        ----------
        w, b : array_like, shape (n,)
            Weights and biases, ten at least; no w is 0.
        output : law, optional
            As in the constructor.
        bandwidth : float, optional
            The largest :math:`\delta`, in radians, at most :math:`\pi/8`; that which is used divides :math:`\pi/2`, and is
            printed. Default: the median of the arcs of the circle that hold :math:`n^{3/5}` of the :math:`\theta_j`.

        Raises
        ------
        DataError
            If samples are not finite or not as many, hold w = 0, or have so few breakpoints that there is no density.

        Notes
        -----
        With growing n the limit tends to that of the samples' law, up to an error of order :math:`n^{-1/2}` and what
        smoothing changes: nothing for a density of the radius alone, :math:`O(\delta^2)` for smooth ones. Where more than
        64 samples share an angle, those of neighbouring radii count as one of their mean square: :math:`\zeta` keeps its
        value, and limits of potentials that are not quadratic change by less than the samples' own error. *Hypotheses
        checked:* finite second moments of the samples. *Not checked:* that the law they come from has them. Derived here.

        Examples
        --------
        >>> import numpy as np, splinebias as sb
        >>> w, b = np.random.default_rng(0).standard_normal((2, 10_000))
        >>> sb.Initialization.from_samples(w, b)
        Initialization(10000 samples of (W, B), bandwidth 0.157 of atan(b/(0.989 w)))
        """
        return cls(output=output, pair=Samples.of(w, b, bandwidth))

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
    def second_moments(self) -> tuple[float, float]:
        """The second moments E[W^2] and E[B^2] of weight and bias."""
        return self.pair_law.second_moments

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
            w, b = self.pair_law.sample(width, rng)
            return w, b, np.zeros(width)
        if width % 2:
            raise DataError(f"`width` must be even for antisymmetric pairs, got {width}; use {width + 1}")
        w, b = self.pair_law.sample(width // 2, rng)
        a = as_law(self.output, "output").sample(width // 2, rng)
        return np.repeat(w, 2), np.repeat(b, 2), np.stack([a, -a], axis=1).ravel()

    # -- text ----------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """One line for tables and plots."""
        return self.pair_law.describe()

    def __repr__(self) -> str:
        return f"Initialization({self.describe()})"

    def to_table(self) -> dict[str, Any]:
        """Plain dictionary for TOML; `from_table` reads it back."""
        table = self.pair_law.to_table()
        return table if self.output is None else table | {"output": law_to_table(self.output)}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Initialization:
        """The initialization written by `to_table`, or ``{preset = "pytorch_default"}`` with its parameters."""
        options = dict(table)
        if "preset" in options:
            return cls._from_preset(options)
        if unknown := set(options) - {"joint", "weight", "bias", "output"}:
            raise DataError(
                "[initialization] takes `weight`, `bias`, `output`, `joint` or a `preset` "
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
        if joint.get("name") == "samples":
            if not {"w", "b"} <= set(joint) <= {"name", "w", "b", "bandwidth"}:
                raise DataError(f"`joint` of samples takes `w`, `b` and `bandwidth`, got {sorted(joint)}")
            return cls.from_samples(joint["w"], joint["b"], bandwidth=joint.get("bandwidth"), **laws)
        if joint.get("name") != "mixture":
            return cls.joint(joint_from_table(joint), **laws)
        if set(joint) != {"name", "probabilities", "components"}:
            raise DataError(f"`joint` of a mixture takes `probabilities` and `components`, got {sorted(joint)}")
        parts = joint["components"]
        if not isinstance(parts, list | tuple) or not all(isinstance(part, dict) for part in parts):
            raise DataError(f"`components` of a mixture must be tables like [initialization], got {joint['components']!r}")
        return cls.mixture(joint["probabilities"], [cls.from_table(part) for part in joint["components"]], **laws)

    @classmethod
    def _from_preset(cls, options: dict[str, Any]) -> Initialization:
        preset = options.pop("preset")
        if preset not in _PRESETS:
            raise DataError(f"[initialization] `preset` must be one of {', '.join(_PRESETS)}, got {preset!r}")
        output = law_from_table(options.pop("output"), "output") if "output" in options else None
        try:
            made: Initialization = getattr(cls, preset)(**options)
        except TypeError as error:
            raise DataError(f"[initialization] has parameters that {preset} does not take: {error}") from None
        return replace(made, output=output)

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
        return {name: self.__dict__[name] for name in ("weight", "bias", "output", "pair")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
