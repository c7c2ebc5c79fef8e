r"""The adaptive regime: problems on its two scale-free axes, and how near a trained network is to either end of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splinebias._arguments import known_keywords, real_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.activation import ReLU
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.compare import compare
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.initialization.initialization import Initialization
from splinebias.initialization.laws import Discrete
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction
from splinebias.loss import require_squared
from splinebias.parameterization import NTK, MeanField, Standard
from splinebias.problem import Problem
from splinebias.regimes.minimum_norm import MinimumNorm, minimum_norm
from splinebias.training.train import Training

_ONE_KNOT = 1e-9  # of the span of the data: bends nearer than this are one, as those of neurons that sit at one sample


@known_keywords
def adaptive_problem(data: Dataset, size: float, imbalance: float) -> Problem:
    r"""A mean-field problem with a given place on each of the two axes from the adaptive to the kernel regime.

    .. math:: R_0 = \frac1\alpha \sum_k |a_k||(w_k, b_k)| / R^*, \qquad D = \frac{n \delta}{\alpha R^*}, \qquad
              f = \frac1\alpha \sum_k a_k [w_k x + b_k]_+,

    with :math:`\delta = a_k^2 - w_k^2 - b_k^2`, the same for every neuron at the start, and :math:`R^*` the least
    bias-penalized norm of a network through the data. Neither changes with n, nor if all parameters are scaled and
    :math:`\alpha` with them, which is why :math:`\alpha(n)` is no axis of its own.

    Parameters
    ----------
    data : Dataset
        At least one slope or height that a network has to make: :math:`R^* > 0`.
    size : float
        The :math:`R_0` above, > 0: small ones are adaptive unless D << -1, large ones lazy.
    imbalance : float
        The D above, any sign. D >> 1: output weights are larger than hidden ones.

    Returns
    -------
    Problem
        (w, b) on the unit circle, output weights :math:`\pm a_0` in antisymmetric pairs (f starts at 0), with
        :math:`a_0 = R_0 q`, :math:`\gamma = q/R^*`, :math:`q = 2/(\sqrt{D^2 + 4R_0^2} - D)`.

    Raises
    ------
    DataError
        For numbers outside these ranges; for data on a constant, which cost nothing; for data whose slopes overflow.

    Notes
    -----
    Source: Williams et al., NeurIPS 2019, for :math:`\delta`; the axes are derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> problem = sb.adaptive_problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), size=0.1, imbalance=0)
    >>> run = sb.train(problem, width=100, loss_tol=1e-6)
    >>> found = sb.adaptive_measures(run)
    >>> round(found.size, 12), round(found.imbalance, 12), bool(found.curvature_ratio < 1.06)
    (0.1, 0.0, True)
    """
    size = real_number(size, "size", above=0, fix="small ones are adaptive, large ones lazy")
    imbalance = real_number(imbalance, "imbalance", fix="0 is a balanced start")
    least = _least_norm(data)
    root = math.hypot(imbalance, 2 * size)
    q = 2 / (root - imbalance) if imbalance <= 0 else (root + imbalance) / (2 * size**2)
    output = Discrete((-size * q, size * q), (0.5, 0.5))
    return Problem(data, Initialization.unit_circle(output), parameterization=MeanField(q / least))


@dataclass(frozen=True, eq=False)
class AdaptiveMeasures(Drawn):
    r"""A trained network between the adaptive and the kernel end, see `adaptive_measures`.

    Attributes
    ----------
    run : Training
        The network.
    size, imbalance : float
        :math:`R_0` and D of its start, pure numbers; D with the mean of :math:`\delta` over neurons.
    drift : float
        Largest change of :math:`\delta = a^2 - w^2 - b^2` of a neuron, over the largest :math:`a^2 + w^2 + b^2` at the
        start. Gradient flow conserves it.
    fitted : MinimumNorm
        The interpolants of least :math:`\int |f''|` *of the network's own values at the data*: ``fitted.function`` connects
        the dots, ``fitted.lower`` and ``fitted.upper`` enclose all of them.
    curvature : float
        :math:`\int |f''|` of the network between the outermost data, in units of y over x.
    knot_distance : float
        Mean distance of breakpoints between the outermost data from the nearest datum, weighted by |a w|, in units of x; nan
        if there is none.
    dead : int
        Neurons that are active at no datum at the end: training moves them no more.
    dead_at_start : int
        The same at the start.
    """

    run: Training
    size: float
    imbalance: float
    drift: float
    fitted: MinimumNorm
    curvature: float
    knot_distance: float
    dead: int
    dead_at_start: int

    @property
    def interpolates(self) -> bool:
        """Whether the root mean square misfit of the data is at most 1 % of that of their mean.

        Small starts often end before: neurons die, and what is left cannot bend where the data ask for it.
        """
        data = self.run.problem.line_data
        mean = np.average(data.y, weights=data.weights)
        spread = float(np.average((data.y - mean) ** 2, weights=data.weights)) / 2
        return self.run.loss <= 1e-4 * (spread or 1.0)

    @property
    def curvature_ratio(self) -> float:
        r""":math:`\int |f''|` of the network over the least of an interpolant of its own values at the data, >= 1.

        Infinite if these lie on a line and the network bends.
        """
        if self.fitted.norm:
            return self.curvature / self.fitted.norm
        return math.inf if self.curvature else 1.0

    @property
    def to_interpolant(self) -> float:
        """sup-distance to the linear interpolant of its own values at the data, between them."""
        return compare(self.run.function, self.fitted.function, self._hull).sup

    @property
    def to_minimizers(self) -> float:
        """How far the network is above ``fitted.upper`` or below ``fitted.lower``, at most, between the data.

        0 for every minimizer; a network within may still bend more than needed.
        """
        f, lower, upper = _line(self.run), self.fitted.lower, self.fitted.upper
        edges = [g.knots for g in (f, lower, upper)]
        lo, hi = self._hull
        x = np.clip(np.r_[np.concatenate(edges), lo, hi], lo, hi)  # the difference is linear in between
        return float(max(np.max(f(x) - upper(x)), np.max(lower(x) - f(x)), 0.0))

    @property
    def to_kernel(self) -> float:
        """sup-distance to `kernel_limit`, between the data."""
        return compare(self.run.function, self.kernel_limit.function, self._hull).sup

    @cached_property
    def kernel_limit(self) -> Prediction:
        """What infinitely wide networks would end at if their features stayed: `predict` of the `lazy_problem`."""
        return predict(lazy_problem(self.run.problem))

    @property
    def _hull(self) -> tuple[float, float]:
        x = self.run.problem.line_data.x
        return float(x[0]), float(x[-1])

    def __repr__(self) -> str:
        fit = "interpolates" if self.interpolates else f"does not interpolate (loss {self.run.loss:.2g})"
        return (
            f"AdaptiveMeasures(R0 {self.size:.4g}, D {self.imbalance:.4g}: {fit}, curvature {self.curvature_ratio:.5g} "
            f"times the least of its values, {self.dead} of {self.run.width} neurons dead, drift {self.drift:.1e})"
        )


@known_keywords
def adaptive_measures(run: Training) -> AdaptiveMeasures:
    r"""How near a trained ReLU network is to the adaptive end, least :math:`\int |f''|`, and to the kernel end, `predict`.

    At the adaptive end (measured: :math:`R_0 \le 0.1`, :math:`D \ge -10`) a network has the least :math:`\int |f''|`
    between the outermost data among interpolants *of its own values there*: it may miss the data, there are many such
    functions where neighbouring changes of slope have one sign, and it is not the one of least bias-penalized norm. At the
    kernel end (measured: :math:`D \le -100`, at every :math:`R_0`) it is the limit of `predict` for its start.

    Parameters
    ----------
    run : Training
        Of a ReLU problem without skip connection, any parameterization.

    Returns
    -------
    AdaptiveMeasures

    Raises
    ------
    DataError
        If `run` is no Training; for data on a constant.
    CapabilityError
        For other activations and problems with a free affine part; for runs on another loss than the squared one.

    Notes
    -----
    Bends closer than 1e-9 of the span of the data count as one: neurons that arrived at one sample from both sides share it
    up to rounding, and their bends cancel.

    *Hypotheses, not checked:* a width for which the limit is near; a start that is spread over all directions.
    Source: Williams et al., NeurIPS 2019, for the two regimes; that the adaptive end is measured against its own values
    is derived here, from experiments.
    """
    if not isinstance(run, Training):
        raise DataError(f"`run` must be a Training, got {type(run).__name__}; pass sb.train(problem, width)")
    require_squared(run.loss_function, "the adaptive regime")
    problem = run.problem
    if (problem.activation.two_slopes or problem.activation) != ReLU() or problem.free:
        raise CapabilityError(
            f"the adaptive regime is measured for ReLU networks without skip connection, got {problem.activation}, "
            f'affine="{problem.affine}"'
        )
    x, scale = problem.line_data.x, problem.parameterization.output_scale(run.width)
    start, end = (network.units() for network in (run.start, run.network))
    delta = [(a / scale) ** 2 - w**2 - b**2 for w, b, a in (start, end)]
    w, b, a = start
    size = np.max((a / scale) ** 2 + w**2 + b**2)
    norm = _least_norm(problem.line_data)
    return AdaptiveMeasures(
        run,
        float(np.abs(a) @ np.hypot(w, b)) / norm,
        run.width * scale * float(delta[0].mean()) / norm,
        float(np.abs(delta[1] - delta[0]).max() / size),
        minimum_norm(Dataset(x, run.function(x))),
        _curvature(run, x),
        _knot_distance(*end, x),
        _dead(*end[:2], x),
        _dead(w, b, x),
    )


def lazy_problem(problem: Problem) -> Problem:
    """The problem whose limit networks have if their features stay: that of the tangent kernel at the start.

    With `Standard` and quadratic potentials it is the problem itself. With `MeanField` and `NTK` both layers count.
    """
    if isinstance(problem.parameterization, Standard):
        return problem
    return replace(problem, parameterization=NTK())


def _least_norm(data: Dataset) -> float:
    """R*: the least bias-penalized norm of a network through the data, or a DataError if that is 0."""
    least = minimum_norm(data, penalize_bias=True, affine="network").norm
    if not least > 0:
        raise DataError(
            f"`data` must ask for more than a constant, which costs nothing, got y = {data.y[0]:g} throughout; the axes are "
            "relative to the norm of the least network through the data"
        )
    return least


def _line(run: Training) -> PiecewiseLinear:
    """The trained ReLU network of one input."""
    assert isinstance(run.function, PiecewiseLinear)
    return run.function


def _curvature(run: Training, x: Array) -> float:
    """The total curvature strictly between the outermost data, bends at one place counted as one."""
    f, near = _line(run), _ONE_KNOT * (x[-1] - x[0])
    group = np.r_[0, np.cumsum(np.diff(f.knots) > near)]
    bends = np.bincount(group, weights=f.kinks)
    first = np.r_[True, np.diff(group) > 0]
    last = np.r_[np.diff(group) > 0, True]
    inside = (f.knots[first] > x[0] + near) & (f.knots[last] < x[-1] - near)
    return float(np.abs(bends[inside]).sum())


def _knot_distance(w: Array, b: Array, a: Array, x: Array) -> float:
    """Mean distance of breakpoints among the data from the nearest of them, weighted by |a w|."""
    with np.errstate(divide="ignore", invalid="ignore"):
        c = -b / w
    inside = (c >= x[0]) & (c <= x[-1])
    mass, c = np.abs(a * w)[inside], c[inside]
    if not mass.any():
        return math.nan
    right = np.clip(np.searchsorted(x, c), 1, x.size - 1)
    return float(np.average(np.minimum(c - x[right - 1], x[right] - c), weights=mass))


def _dead(w: Array, b: Array, x: Array) -> int:
    """Neurons that are active at no datum: positive at neither end of the data, up to rounding."""
    rounding = 1e-12 * np.hypot(w * np.abs(x).max(), b)
    return int(np.sum(np.maximum(w * x[0] + b, w * x[-1] + b) <= rounding))
