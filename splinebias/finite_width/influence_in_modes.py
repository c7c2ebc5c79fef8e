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
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.influence import Influence, InfluenceModel
from splinebias.initialization.laws import Discrete, as_law
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.kernels.features import enough_points
from splinebias.limit.kernels.tangent import limit_kernel
from splinebias.limit.trajectory.decay_integrals import accumulated
from splinebias.limit.trajectory.decay_modes import line_basis
from splinebias.limit.trajectory.linear_flow import Decay, LinearFlow
from splinebias.numerics.cells import Cells
from splinebias.parameterization import NTK
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class ModeInfluence(InfluenceModel):
    r"""The influences of the neurons of one quadratic or unscaled problem at one training time.

    Attributes
    ----------
    flow : LinearFlow
        The problem in its modes.
    time : float
        Training time in units of :math:`\phi''(0)`; infinity: the limit.
    cells : Cells
        Resolve the law and hold the data.
    """

    flow: LinearFlow
    time: float
    cells: Cells

    @classmethod
    def of(cls, flow: LinearFlow, time: float) -> ModeInfluence:
        """The influences at training time `time`."""
        problem, law = flow.problem, flow.problem.initialization.breakpoint_law
        degree = problem.homogeneous.degree
        order = 16 if law.degree is None else max(16, law.degree + 1)
        points = enough_points(problem.data.x, degree + 1, law)
        degrees = {degree, 2 * degree} | ({degree - 1, 2 * degree - 1, 2 * degree - 2} if _is_ntk(problem) else set())
        edges = np.unique(np.concatenate([integration_cells(law, points, order, k).edges for k in degrees]))
        return cls(flow, time / flow.stiffness, Cells(edges, order))

    def at(self, points: Array) -> Influence:
        problem = self.flow.problem
        act, law, k = problem.homogeneous, problem.initialization.breakpoint_law, problem.homogeneous.degree
        cells, lines = self.cells.split(points), self._line_weights(points)
        c, weights = cells.nodes.ravel(), cells.weights.ravel()
        where = np.r_[points, problem.data.x][:, None]
        masses = [weights * side.zeta(c, k) for side in law.sides]
        features = [self._bent(side.sign, where, c) for side in law.sides]
        if problem.free and not _is_ntk(problem):  # the kernel in closed form has lines, which may be all of its digits
            pairs = zip(features, masses, strict=True)
            kernel = sum((of * mass) @ of[points.size :].T for of, mass in pairs) + np.zeros((where.size, 1))
        else:
            kernel = limit_kernel(problem).matrix(where.ravel(), problem.data.x)
        projections = self._projections(kernel, lines)
        rows, mean = [], np.zeros(points.size)
        for side, mass, feature in zip(law.sides, masses, features, strict=True):
            outer, zeta = self._of_feature(feature, lines, projections), side.zeta(c, 2 * k)
            mean += outer @ mass
            if not _is_ntk(problem):
                rows.append(outer * np.sqrt(weights * zeta))
                continue
            turned = act.derivative(side.sign * (where - c))
            hidden = self._of_feature(turned, lines, projections) + self._of_feature(where * turned, lines, projections)
            second, fourth = _output_moments(problem)
            # u = |w|^2k outer + a^2 |w|^(2k - 2) hidden: two rows have its second moments
            root = np.sqrt(zeta)
            cross = np.divide(second * side.zeta(c, 2 * k - 1), root, out=np.zeros_like(root), where=root > 0)
            rest = np.maximum(fourth * side.zeta(c, 2 * k - 2) - cross**2, 0.0)
            rows += [(outer * root + hidden * cross) * np.sqrt(weights), hidden * np.sqrt(weights * rest)]
            mean += hidden @ (weights * second * side.zeta(c, k - 1))
        made = Influence(np.concatenate(rows, axis=1), mean)
        if self.time == math.inf:  # there networks interpolate
            made.rows[np.isin(points, problem.data.x)] = 0.0
        return made

    def _line_weights(self, points: Array) -> Array:
        """Values of the least-squares line at `points` from ordinates at the data, shape (N, M); 0 if lines are not free."""
        x, root = self.flow.problem.data.x, self.flow.residuals.root
        if not self.flow.problem.free:
            return np.zeros((points.size, x.size))
        lines = line_basis(root, x)
        rise = (points - root**2 @ x) / np.linalg.norm(root * (x - root**2 @ x))
        return np.asarray((lines * root[:, None] @ np.stack([np.ones(points.size), rise])).T)

    def _projections(self, kernel: Array, lines: Array) -> Array:
        """The q(x) above, shape (N, k), with the `_line_weights` of the points and K of these and the data, (N + M, M)."""
        matrix = kernel[: len(lines)] - lines @ kernel[len(lines) :]
        return np.asarray((matrix * self.flow.residuals.root) @ self.flow.modes.vectors)

    def _bent(self, sign: int, where: Array, c: Array) -> Array:
        r""":math:`\sigma(\pm(x - c))` at places x, shape (P, 1), less its line where lines are free and c is beyond all x.

        There a unit is one power, :math:`|z|^k = \sum_j \binom kj (\pm(x - m))^j |m - c|^{k-j}` with any m. Subtracted by
        least squares, its line would leave the rounding of :math:`|c|^k` on what is :math:`|c|^{k-2}`.
        """
        act, k = self.flow.problem.homogeneous, self.flow.problem.homogeneous.degree
        z = sign * (where - c)
        value = np.asarray(act.value(z))
        (far,) = ((c < where.min()) | (c > where.max())).nonzero()
        if not self.flow.problem.free or not far.size:
            return value
        middle = (where.min() + where.max()) / 2
        along, away = np.sign(middle - c[far]) * (where - middle), np.abs(middle - c[far])
        bent = sum(math.comb(k, j) * along**j * away ** (k - j) for j in range(2, k + 1)) + np.zeros_like(along)
        value[:, far] = np.where(z[:, far] > 0, act.value(1.0), act.value(-1.0)) * bent
        return value

    def _of_feature(self, feature: Array, lines: Array, projections: Array) -> Array:
        """The influence through one feature, given at the points and at the data, shape (N + M, n): shape (N, n)."""
        flow, count = self.flow, lines.shape[0]
        rates, columns = flow.modes.rates, flow.residuals.root[:, None] * flow.modes.vectors
        moved = 1 / rates if self.time == math.inf else Decay(self.time).moved(rates)
        at_points, at_data = feature[:count], feature[count:]
        z = columns.T @ at_data
        g = (columns @ (moved * flow.start)) @ at_data
        response = z * (accumulated(rates, self.time) @ (flow.start[:, None] * z))
        return np.asarray((at_points - lines @ at_data) * g - projections @ response)


def _is_ntk(problem: Problem) -> bool:
    """Whether both layers are trained."""
    return isinstance(problem.parameterization, NTK)


def _output_moments(problem: Problem) -> tuple[float, float]:
    """E[a^2] and E[a^4] of the output weights at the start."""
    law = as_law(problem.initialization.output, "output")
    if isinstance(law, Discrete):
        return law.second_moment, math.fsum(p * v**4 for v, p in zip(law.values, law.probabilities, strict=True))
    return law.second_moment, float(law.frozen.moment(4))


def crossing_share(problem: Problem, multipliers: Array, width: int, seed: int = 0) -> float:
    r"""Which share of breakpoints training carries to a data point, where hidden layers are trained (`NTK`); else 0.

    To leading order a hidden unit with output weight a moves by
    :math:`\Delta(w, b) = n^{-1/2}\, a \sum_i \lambda_i\, \sigma'(w x_i + b)\, (x_i, 1)`. The tangent kernel of a smooth
    activation then changes by O(1/n), because the two units of an antisymmetric pair move against each other. With a kink,
    a unit whose breakpoint reaches :math:`x_i` crosses it or stays there, and its part of the kernel changes by as much as
    it is. A share :math:`s \propto n^{-1/2}` of all units do that, with signs that cancel in the mean: the variance of
    :math:`f_n` is larger than that of the kernel at the start by a relative O(s). That is what the leading order leaves out,
    and why it is reached slowly: on data set A with standard normal w, b and a, at infinite time, the excess is about 25 s.

    The share s is found by Monte Carlo over 100,000 units.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    multipliers : Array, shape (M,)
        Those of the prediction, at whatever training time.
    width : int
        The number n of units.
    seed : int
        Of the units.

    Notes
    -----
    Units are taken to move straight, with the pattern of active data that they start with; of trained networks about twice
    as many touch data. *Not checked:* that s is small; where it is not, it is itself wrong.
    """
    if not isinstance(problem.parameterization, NTK) or problem.activation.two_slopes is None:
        return 0.0
    rng, x, draws = np.random.default_rng(seed), problem.data.x, 100_000
    w, b = problem.initialization.pair_law.sample(draws, rng)
    a = as_law(problem.initialization.output, "output").sample(draws, rng)
    crossed, block = 0, max(1, 2_000_000 // x.size)  # pre-activations in memory
    for start in range(0, draws, block):
        at = slice(start, start + block)
        z = np.multiply.outer(w[at], x) + b[at, None]
        pull = np.asarray(problem.activation.derivative(z)) * multipliers
        moved = (a[at] / np.sqrt(width))[:, None] * np.stack([pull @ x, pull.sum(axis=1)], axis=1)
        after = z + moved[:, :1] * x + moved[:, 1:]
        crossed += int(((z > 0) != (after > 0)).any(axis=1).sum())
    return crossed / draws
