r"""What one neuron of several inputs more or less does to the function of a wide network, over sampled units.

At the end of training, `Standard` networks,

.. math:: u(x; w, b) = (S(x) - P(x) S_X)\, \alpha, \qquad \alpha = \lambda \cdot S_X,

with the features :math:`S(x) = \sigma(w \cdot x + b)` and :math:`P(x) = K(x, X) K^{-1}`; with a free affine part P(x)
are the cardinal functions of the interpolation that it takes part in. On the way there, and with `NTK`, every feature F of a
unit (S; with `NTK` :math:`a \sigma'` and :math:`a \sigma' x_j` as well) adds what `influence_in_modes` says of one input:

.. math:: F(x)\, F_X \cdot \lambda_t - \sum_{ij} q_i(x)\, z_i\, \Gamma_{ij}\, z_j\, \hat y_j ,

less the mean of all that, which is 0 at the end.

Where networks start at random functions, the multipliers are those of the data and independent normal multiples of others
(`random_start`): at the end :math:`\alpha^2` becomes :math:`\alpha^2 + \sigma^2 S_X^T K^{-1} S_X`, on the way variances of
all of them add up.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.limit.several_inputs.input_system import InputSystem, solved
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES
from splinebias.limit.trajectory.decay_integrals import accumulated, moved

_AT_ONCE = 4_000_000  # influences held together


@dataclass(frozen=True, eq=False)
class PointInfluence(ABC):
    """Influences u of sampled units.

    Attributes
    ----------
    system : InputSystem
        The problem and its kernel matrix.
    w : Array, shape (N, d)
        Units, the samples one after the other.
    b : Array, shape (N,)
        Their biases.
    """

    system: InputSystem
    w: Array
    b: Array

    @abstractmethod
    def prepared(self, x: Array) -> Any:
        """What `at` needs of points (P, d), whatever the units."""

    @abstractmethod
    def at(self, x: Array, prepared: Any, part: slice) -> Array:
        """u of a part of the units at points (P, d), shape (P, n), or several whose variances add up: (R, P, n)."""

    def covariance(self, x: Array, x2: Array) -> Array:
        """E[u u'], u of mean 0, at points (P, d) and (Q, d), shape (P, Q)."""
        one, total = self.prepared(x), np.zeros((len(x), len(x2)))
        two = one if x is x2 else self.prepared(x2)
        size = max(1, _AT_ONCE // (len(x) + len(x2)))
        for part in (slice(first, first + size) for first in range(0, len(self.b), size)):
            u = self.at(x, one, part)
            u2 = u if x is x2 else self.at(x2, two, part)
            total += u @ u2.T if u.ndim == 2 else np.einsum("rpn,rqn->pq", u, u2, optimize=True)
        return total / len(self.b)

    def moments(self, x: Array) -> tuple[Array, Array, Array]:
        """E[u^2], its standard error, and E[u^4] at points (P, d), each of shape (P,)."""
        square, error, fourth = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
        size = max(1, _AT_ONCE // len(self.b))
        for at in (slice(first, first + size) for first in range(0, len(x), size)):
            u = self.at(x[at], self.prepared(x[at]), slice(None))
            squares = u**2 if u.ndim == 2 else (u**2).sum(axis=0)
            each = squares.reshape(len(squares), REPLICATES, -1).mean(axis=2)
            square[at], error[at] = each.mean(axis=1), each.std(axis=1, ddof=1) / math.sqrt(REPLICATES)
            fourth[at] = (squares**2).mean(axis=1)
        return square, error, fourth

    @cached_property
    def _features(self) -> Array:
        """S_X, shape (M, N)."""
        return np.asarray(self.system.problem.activation.value(self.system.x @ self.w.T + self.b))


@dataclass(frozen=True, eq=False)
class InfluenceAtLimit(PointInfluence):
    r"""At the end of training, output weights alone.

    Attributes
    ----------
    multipliers : Array, shape (M,)
        Those of the limit.
    start_moment : float
        The :math:`\sigma^2` above, 0 for networks that start at zero or at a given function.
    """

    multipliers: Array
    start_moment: float

    def prepared(self, x: Array) -> Array:
        return self.system.cardinal(x)

    def at(self, x: Array, prepared: Array, part: slice) -> Array:
        features = self.system.problem.activation.value(x @ self.w[part].T + self.b[part])
        return np.asarray((features - prepared @ self._features[:, part]) * self._size[part])

    @cached_property
    def _size(self) -> Array:
        r""":math:`(\alpha^2 + \sigma^2 q)^{1/2}`, and :math:`\alpha` where networks do not start at random functions."""
        alpha = self.multipliers @ self._features
        if not self.start_moment:
            return np.asarray(alpha)
        q = (self._features * solved(self.system.matrix, self.system.plane, self._features)).sum(axis=0)
        return np.asarray(np.sqrt(alpha**2 + self.start_moment * np.maximum(q, 0.0)))


@dataclass(frozen=True, eq=False)
class InfluenceOnTheWay(PointInfluence):
    r"""At any training time, with either parameterization.

    Attributes
    ----------
    a : Array or None, shape (N,)
        Output weights at the start, where hidden weights are trained too.
    time : float
        Training time in units of :math:`\phi''(0)`; infinity: the limit.
    start_moment : float
        As in `InfluenceAtLimit`.
    """

    a: Array | None
    time: float
    start_moment: float

    def prepared(self, x: Array) -> tuple[Array, Array]:
        """Values of the free affine part at x from ordinates at the data, and the q above."""
        system, columns = self.system, self._modes[2]
        affine = np.zeros((len(x), len(system.x)))
        if system.plane is not None:
            m, ones = system.problem.data.weights, np.ones((len(system.x), 1))
            root = np.sqrt(m)[:, None]
            basis = np.hstack([system.x - system.x.mean(axis=0), ones])
            here = np.c_[x - system.x.mean(axis=0), np.ones(len(x))]
            affine = here @ np.linalg.pinv(root * basis) * root.T
        return affine, (system.kernel.matrix(x, system.x) - affine @ system.matrix) @ columns

    def at(self, x: Array, prepared: tuple[Array, Array], part: slice) -> Array:
        act, data, (rates, starts, _) = self.system.problem.activation, self.system.x, self._modes
        z, z2 = (points @ self.w[part].T + self.b[part] for points in (x, data))
        total = self._of_feature(act.value(z), act.value(z2), prepared)
        if self.a is not None:
            here, there = (self.a[part] * act.derivative(of) for of in (z, z2))
            total += self._of_feature(here, there, prepared)
            for j in range(x.shape[1]):
                total += self._of_feature(here * x[:, [j]], there * data[:, [j]], prepared)
        mean = (starts * (self._moved - rates * np.diag(self._gamma))) @ prepared[1].T  # as E[z z^T] = diag(s)
        total -= mean[:, :, None]
        return total if len(total) > 1 else total[0]

    def _of_feature(self, here: Array, there: Array, prepared: tuple[Array, Array]) -> Array:
        """The influence through one feature, (P, n) and at the data (M, n): shape (R, P, n)."""
        (affine, projections), (_, starts, columns) = prepared, self._modes
        z, left, rows = columns.T @ there, here - affine @ there, []
        for start in starts:
            response = z * (self._gamma @ (start[:, None] * z))
            rows.append(left * ((self._moved * start) @ z) - projections @ response)
        return np.stack(rows)

    @cached_property
    def _moved(self) -> Array:
        return moved(self._modes[0], self.time)

    @cached_property
    def _gamma(self) -> Array:
        return accumulated(self._modes[0], self.time)

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        """Decay rates (k,), what is in them of the data and of directions of start functions (R, k), and W^1/2 V (M, k)."""
        modes = self.system.modes()
        known = modes.rates > 1e-15 * len(modes.rates) * modes.rates.max()  # rounding knows nothing of the others
        rates, starts = modes.rates[known], modes.start[known][None]
        if self.start_moment:
            starts = np.concatenate([starts, np.diag(np.sqrt(self.start_moment * rates))])
        return rates, starts, modes.root[:, None] * modes.vectors[:, known]
