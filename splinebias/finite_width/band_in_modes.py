r"""Influences of quadratic problems in decay modes: any activation, any parameterization, any training time.

Linearized, :math:`f_t = K(\cdot, X) \lambda_t` with :math:`\lambda' = -W(K\lambda - y)` and W the weights of the data. One
more neuron changes K by its own kernel k, so to first order

.. math:: u(x) = k(x, X) \lambda_t - K(x, X) \int_0^t e^{-WK(t - \tau)}\, W k(X, X)\, \lambda_\tau \, d\tau .

In the modes :math:`W^{1/2} K W^{1/2} = V \mathrm{diag}(s) V^T`, with :math:`q(x) = V^T W^{1/2} K(X, x)` and
:math:`\hat y = V^T W^{1/2} y`, the integral is closed: a feature F of the neuron, k(x, x') = F(x) F(x'), with
:math:`z = V^T W^{1/2} F(X)` adds

.. math:: F(x)\, F(X)^T \lambda_t - \sum_{ij} q_i(x)\, z_i\, \Gamma_{ij}\, z_j\, \hat y_j, \qquad
          \Gamma_{ij} = \int_0^t e^{-s_i (t - \tau)} \frac{1 - e^{-s_j \tau}}{s_j}\, d\tau \to \frac{1}{s_i s_j} .

A free line fits its data by weighted least squares at all times: it is subtracted from F and K.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.band_at_limit import NO_SHIFT, Influence
from splinebias.initialization.laws import Discrete, as_law
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.kernels.features import enough_points
from splinebias.limit.kernels.tangent import limit_kernel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.decay_modes import line_basis
from splinebias.limit.trajectory.linear_flow import Decay, LinearFlow
from splinebias.numerics.cells import Cells
from splinebias.parameterization import NTK
from splinebias.problem import Problem

_ORDER = 16
_NAMED = 6  # points in a message
_KNOWN = 1e-3  # relative accuracy of rates, hence of bands, up to which H counts as regular
_FAR_TIME = 1e150  # its square is a double; rates of the same size are 0 to rounding
_ALIKE = 1e-4  # relative difference of two rates below which the derivative is more exact than their difference quotient


@dataclass(frozen=True, eq=False)
class ModeInfluence:
    r"""Influences at one training time.

    Attributes
    ----------
    problem : Problem
        What is fitted; quadratic or unscaled.
    flow : LinearFlow
        Its modes.
    time : float
        Training time in units of :math:`\phi''(0)`; infinity: the limit.
    cells : Cells
        Resolve the law and hold the data.
    moments : tuple of float
        E[a^2] and E[a^4] of the output weights at the start; they matter with `NTK`.
    """

    problem: Problem
    flow: LinearFlow
    time: float
    cells: Cells
    moments: tuple[float, float]

    @classmethod
    def of(cls, problem: Problem, time: float) -> ModeInfluence:
        """The influences of `problem` at training time `time`."""
        flow = LinearFlow.of(PosedProblem(problem))
        if time == math.inf:
            _require_seen(flow)
        law, degree = problem.initialization.breakpoint_law, problem.activation.degree
        order = _ORDER if law.degree is None else max(_ORDER, law.degree + 1)
        points = enough_points(problem.data.x, degree + 1)
        degrees = {degree, 2 * degree} | ({degree - 1, 2 * degree - 1, 2 * degree - 2} if is_ntk(problem) else set())
        edges = np.unique(np.concatenate([integration_cells(law, points, order, k).edges for k in degrees]))
        return cls(problem, flow, time / flow.stiffness, Cells(edges, order), _output_moments(problem))

    def at(self, points: Array) -> Influence:
        """Influences at increasing `points`, shape (N,)."""
        act, law = self.problem.activation, self.problem.initialization.breakpoint_law
        cells, projections = self.cells.split(points), self._projections(points)
        c, weights, k = cells.nodes.ravel(), cells.weights.ravel(), act.degree
        rows, mean = [], np.zeros(points.size)
        for side in (1, -1):
            value, derivative = _Feature(act.value, c, side), _Feature(act.derivative, c, side)
            outer = self._of_feature(points, projections, value)
            zeta = law.zeta(c, side, 2 * k)
            mean += outer @ (weights * law.zeta(c, side, k))
            if not is_ntk(self.problem):
                rows.append(outer * np.sqrt(weights * zeta))
                continue
            features = (derivative, replace(derivative, power=1))
            hidden = np.sum([self._of_feature(points, projections, feature) for feature in features], axis=0)
            second, fourth = self.moments  # u = |w|^2k outer + a^2 |w|^(2k - 2) hidden: two rows have its second moments
            root = np.sqrt(zeta)
            cross = np.divide(second * law.zeta(c, side, 2 * k - 1), root, out=np.zeros_like(root), where=root > 0)
            rest = np.maximum(fourth * law.zeta(c, side, 2 * k - 2) - cross**2, 0.0)
            rows += [(outer * root + hidden * cross) * np.sqrt(weights), hidden * np.sqrt(weights * rest)]
            mean += hidden @ (weights * second * law.zeta(c, side, k - 1))
        made = Influence(np.concatenate(rows, axis=1), mean)
        if self.time == math.inf:  # there networks interpolate
            made.rows[np.isin(points, self.problem.data.x)] = 0.0
        return made

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        """Not known."""
        raise CapabilityError(NO_SHIFT)

    def _line_weights(self, points: Array) -> Array:
        """Values of the weighted least-squares line at `points` from ordinates at the data, shape (N, M)."""
        x, root = self.problem.data.x, self.flow.residuals.root
        if self.problem.affine != "free":
            return np.zeros((points.size, x.size))
        lines = line_basis(root, x)
        rise = (points - root**2 @ x) / np.linalg.norm(root * (x - root**2 @ x))
        return np.asarray((lines * root[:, None] @ np.stack([np.ones(points.size), rise])).T)

    def _projections(self, points: Array) -> Array:
        """q(x), shape (N, k)."""
        x, kernel = self.problem.data.x, limit_kernel(self.problem)
        matrix = kernel.matrix(points, x) - self._line_weights(points) @ kernel.matrix(x, x)
        return np.asarray((matrix * self.flow.residuals.root) @ self.flow.modes.vectors)

    def _of_feature(self, points: Array, projections: Array, feature: _Feature) -> Array:
        """The influence through one feature, shape (N, n)."""
        flow, x = self.flow, self.problem.data.x
        rates, columns = flow.modes.rates, flow.residuals.root[:, None] * flow.modes.vectors
        moved = 1 / rates if self.time == math.inf else Decay(self.time).moved(rates)
        at_data = feature(x)
        z = columns.T @ at_data
        g = (columns @ (moved * flow.start)) @ at_data
        response = z * (accumulated(rates, self.time) @ (flow.start[:, None] * z))
        return np.asarray((feature(points) - self._line_weights(points) @ at_data) * g - projections @ response)


@dataclass(frozen=True, eq=False)
class _Feature:
    r"""The feature :math:`F(x) = x^{power} \tau(s(x - c))` of neurons with breakpoints c and sign s.

    Attributes
    ----------
    function : callable
        The :math:`\tau` above.
    c : Array, shape (n,)
        Breakpoints.
    side, power : int
        s and the power of x above.
    """

    function: Callable[[Array], Array]
    c: Array
    side: int
    power: int = 0

    def __call__(self, x: Array) -> Array:
        """At places x, shape (N, n)."""
        return np.asarray(x[:, None] ** self.power * self.function(self.side * (x[:, None] - self.c)))


def accumulated(rates: Array, time: float) -> Array:
    r"""The :math:`\Gamma_{ij}` above, shape (k, k): a divided difference of :math:`(1 - e^{-st})/s`."""
    if time == math.inf:
        return np.asarray(1 / np.outer(rates, rates))
    time = min(time, _FAR_TIME)
    s, r = rates[:, None] + 0 * rates, rates + 0 * rates[:, None]
    gap, middle = r - s, (r + s) / 2
    alike = np.abs(gap) * time <= _ALIKE * (1 + middle * time)
    decay = Decay(time)
    quotient = np.divide(decay.moved(s) - decay.moved(r), gap, out=np.zeros_like(gap), where=~alike)
    at = middle * time  # minus the derivative at the middle: t^2 (1 - e^-u (1 + u))/u^2
    small = np.minimum(at, 1e-3)
    series = 0.5 - small / 3 + small**2 / 8 - small**3 / 30
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (-np.expm1(-at) - at * np.exp(-at)) / at**2
    return np.asarray(np.where(alike, time**2 * np.where(at < 1e-3, series, exact), quotient))


def _require_seen(flow: LinearFlow) -> None:
    """Raise DataError if H is singular to rounding, and say in which direction."""
    modes = flow.modes
    unseen = np.flatnonzero(modes.blur > _KNOWN * modes.rates)
    if unseen.size:
        direction = np.abs(modes.vectors[:, unseen[-1]])
        places = ", ".join(f"{x:g}" for x in flow.problem.data.x[direction > direction.max() / 4][:_NAMED])
        raise DataError(
            f"H is singular to rounding: no neuron tells the data at x = {places} apart; drop some of these points, or "
            "use a law whose breakpoints -b/w reach all of them"
        )


def is_ntk(problem: Problem) -> bool:
    """Whether both layers are trained."""
    return isinstance(problem.parameterization, NTK)


def _output_moments(problem: Problem) -> tuple[float, float]:
    """E[a^2] and E[a^4] of the output weights at the start."""
    if not is_ntk(problem):
        return 0.0, 0.0
    law = as_law(problem.initialization.output, "output")
    if isinstance(law, Discrete):
        return law.second_moment, math.fsum(p * v**4 for v, p in zip(law.values, law.probabilities, strict=True))
    if not law.has_moment(4):
        raise DataError(
            "the variance of one neuron's contribution is infinite: the `output` law has no finite moment of order 4; "
            "choose lighter tails"
        )
    return law.second_moment, float(law.frozen.moment(4))
