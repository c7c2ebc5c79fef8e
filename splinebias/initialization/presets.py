"""Presets: laws of (w, b) that have a name, each with its curvature density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from splinebias._arguments import real_number, real_vector, true_or_false, whole_number
from splinebias.errors import DataError
from splinebias.initialization.breakpoints import PairLaw
from splinebias.initialization.joint_laws import as_joint
from splinebias.initialization.laws import Constant, Discrete, Rademacher, normalized
from splinebias.initialization.samples import Samples
from splinebias.initialization.several_inputs.input_laws import FromSampler, IndependentCoordinates, OnSphere, checked_inputs
from splinebias.initialization.weight_bias_laws import Joint, Mixture, OnUnitCircle


class Presets:
    """The class methods by which an `Initialization` is made of a law with a name."""

    if TYPE_CHECKING:  # what they need of an Initialization
        output: Any

        def __init__(self, weight: Any = None, bias: Any = None, output: Any = None, **others: Any) -> None: ...

        @property
        def pair_law(self) -> PairLaw: ...

    @classmethod
    def rademacher(cls, bias_law: Any) -> Self:
        r"""W = +-1, B ~ `bias_law`: :math:`\zeta_+(c) = p_B(-c)/2`, :math:`\zeta_-(c) = p_B(c)/2`."""
        return cls(Rademacher(), bias_law)

    @classmethod
    def gaussian(cls, s_w: float = 1.0, s_b: float = 1.0, *, dim: int = 1) -> Self:
        r"""W ~ N(0, s_w^2), B ~ N(0, s_b^2): :math:`\zeta_\pm(c) = s_w^3 s_b^3 / (\pi (s_b^2 + c^2 s_w^2)^2)`.

        Of `dim` inputs all weights of a unit have that law, independently.
        """
        from scipy import stats

        weight, bias = (stats.norm(0, real_number(s, name, above=0)) for s, name in ((s_w, "s_w"), (s_b, "s_b")))
        return cls.coordinates(weight, bias, dim=dim)

    @classmethod
    def uniform(cls, w_max: float = 1.0, b_max: float = 1.0, *, dim: int = 1) -> Self:
        r"""W ~ U(-w_max, w_max), B ~ U(-b_max, b_max); of `dim` inputs all weights of a unit have that law, independently.

        :math:`\zeta_\pm(c) = \min(w_{max}, b_{max}/|c|)^4 / (16 w_{max} b_{max})`.
        """
        from scipy import stats

        w_max, b_max = real_number(w_max, "w_max", above=0), real_number(b_max, "b_max", above=0)
        return cls.coordinates(stats.uniform(-w_max, 2 * w_max), stats.uniform(-b_max, 2 * b_max), dim=dim)

    @classmethod
    def pytorch_default(cls, *, both_layers: bool = False, dim: int = 1) -> Self:
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

        return replace(law, output=stats.uniform(-1, 2), output_bias=stats.uniform(-1, 2), antisymmetric=False)  # type: ignore[type-var]

    @classmethod
    def kaiming(cls, bias: Any = None, *, output: Any = None) -> Self:
        r"""He's law, for one input only: W ~ N(0, 2) (fan-in 1, gain of ReLU), :math:`\sqrt n\, a` ~ N(0, 2), B ~ `bias`.

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
    def xavier(cls, width: int, bias: Any = None) -> Self:
        r"""Glorot's law, for one input only: W ~ N(0, 2/(1 + n)), :math:`\sqrt n\, a` ~ N(0, 2n/(n + 1)), B ~ `bias`.

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
    def coordinates(cls, weight: Any, bias: Any, output: Any = None, *, dim: int) -> Self:
        """Units of `dim` inputs: all their weights, of one law, and the bias are independent; of one input as usual."""
        if checked_inputs(dim) == 1:
            return cls(weight, bias, output)
        return cls(output=output, pair=IndependentCoordinates((weight, bias), dim))

    @classmethod
    def sphere(cls, bias_law: Any, output: Any = None, *, dim: int) -> Self:
        r"""w uniform on the unit sphere of `dim` inputs, independent of B ~ `bias_law`; of one input, W = +-1.

        For B ~ U(-b, b), wherever \|x\| <= b, limits are polyharmonic splines of :math:`|x - x'|^3` in any dimension.
        """
        if checked_inputs(dim) == 1:
            return cls(Rademacher(), bias_law, output)
        return cls(output=output, pair=OnSphere(bias_law, dim))

    @classmethod
    def from_sampler(cls, sampler: Any, output: Any = None) -> Self:
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
    def unit_circle(cls, output: Any = None) -> Self:
        r"""(W, B) uniform on the unit circle: :math:`\zeta_\pm(c) = 1/(2\pi(1 + c^2)^2)`."""
        return cls(output=output, pair=OnUnitCircle())

    @classmethod
    def joint(cls, law: Any, output: Any = None) -> Self:
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
    def mixture(cls, probabilities: Sequence[float], components: Sequence[Self], output: Any = None) -> Self:
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
            if not isinstance(component, Presets):
                raise DataError(f"`components[{k}]` must be an sb.Initialization, got {component!r}")
            if component.output is not None:
                raise DataError(f"`components[{k}]` must have output=None; give `output` to the mixture")
        mass = real_vector(probabilities, "probabilities")
        if mass.size != len(components):
            raise DataError(f"`probabilities` must be as many as `components`, got {mass.size} and {len(components)}")
        return cls(output=output, pair=Mixture(normalized(mass), tuple(component.pair_law for component in components)))

    @classmethod
    def constant_bias(cls, beta: float, weight_law: Any) -> Self:
        r"""B = beta, W ~ `weight_law`: large-bias networks.

        :math:`\zeta(c) = |\beta|^3 c^{-4} p_W(-\beta/c)`, all of it in :math:`\zeta_+` where :math:`c\beta < 0`.
        """
        return cls(weight_law, Constant(beta))

    @classmethod
    def from_samples(cls, w: Any, b: Any, output: Any = None, *, bandwidth: float | None = None) -> Self:
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


def _require_biases(bias: Any, preset: str) -> None:
    """Refuse biases that are 0, the usual companions of these presets."""
    zero = isinstance(bias, int | float) and bias == 0
    if bias is None or zero or (isinstance(bias, Discrete) and 0.0 in bias.values):
        raise DataError(
            f"`bias` of {preset} must be a law with a density, got {bias!r}: with one input and zero biases all breakpoints "
            "sit at 0, networks are two rays from the origin and have no limit of this kind; give the biases a law, such as "
            "scipy.stats.norm(0, 0.5), or torch's own default: Initialization.pytorch_default(both_layers=True)"
        )
