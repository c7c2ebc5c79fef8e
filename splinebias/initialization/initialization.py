"""Initialization: the law of the hidden weights and biases, sampled at finite width, read as a penalty at infinite width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, real_vector, true_or_false, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw
from splinebias.initialization.joint_laws import as_joint, joint_from_table
from splinebias.initialization.law_files import law_from_table, law_to_table
from splinebias.initialization.laws import Constant, Discrete, Rademacher, as_law, describe_law, normalized
from splinebias.initialization.samples import Samples
from splinebias.initialization.several_inputs.input_laws import FromSampler, IndependentCoordinates, OnSphere, checked_inputs
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture, OnUnitCircle

_PRESETS = ("pytorch_default", "gaussian", "uniform", "unit_circle")  # those whose parameters are numbers


@known_keywords
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

    # -- presets -------------------------------------------------------------------------------------------------

    @classmethod
    def rademacher(cls, bias_law: Any) -> Initialization:
        r"""W = +-1, B ~ `bias_law`: :math:`\zeta_+(c) = p_B(-c)/2`, :math:`\zeta_-(c) = p_B(c)/2`."""
        return cls(Rademacher(), bias_law)

    @classmethod
    def gaussian(cls, s_w: float = 1.0, s_b: float = 1.0, *, dim: int = 1) -> Initialization:
        r"""W ~ N(0, s_w^2), B ~ N(0, s_b^2): :math:`\zeta_\pm(c) = s_w^3 s_b^3 / (\pi (s_b^2 + c^2 s_w^2)^2)`.

        Of `dim` inputs all weights of a unit have that law, independently.
        """
        from scipy import stats

        weight, bias = (stats.norm(0, real_number(s, name, above=0)) for s, name in ((s_w, "s_w"), (s_b, "s_b")))
        return cls.coordinates(weight, bias, dim=dim)

    @classmethod
    def uniform(cls, w_max: float = 1.0, b_max: float = 1.0, *, dim: int = 1) -> Initialization:
        r"""W ~ U(-w_max, w_max), B ~ U(-b_max, b_max); of `dim` inputs all weights of a unit have that law, independently.

        :math:`\zeta_\pm(c) = \min(w_{max}, b_{max}/|c|)^4 / (16 w_{max} b_{max})`.
        """
        from scipy import stats

        w_max, b_max = real_number(w_max, "w_max", above=0), real_number(b_max, "b_max", above=0)
        return cls.coordinates(stats.uniform(-w_max, 2 * w_max), stats.uniform(-b_max, 2 * b_max), dim=dim)

    @classmethod
    def pytorch_default(cls, *, both_layers: bool = False, dim: int = 1) -> Initialization:
        r"""The default of ``torch.nn.Linear``: W and B uniform on (-1, 1), and with `both_layers` a and d as in torch, too.

        Of `dim` inputs W and B are uniform on :math:`(-d^{-1/2}, d^{-1/2})`.

        ``Linear(n, 1)`` draws a and d uniform on :math:`(-1/\sqrt n, 1/\sqrt n)`: then :math:`\sqrt n\, a` and
        :math:`\sqrt n\, d` are uniform on (-1, 1) and units independent, for parameterization `Standard`. Networks do not
        start at zero. False: output weights start at 0.
        """
        law = cls.uniform(checked_inputs(dim) ** -0.5, dim**-0.5, dim=dim)
        if not true_or_false(both_layers, "both_layers"):
            return law
        from scipy import stats

        return replace(law, output=stats.uniform(-1, 2), output_bias=stats.uniform(-1, 2), antisymmetric=False)

    @classmethod
    def kaiming(cls, bias: Any = None, *, output: Any = None) -> Initialization:
        r"""He's law in one dimension: W ~ N(0, 2) (fan-in 1, gain of ReLU), :math:`\sqrt n\, a` ~ N(0, 2), B ~ `bias`.

        Parameters
        ----------
        bias : law
            Of the hidden biases. He et al. and most scripts take 0, where with one input all breakpoints sit at 0 and there
            is no limit: refused.
        output : law, optional
            In place of N(0, 2), the draw of a layer of fan-in n; for parameterization `Standard`. Units are independent.

        Raises
        ------
        DataError
            If `bias` is None or 0.
        """
        from scipy import stats

        _require_biases(bias, "kaiming")
        normal = stats.norm(0, 2**0.5)
        return cls(normal, bias, normal if output is None else output, antisymmetric=False)

    @classmethod
    def xavier(cls, width: int, bias: Any = None) -> Initialization:
        r"""Glorot's law in one dimension: W ~ N(0, 2/(1 + n)), :math:`\sqrt n\, a` ~ N(0, 2n/(n + 1)), B ~ `bias`.

        Parameters
        ----------
        width : int
            The n above: with one input the fan-out decides, so the law changes with the width and hidden weights vanish as
            n grows. A study over widths with one frozen law is not what ``xavier_normal_`` does.
        bias : law
            Of the hidden biases. Most scripts take 0, where all breakpoints sit at 0: refused.

        Raises
        ------
        DataError
            If `bias` is None or 0, or `width` is no whole number >= 1.
        """
        from scipy import stats

        n = whole_number(width, "width", at_least=1)
        _require_biases(bias, "xavier")
        return cls(stats.norm(0, (2 / (1 + n)) ** 0.5), bias, stats.norm(0, (2 * n / (n + 1)) ** 0.5), antisymmetric=False)

    @classmethod
    def coordinates(cls, weight: Any, bias: Any, output: Any = None, *, dim: int) -> Initialization:
        """Units of `dim` inputs: all their weights, of one law, and the bias are independent; of one input as usual."""
        if checked_inputs(dim) == 1:
            return cls(weight, bias, output)
        return cls(output=output, pair=IndependentCoordinates((weight, bias), dim))

    @classmethod
    def sphere(cls, bias_law: Any, output: Any = None, *, dim: int) -> Initialization:
        r"""w uniform on the unit sphere of `dim` inputs, independent of B ~ `bias_law`; of one input, W = +-1.

        For B ~ U(-b, b), wherever \|x\| <= b, limits are polyharmonic splines of :math:`|x - x'|^3` in any dimension.
        """
        if checked_inputs(dim) == 1:
            return cls(Rademacher(), bias_law, output)
        return cls(output=output, pair=OnSphere(bias_law, dim))

    @classmethod
    def from_sampler(cls, sampler: Any, output: Any = None) -> Initialization:
        """Units of several inputs that an object of one's own draws.

        Parameters
        ----------
        sampler : object
            With ``sample(width, rng) -> (w, b)``, independent units: w of shape (width, d), d >= 2, b of shape (width,). A
            dimension is taken from a trial.
        output : law, optional
            As in the constructor.

        Raises
        ------
        DataError
            If it draws something else, or 16,384 draws show tails that have no second moment.

        Notes
        -----
        Limits are averages over its draws, with an error that their residual holds. *Not checked:* second moments, beyond
        tails that clearly have none.
        """
        return cls(output=output, pair=FromSampler.of(sampler))

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
        options = dict(table)
        start = {name: options.pop(name) for name in ("antisymmetric",) if name in options}
        if "output_bias" in options:
            start["output_bias"] = law_from_table(options.pop("output_bias"), "output_bias")
        if start:
            return replace(cls.from_table(options), **start)
        if "preset" in options:
            return cls._from_preset(options)
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
        return replace(cls._from_joint(joint), **laws)

    @classmethod
    def _from_joint(cls, joint: dict[str, Any]) -> Initialization:
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
        return cls.mixture(joint["probabilities"], [cls.from_table(part) for part in parts])

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
        return made if output is None else replace(made, output=output)

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


def _require_biases(bias: Any, preset: str) -> None:
    """Refuse biases that are 0, the usual companions of these presets."""
    zero = isinstance(bias, int | float) and bias == 0
    if bias is None or zero or (isinstance(bias, Discrete) and 0.0 in bias.values):
        raise DataError(
            f"`bias` of {preset} must be a law with a density, got {bias!r}: with one input and zero biases all breakpoints "
            "sit at 0, networks are two rays from the origin and have no limit of this kind; give the biases a law, such as "
            "scipy.stats.norm(0, 0.5), or torch's own default: Initialization.pytorch_default(both_layers=True)"
        )
