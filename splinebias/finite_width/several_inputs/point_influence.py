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
all of them add up. With `NTK`, too, these others belong to :math:`\sigma^2` times the kernel of the output weights: what the
start function and the fluctuations of the tangent kernel have in common goes with E[a] and E[a^3], which have to be 0.

The mean of :math:`f_n - f` at the end, `Standard` networks whose hidden weights stay, is to second order

.. math:: \tfrac1n \left(-E[(S(x) - P(x) S_X)\, S_X^T K^{-1} S_X\, \alpha]
          + (1 - P(x) 1) \textstyle\sum_i \lambda_i\right),

the second term from the output bias. Derived here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.initialization.laws import as_law
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

    @abstractmethod
    def drawn(self, w: Array, b: Array, rng: np.random.Generator) -> PointInfluence:
        """The influences of given units, on a network whose start function, if it is random, is drawn."""

    def mean_shift(self, x: Array, copies: int = 1) -> tuple[Array, Array]:
        """The limit of n E[f_n - f] at points (P, d), `copies` units sharing one draw, and its standard error, each (P,).

        Raises
        ------
        CapabilityError
            If it is not known.
        """
        raise CapabilityError(
            "the mean shift of several inputs is known for infinite time, Standard() networks and those that start at zero "
            "or at a given function (`start=`); of others Study.mean_shift measures it"
        )

    @abstractmethod
    def total(self, x: Array, prepared: Any) -> Array:
        """The sum of u over the units of `drawn` influences at points (P, d), shape (P,): no more of u is held."""

    def parts(self, count: int) -> list[slice]:
        """The units, as many at once as go with `count` points."""
        size = max(1, _AT_ONCE // count)
        return [slice(first, first + size) for first in range(0, len(self.b), size)]

    def covariance(self, x: Array, x2: Array) -> Array:
        """E[u u'], u of mean 0, at points (P, d) and (Q, d), shape (P, Q)."""
        one, total = self.prepared(x), np.zeros((len(x), len(x2)))
        two = one if x is x2 else self.prepared(x2)
        for part in self.parts(len(x) + len(x2)):
            of_both = zip(self.each(x, one, part), self.each(x2, two, part), strict=True)
            for u, u2 in ((u, u) for u in self.each(x, one, part)) if x is x2 else of_both:
                total += u @ u2.T
        return total / len(self.b)

    def each(self, x: Array, prepared: Any, part: slice) -> Iterator[Array]:
        """What `at` gives, on the data and on every direction of start functions, (P, n): held one at a time."""
        u = self.at(x, prepared, part)
        yield from u if u.ndim == 3 else [u]

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

    def drawn(self, w: Array, b: Array, rng: np.random.Generator) -> InfluenceAtLimit:
        multipliers = self.multipliers
        if self.start_moment:
            multipliers = multipliers - self._start_multipliers @ rng.standard_normal(len(multipliers))
        return InfluenceAtLimit(self.system, w, b, multipliers, 0.0)

    def total(self, x: Array, prepared: Array) -> Array:
        act, total = self.system.problem.activation, np.zeros(len(x))
        for part in self.parts(len(x)):
            total += act.value(x @ self.w[part].T + self.b[part]) @ self._size[part]
        return np.asarray(total - prepared @ (self._features @ self._size))

    def mean_shift(self, x: Array, copies: int = 1) -> tuple[Array, Array]:
        if self.start_moment:
            return super().mean_shift(x, copies)
        cardinal, alpha = self.prepared(x), self.multipliers @ self._features
        pulls, means = alpha * self._leverage, np.zeros((REPLICATES, len(x)))
        for k, part in enumerate(np.array_split(np.arange(len(self.b)), REPLICATES)):
            for at in np.array_split(part, -(-len(part) * len(x) // _AT_ONCE)):
                features = self.system.problem.activation.value(x @ self.w[at].T + self.b[at])
                means[k] -= (features - cardinal @ self._features[:, at]) @ pulls[at] / len(part)
        bias = (1 - cardinal.sum(axis=1)) * self.multipliers.sum()
        return copies * means.mean(axis=0) + bias, copies * means.std(axis=0, ddof=1) / math.sqrt(REPLICATES)

    @cached_property
    def _start_multipliers(self) -> Array:
        """Multipliers of the directions of start functions, in columns."""
        values, vectors = np.linalg.eigh(self.start_moment * self.system.matrix)
        starts = vectors * np.sqrt(np.maximum(values, 0.0))
        return solved(self.system.matrix, self.system.plane, starts)

    @cached_property
    def _leverage(self) -> Array:
        """S_X^T K^-1 S_X, shape (N,)."""
        found = (self._features * solved(self.system.matrix, self.system.plane, self._features)).sum(axis=0)
        return np.asarray(np.maximum(found, 0.0))

    @cached_property
    def _size(self) -> Array:
        r""":math:`(\alpha^2 + \sigma^2 q)^{1/2}`, and :math:`\alpha` where networks do not start at random functions."""
        alpha = self.multipliers @ self._features
        if not self.start_moment:
            return np.asarray(alpha)
        return np.asarray(np.sqrt(alpha**2 + self.start_moment * self._leverage))


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
    start_matrix : Array or None, shape (M, M)
        The kernel of the output weights at the data, where it is not that of the system and starts are random.
    shares : Array or None, shape (R,)
        Multiples of the data and of the directions of start functions that a drawn network has; None: influences on all.
    """

    a: Array | None
    time: float
    start_moment: float
    start_matrix: Array | None = None
    shares: Array | None = None

    def drawn(self, w: Array, b: Array, rng: np.random.Generator) -> InfluenceOnTheWay:
        count = len(self._modes[1]) - 1
        shares = np.r_[1.0, rng.standard_normal(count)] if count else None
        a = None
        if self.a is not None:
            a = as_law(self.system.problem.initialization.output, "output").sample(len(b), rng)
        found = replace(self, w=w, b=b, a=a, shares=shares)
        found.__dict__["_modes"] = self._modes
        return found

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
        rows = list(self.each(x, prepared, part))
        return np.stack(rows) if len(rows) > 1 else rows[0]

    def each(self, x: Array, prepared: tuple[Array, Array], part: slice) -> Iterator[Array]:
        (affine, projections), columns = prepared, self._modes[2]
        features = [(here - affine @ there, columns.T @ there) for here, there in self._pairs(x, part)]
        for start, mean in zip(self._starts, self._mean(prepared), strict=True):
            response = sum(z * (self._gamma @ (start[:, None] * z)) for _, z in features)
            u = projections @ response
            u += mean[:, None]
            np.negative(u, out=u)
            for here, z in features:
                u += here * ((self._moved * start) @ z)
            yield u

    def total(self, x: Array, prepared: tuple[Array, Array]) -> Array:
        (affine, projections), columns, (start,) = prepared, self._modes[2], self._starts
        total = -len(self.b) * self._mean(prepared)[0]
        for part in self.parts(len(x)):
            for here, there in self._pairs(x, part):
                z = columns.T @ there
                pull, response = (self._moved * start) @ z, z * (self._gamma @ (start[:, None] * z))
                total += here @ pull - affine @ (there @ pull) - projections @ response.sum(axis=1)
        return np.asarray(total)

    def _pairs(self, x: Array, part: slice) -> Iterator[tuple[Array, Array]]:
        """Features of a part of the units at points (P, d), (P, n), and at the data, (M, n)."""
        act, data = self.system.problem.activation, self.system.x
        z, z2 = (points @ self.w[part].T + self.b[part] for points in (x, data))
        yield act.value(z), act.value(z2)
        if self.a is not None:
            here, there = (self.a[part] * act.derivative(of) for of in (z, z2))
            yield here, there
            for j in range(x.shape[1]):
                yield here * x[:, [j]], there * data[:, [j]]

    def _mean(self, prepared: tuple[Array, Array]) -> Array:
        """The mean of all that over the law, as E[z z^T] = diag(s): shape (R, P)."""
        rates = self._modes[0]
        return np.asarray((self._starts * (self._moved - rates * np.diag(self._gamma))) @ prepared[1].T)

    @property
    def _starts(self) -> Array:
        """What is in the modes of the data and of directions of start functions, or of what is drawn: (R, k)."""
        starts = self._modes[1]
        return starts if self.shares is None else (self.shares @ starts)[None]

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
        columns = modes.root[:, None] * modes.vectors[:, known]
        if self.start_moment and self.start_matrix is None:
            starts = np.concatenate([starts, np.diag(np.sqrt(self.start_moment * rates))])
        elif self.start_moment and self.start_matrix is not None:
            values, vectors = np.linalg.eigh(self.start_moment * (columns.T @ self.start_matrix @ columns))
            starts = np.concatenate([starts, np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T])
        return rates, starts, columns
