"""Hidden units and what moves them: the pull of training at each, along a path or from decay modes; how far they can go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.data import Points
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction
from splinebias.limit.several_inputs.input_system import InputSystem
from splinebias.limit.several_inputs.solver import PointsSolver
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.potential import Potential
from splinebias.problem import Problem

_LARGE = 1e100  # what no ratio needs to exceed: squares of it are doubles
_PATH_TOLERANCE = 1e-4  # of the multipliers' path: movements are wanted to three digits


class PullAlongPath(NamedTuple):
    """What moves hidden weights with any potential, from the multipliers on their path from zero to the limit, (T, M)."""

    multipliers: Array
    potential: Potential

    def on(self, features: Array) -> Array:
        r""":math:`\int \alpha_t\, d\lambda_i` for units with these features at the data, both of shape (K, M)."""
        phi, total = self.potential, np.zeros(features.shape)
        for before, after in zip(self.multipliers[:-1], self.multipliers[1:], strict=True):
            middle = phi.grad_inverse(features @ ((before + after) / 2))
            ends = phi.grad_inverse(features @ before) + phi.grad_inverse(features @ after)
            total += ((4 * middle + ends) / 6)[:, None] * (after - before)  # exact for straight steps, phi' a cubic
        return total


class PullOfModes(NamedTuple):
    r"""What moves hidden weights in quadratic problems, from :math:`J_{ji} = \int \lambda_j\, d\lambda_i`, shape (M, M)."""

    pairs: Array

    def on(self, features: Array) -> Array:
        r""":math:`\int \alpha_t\, d\lambda_i` for units with these features at the data, both of shape (K, M)."""
        return features @ self.pairs


Pull = PullAlongPath | PullOfModes


class Units(NamedTuple):
    r"""Hidden units and what moves them.

    Attributes
    ----------
    start : Array, shape (d + 1, K)
        A row of w for every input, and b.
    force : Array, shape (d + 1, K)
        :math:`\sum_i \sigma'(w x_i + b)\, (x_i, 1) \int \alpha_t\, d\lambda_i`, whatever the width.
    output : Array, shape (K,)
        :math:`|\alpha|` at the end.
    """

    start: Array
    force: Array
    output: Array

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # far from lazy
    def of(cls, problem: Problem, multipliers: Array, pull: Pull, start: Array) -> Units:
        """Units that start there, in training that ends with these multipliers and pulls at hidden weights like this."""
        act = problem.two_slopes
        x = problem.data.x.reshape(problem.data.size, -1)
        force, output = np.empty_like(start), np.empty(start.shape[1])
        block = max(1, 2_000_000 // x.size)  # pre-activations in memory
        for first in range(0, start.shape[1], block):
            at = slice(first, first + block)
            z = start[:-1, at].T @ x.T + start[-1, at, None]
            features = np.asarray(act.value(z))
            along = pull.on(features) * act.derivative(z)
            force[:, at] = np.vstack([(along @ x).T, along.sum(axis=1)])
            output[at] = np.abs(problem.limit_potential.grad_inverse(features @ multipliers))
        return cls(start, force, output)

    def bound(self, width: int) -> Array:
        r""":math:`1 + s`, :math:`s^2 = (1 + \sqrt{1 + 4\rho^2})/2`: how far units can move over their size, shape (K,)."""
        size = length(self.start)
        rho = np.divide(self.output, width * size, out=np.zeros_like(size), where=size > 0)
        return np.asarray(1 + np.sqrt((1 + np.hypot(1.0, 2 * np.minimum(rho, _LARGE))) / 2))

    def bounded(self, change: Array, width: int) -> Array:
        """`change`, shape (d + 1, K), no longer than the bound; along (w, b) where it is beyond doubles."""
        size, most = length(change), self.bound(width) * length(self.start)
        known = np.isfinite(size)
        shorter = np.where(known, change, 0.0) * np.divide(most, size, out=np.ones_like(size), where=known & (size > most))
        return np.where(known, shorter, self.start * self.bound(width))


def pull_of_modes(problem: Problem) -> PullOfModes:
    r"""J from :math:`\lambda(t) = \sum_a e_a \hat y_a (1 - e^{-s_a t})/s_a`: entries :math:`1/(s_b (s_a + s_b))`."""
    if isinstance(problem.data, Points):
        modes = InputSystem.of(problem, PointsSolver().draws, PointsSolver().seed).modes()
        known = modes.rates > 1e-15 * len(modes.rates) * modes.rates.max()  # rounding knows nothing of the others
        rates, start, columns = modes.rates[known], modes.start[known], modes.root[:, None] * modes.vectors[:, known]
    else:
        flow = LinearFlow.of(PosedProblem(problem))
        rates, start, columns = flow.modes.rates, flow.start, flow.residuals.root[:, None] * flow.modes.vectors
    top = float(rates.max(initial=0.0)) or 1.0
    slow = np.maximum(rates / top, 1 / _LARGE)  # what moves farther is too far for the leading order anyway
    weights = np.outer(start, start) / (slow * np.add.outer(slow, slow))
    units = problem.phi.hess_at_zero if problem.scaled else 1.0  # of the multipliers
    return PullOfModes(min(units / top / top, _LARGE) * (columns @ weights @ columns.T))


def pull_along_path(limit: Prediction) -> PullAlongPath:
    """From the path at 120 times around the one at which the first move is over, and its end."""
    from splinebias.limit.trajectory.path import multiplier_path  # quadratic problems do without

    problem, end = limit.problem, limit.multipliers
    root = problem.data.weights / problem.data.weights.sum()
    size = np.abs(end).max() / max(float(np.abs(root * problem.data.y).max()), 1e-300)  # time at the first speed
    path = multiplier_path(problem, size * np.geomspace(1e-6, 1e6, 120), _PATH_TOLERANCE)
    return PullAlongPath(np.array([np.zeros_like(end), *path[np.isfinite(path).all(axis=1)], end]), problem.phi)


def length(units: Array) -> Array:
    """The length of every column, shape (K,); without overflow where it is a double itself."""
    return np.asarray(np.hypot.reduce(units, axis=0))
