r"""How far the hidden weights of a wide network move while it is trained, predicted from the limit (theory section 7).

The infinite-width picture holds them fixed. To leading order a hidden unit moves along the path that its output weight
:math:`a = \alpha_t/n`, :math:`\alpha_t = (\phi')^{-1}(\sum_j \lambda_j(t)\, \sigma(w x_j + b))`, prescribes. For
gradient flow

.. math:: \Delta(w, b) = n^{-2} \sum_i \sigma'(w x_i + b)\, (x_i, 1) \int_0^\infty \alpha_t\, \lambda_i'(t)\, dt,

of which the part along (w, b) is :math:`\alpha^2/(2 n^2 (w^2 + b^2))`, relative: with two slopes
:math:`a^2 - w^2 - b^2` is conserved. The integral depends on the path of the multipliers only, not on its speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from splinebias._arguments import real_vector, whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction, beyond_bending
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.limit.trajectory.path import multiplier_path
from splinebias.potential import Potential
from splinebias.problem import Problem

if TYPE_CHECKING:
    from splinebias.training.train import Training

_LAZY = 0.1  # movement, relative to n^(-1/2), below which random fluctuations hide it


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


class Measured(NamedTuple):
    """How far the hidden weights of a trained network moved, beside the prediction for the same units.

    Attributes
    ----------
    movement, predicted : Array, shape (n,)
        |change of (w, b)| / |(w, b)| of every unit.
    overall, predicted_overall : float
        The same of all (w, b) together, in the root mean square.
    """

    movement: Array
    predicted: Array
    overall: float
    predicted_overall: float


@dataclass(frozen=True, eq=False)
class Laziness:
    r"""Predicted movement of hidden weights at one width.

    Attributes
    ----------
    problem : Problem
        What is trained.
    width : int
        The number n of units.
    seed : int
        Of the units over which averages are taken.
    pull : PullAlongPath or PullOfModes
        What moves the units.
    """

    problem: Problem
    width: int
    seed: int
    pull: PullAlongPath | PullOfModes = field(repr=False)

    def change(self, w: Any, b: Any) -> Array:
        r""":math:`\Delta(w, b)` for units that start at (w, b), each of shape (K,); shape (2, K), rows w and b."""
        w, b = real_vector(w, "w"), real_vector(b, "b")
        if w.shape != b.shape:
            raise DataError(f"`w` and `b` must be as many, got {w.size} and {b.size}")
        return self._change(np.stack([w, b]), self._force(w, b), self.width)

    def _force(self, w: Array, b: Array) -> Array:
        r""":math:`\sum_i \sigma'(w x_i + b)\, (x_i, 1) \int \alpha_t\, d\lambda_i`, whatever the width, shape (2, K)."""
        act, x = self.problem.two_slopes, self.problem.data.x
        z = np.multiply.outer(w, x) + b[:, None]
        pull = self.pull.on(np.asarray(act.value(z))) * act.derivative(z)
        return np.stack([pull @ x, pull.sum(axis=1)])

    @np.errstate(over="ignore")  # far from lazy
    def _change(self, units: Array, force: Array, width: int) -> Array:
        """The change of units (w, b) that `force` makes at a width, each of shape (2, K)."""
        phi, n = self.problem.phi, float(width)
        if self.problem.scaled:
            return np.asarray(phi.grad_inverse(force / n) / n)
        return np.asarray(phi.hess_at_zero / phi.hess(units) * force / n**2)

    def movement(self, w: Any, b: Any) -> Array:
        r""":math:`|\Delta(w, b)|/|(w, b)|` per unit, shape (K,): sum of squares of `growth` and of the turn."""
        return np.asarray(np.hypot(*self.change(w, b)) / np.hypot(w, b))

    def growth(self, w: Any, b: Any) -> Array:
        r"""Relative change of |(w, b)| per unit, shape (K,); :math:`\alpha^2/(2n^2(w^2 + b^2))` for gradient flow."""
        w, b = real_vector(w, "w"), real_vector(b, "b")
        return np.asarray((np.stack([w, b]) * self.change(w, b)).sum(axis=0) / (w**2 + b**2))

    @cached_property
    def _sample(self) -> tuple[Array, Array]:
        """20,000 units (w, b) of the law and the force on them, each of shape (2, K)."""
        units = np.stack(self.problem.initialization.pair_law.sample(20_000, np.random.default_rng(self.seed)))
        return units, self._force(*units)

    def _overall_at(self, width: int) -> float:
        return _overall(self._change(*self._sample, width), self._sample[0])

    def _is_lazy(self, width: int) -> bool:
        return self._overall_at(width) <= _LAZY / math.sqrt(width)

    @cached_property
    def overall(self) -> float:
        r""":math:`(E|\Delta(w, b)|^2/E|(w, b)|^2)^{1/2}` over 20,000 units of the law."""
        return self._overall_at(self.width)

    @cached_property
    def largest(self) -> float:
        """The 99 % quantile of `movement` over the same units."""
        units, force = self._sample
        return float(np.quantile(np.hypot(*self._change(units, force, self.width)) / np.hypot(*units), 0.99))

    @cached_property
    def lazy_width(self) -> int:
        r"""The least width at which `overall` is a tenth of n^(-1/2), so that fluctuations hide it.

        Movement falls like n^-2, with scaled potentials like :math:`(\phi')^{-1}(\cdot/n)/n`.
        """
        high = 1
        while high < 2**300 and not self._is_lazy(high):  # beyond it no width is looked for
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_lazy(middle) else (middle, high)
        return high

    @property
    def advice(self) -> str:
        """Empty if the infinite-width picture applies at this width, else what to do."""
        if self._is_lazy(self.width):
            return ""
        moved = f"{self.overall:.1%}" if self.overall < 10 else f"{self.overall:.1e} times their size"
        width = self.lazy_width if self.lazy_width < 10**9 else f"{self.lazy_width:.1e}"
        return (
            f"hidden weights move by {moved}, which shows beside fluctuations of order n^(-1/2): "
            f"take a width of about {width} or expect deviations from the infinite-width limit"
        )

    def measured(self, run: Training) -> Measured:
        """How far the hidden weights of `run`, a network of this problem and width, moved."""
        if run.width != self.width or run.problem != self.problem:
            raise DataError(f"`run` must be a network of this problem and width {self.width}, got {run!r}")
        units = np.stack(self.problem.initialization.sample(run.width, np.random.default_rng(run.seed))[:2])
        ends = np.stack([part.detach().cpu().double().numpy() for part in (run.network.w, run.network.b)])
        change, predicted, size = ends - units, self.change(*units), np.hypot(*units)
        movement, expected = (np.linalg.norm(moved, axis=0) / size for moved in (change, predicted))
        return Measured(movement, expected, _overall(change, units), _overall(predicted, units))

    def __str__(self) -> str:
        text = f"width {self.width}: hidden weights move by {self.overall:.2e}, 99 % of them by less than {self.largest:.2e}"
        return f"{text}; {self.advice}" if self.advice else text


def laziness(problem: Problem, width: int, *, seed: int = 0) -> Laziness:
    r"""Predict how far hidden weights move in training: does the infinite-width picture apply at this width?

    Parameters
    ----------
    problem : Problem
        What is to be trained. Output weights start at 0.
    width : int
        The number n of units, >= 1.
    seed : int
        Of the 20,000 units over which `overall` and `largest` are taken.

    Returns
    -------
    Laziness
        ``overall``, ``largest``, ``advice``, ``lazy_width``; ``movement(w, b)`` per unit; ``measured(run)``.

    Raises
    ------
    DataError
        If the width is no whole number >= 1; whatever `predict` refuses.
    CapabilityError
        For activations without two slopes, for `NTK` (whose hidden layer is meant to move) and for output weights that do
        not start at 0; as `predict_path`.

    Notes
    -----
    Quadratic and unscaled potentials: closed form from the decay modes. Scaled ones: the path of the multipliers at 120
    times, and a pass over the units for each, seconds. *Not checked:* that the movement is small; where it is not, the
    number says so but is itself wrong.
    Source: theory section 7.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> narrow, wide = sb.laziness(problem, 30), sb.laziness(problem, 3000)
    >>> round(narrow.overall / wide.overall), wide.advice
    (10000, '')
    """
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}")
    width, seed = whole_number(width, "width", at_least=1), whole_number(seed, "seed")
    if (missing := beyond_bending(problem)) is not None:
        raise CapabilityError(f"laziness is predicted for two slopes and Standard() networks: {missing}")
    if problem.initialization.output is not None:
        raise CapabilityError("laziness is predicted for output weights that start at 0; leave `output` out")
    limit = predict(problem)  # refuses what cannot be fitted
    return Laziness(problem, width, seed, _pull_of_modes(problem) if problem.linear else _pull_along_path(limit))


def _pull_of_modes(problem: Problem) -> PullOfModes:
    r"""J from :math:`\lambda(t) = \sum_a e_a \hat y_a (1 - e^{-s_a t})/s_a`: entries :math:`1/(s_b (s_a + s_b))`."""
    flow = LinearFlow.of(PosedProblem(problem))
    rates = flow.modes.rates
    weights = np.outer(flow.start, flow.start) / (rates * np.add.outer(rates, rates))
    columns = flow.residuals.root[:, None] * flow.modes.vectors
    units = problem.phi.hess_at_zero if problem.scaled else 1.0  # of the multipliers
    return PullOfModes(units * (columns @ weights @ columns.T))


def _pull_along_path(limit: Prediction) -> PullAlongPath:
    """From the path at 120 times around the one at which the first move is over, and its end."""
    problem, end = limit.problem, limit.multipliers
    root = problem.data.weights / problem.data.weights.sum()
    size = np.abs(end).max() / max(float(np.abs(root * problem.data.y).max()), 1e-300)  # time at the first speed
    path = multiplier_path(problem, size * np.geomspace(1e-6, 1e6, 120))
    return PullAlongPath(np.array([np.zeros_like(end), *path[np.isfinite(path).all(axis=1)], end]), problem.phi)


@np.errstate(over="ignore")
def _overall(change: Array, units: Array) -> float:
    """Movement in the root mean square, relative to that of the units, both of shape (2, K)."""
    return float(np.sqrt((change**2).sum() / (units[0] ** 2 + units[1] ** 2).sum()))
