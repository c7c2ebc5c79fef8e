r"""The error of a finite network of several inputs, predicted: theory section 7 with expectations over sampled units.

.. math:: \sqrt n\, (f_n - f) \to \mathrm{GP}(0, E[u(x) u(x')]), \qquad
          u(x; w, b) = (S(x) - P(x) S_X)\, \alpha, \qquad \alpha = \lambda \cdot S_X,

with the features :math:`S(x) = \sigma(w \cdot x + b)` and :math:`P(x) = K(x, X) K^{-1}`; with a free affine part P(x)
are the cardinal functions of the interpolation that it takes part in. E[u] = 0. Expectations are means over scrambled
Sobol points (draws, of a sampler of one's own), four samples whose scatter is the error that is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splinebias._arguments import at_finite, points_of, whole_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.largest_error import ErrorsOfWidth, LawOfSups, sampled_sups
from splinebias.functions.compare_on_box import checked_box
from splinebias.initialization.several_inputs.input_laws import FromSampler, SeveralInputs
from splinebias.limit.prediction import Prediction
from splinebias.limit.several_inputs.input_system import InputSystem
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES, sobol_units
from splinebias.limit.several_inputs.solver import PointsSolver
from splinebias.problem import Problem

_UNITS = 2**16  # in all samples, fewer where points are so many that their features take over a GiB
_AT_ONCE = 4_000_000  # influences held together
_SIDES = 3  # of a box, in a line
_PLACES = 512  # of the box at which largest errors are looked for


@dataclass(frozen=True, eq=False)
class PointInfluence:
    """Influences u of sampled units.

    Attributes
    ----------
    system : InputSystem
        The problem and its kernel matrix.
    w : Array, shape (N, d)
        Units, the samples one after the other.
    b : Array, shape (N,)
        Their biases.
    multipliers : Array, shape (M,)
        Those of the limit.
    """

    system: InputSystem
    w: Array
    b: Array
    multipliers: Array

    def covariance(self, x: Array, x2: Array) -> Array:
        """E[u u'] at points (P, d) and (Q, d), shape (P, Q)."""
        cardinal, total = self.system.cardinal(x), np.zeros((len(x), len(x2)))
        cardinal2 = cardinal if x is x2 else self.system.cardinal(x2)
        size = max(1, _AT_ONCE // (len(x) + len(x2)))
        for part in (slice(first, first + size) for first in range(0, len(self.b), size)):
            u = self._at(x, cardinal, part)
            total += u @ (u if x is x2 else self._at(x2, cardinal2, part)).T
        return total / len(self.b)

    def moments(self, x: Array) -> tuple[Array, Array, Array]:
        """E[u^2], its standard error, and E[u^4] at points (P, d), each of shape (P,)."""
        square, error, fourth = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
        size = max(1, _AT_ONCE // len(self.b))
        for at in (slice(first, first + size) for first in range(0, len(x), size)):
            squares = self._at(x[at], self.system.cardinal(x[at]), slice(None)) ** 2
            each = squares.reshape(len(squares), REPLICATES, -1).mean(axis=2)
            square[at], error[at] = each.mean(axis=1), each.std(axis=1, ddof=1) / math.sqrt(REPLICATES)
            fourth[at] = (squares**2).mean(axis=1)
        return square, error, fourth

    def _at(self, x: Array, cardinal: Array, part: slice) -> Array:
        """u of a part of the units at points (P, d), shape (P, n)."""
        features = self.system.problem.activation.value(x @ self.w[part].T + self.b[part])
        return np.asarray((features - cardinal @ self._features[:, part]) * self._alpha[part])

    @cached_property
    def _features(self) -> Array:
        """S_X, shape (M, N)."""
        return np.asarray(self.system.problem.activation.value(self.system.x @ self.w.T + self.b))

    @cached_property
    def _alpha(self) -> Array:
        return np.asarray(self.multipliers @ self._features)


@dataclass(frozen=True, eq=False)
class LargestOnBox(LawOfSups):
    """The law of the largest error of the Gaussian process at points of a box, the same for all widths."""

    model: PointInfluence
    points: Array
    copies: int
    draws: int
    seed: int

    @cached_property
    def sups(self) -> Array:
        """The samples, sorted, shape (draws,)."""
        return sampled_sups(self.copies * self.model.covariance(self.points, self.points), self.draws, self.seed)


@dataclass(frozen=True, eq=False)
class PointsBand(ErrorsOfWidth, Drawn):
    r"""The law of :math:`f_n - f` to leading order, of several inputs: a centred Gaussian process of size :math:`n^{-1/2}`.

    Attributes
    ----------
    prediction : Prediction
        The limit f; it knows the problem.
    width : int
        The n above.
    box : Array, shape (d, 2)
        Where largest errors are meant.
    model : PointInfluence
        The influences u.
    copies : int
        How many units share their random (w, b): 2 with antisymmetric pairs, which doubles the variance.
    largest : LargestOnBox
        The law of the largest error at 512 points of the box: a lower bound of that on all of it.
    """

    _drawn_of_several_inputs: ClassVar[bool] = True

    prediction: Prediction
    width: int
    box: Array
    model: PointInfluence = field(repr=False)
    copies: int
    largest: LargestOnBox = field(repr=False)

    @property
    def problem(self) -> Problem:
        """The problem whose networks are meant."""
        return self.prediction.problem

    @property
    def _scale(self) -> float:
        return math.sqrt(self.copies / self.width)

    def std(self, x: Any) -> Array:
        r"""Standard deviation of :math:`f_n(x)` at points (..., d), shape (...); 0 at the data, nan if x is not finite."""
        return at_finite(self._std, points_of(x, len(self.box), finite=False), points=True)

    def _std(self, points: Array) -> Array:
        """`std` at finite points."""
        variance = self.model.moments(points.reshape(-1, len(self.box)))[0]
        return np.asarray(self._scale * np.sqrt(variance).reshape(points.shape[:-1]))

    def std_error(self, x: Any) -> Array:
        """Standard error of `std`, from four samples of units; the same shapes."""
        return at_finite(self._std_error, points_of(x, len(self.box), finite=False), points=True)

    def _std_error(self, points: Array) -> Array:
        """`std_error` at finite points."""
        variance, error, _ = self.model.moments(points.reshape(-1, len(self.box)))
        std = np.sqrt(np.maximum(variance, 1e-300))
        return np.asarray(self._scale * (error / (2 * std)).reshape(points.shape[:-1]))

    def cov(self, x: Any, x2: Any = None) -> Array:
        r"""Covariance of :math:`f_n(x)` and :math:`f_n(x')` at points (P, d) and (Q, d), shape (P, Q)."""
        x = points_of(x, len(self.box)).reshape(-1, len(self.box))
        x2 = x if x2 is None else points_of(x2, len(self.box), "x2").reshape(-1, len(self.box))
        return np.asarray(self._scale**2 * self.model.covariance(x, x2))

    @cached_property
    def effective_number(self) -> float:
        r"""How many neurons the variance comes from: n over the kurtosis of u where the variance is largest: `ErrorBand`."""
        square, _, fourth = self.model.moments(self.largest.points)
        at, draws = int(square.argmax()), self.width / self.copies
        return draws * float(square[at] ** 2 / fourth[at]) if fourth[at] > 0 else draws

    def at_width(self, width: int) -> PointsBand:
        """The band of another width; nothing is computed again."""
        return replace(self, width=checked_width(self.problem, width, self.copies))

    def __repr__(self) -> str:
        sides = " x ".join(f"[{lo:.3g}, {hi:.3g}]" for lo, hi in self.box[:_SIDES]) + (
            " x ..." if len(self.box) > _SIDES else ""
        )
        return f"PointsBand({self.problem.describe()}; width {self.width}, box {sides})"


def band_of_points(problem: Problem, width: int, box: Any, time: float, draws: int, seed: int) -> PointsBand:
    """`error_band` of several inputs.

    Raises
    ------
    CapabilityError
        For finite times, points of one input, and problems that `PointsSolver` does not take.
    DataError
        If the law lacks fourth moments, the width is below the number of points, or the box does not fit.
    """
    if time != math.inf:
        raise CapabilityError(f"bands of several inputs are those of the limit, time = inf, got {time!r}; leave `time` out")
    solver, law = PointsSolver(), problem.initialization.pair_law
    if (missing := solver.supports(problem)) is not None or not isinstance(law, SeveralInputs):
        raise CapabilityError(f"bands of several inputs cannot take this problem: {missing}")
    if (lacking := law.lacks_moment(4, weight_only=False)) is not None:
        raise DataError(
            f"bands need fourth moments of (w, b), but {lacking} has none: the variance of the errors is infinite"
        )
    box = problem.default_box if box is None else checked_box(box)
    if len(box) != law.inputs:
        raise DataError(f"`interval` must be a box of {law.inputs} rows (low, high), got {len(box)}")
    copies = 2 if problem.initialization.paired else 1
    width = checked_width(problem, width, copies)
    prediction = solver.solve(problem)
    system = InputSystem.of(problem, solver.draws, solver.seed)
    w, b = _units(law, min(_UNITS, 2**27 // problem.data.size), seed)
    stiffness = (problem.phi.stiffness or 1.0) if problem.scaled else 1.0
    model = PointInfluence(system, w, b, prediction.multipliers / stiffness)
    return PointsBand(prediction, width, box, model, copies, LargestOnBox(model, _places(box, seed), copies, draws, seed))


def checked_width(problem: Problem, width: Any, copies: int) -> int:
    """`width` as a whole number of at least as many units (draws of units) as there are points, or a DataError."""
    count, least = whole_number(width, "width", at_least=1), problem.data.size * copies
    if count < least:
        raise DataError(
            f"`width` must be at least {least} for {problem.data.size} points, got {count}; narrower networks cannot fit"
        )
    if count % copies:
        raise DataError(f"`width` must be even for antisymmetric pairs, got {count}; use {count + 1}")
    return count


def _units(law: SeveralInputs, count: int, seed: int) -> tuple[Array, Array]:
    """About `count` units of four independent samples, one after the other."""
    size, found = 2 ** int(math.log2(count / REPLICATES)), []
    for k in range(REPLICATES):
        if isinstance(law, FromSampler):
            found.append(law.sample(size, np.random.default_rng([seed, k, 2])))
            continue
        w, b = sobol_units(law, size, seed + 1000 * k, bias=True)
        assert b is not None
        found.append((w, b))
    return np.concatenate([w for w, _ in found]), np.concatenate([b for _, b in found])


def _places(box: Array, seed: int) -> Array:
    """Points of a box: scrambled Sobol points, and its corners up to six inputs."""
    from scipy.stats import qmc

    low, width = box[:, 0], box[:, 1] - box[:, 0]
    power = round(math.log2(_PLACES))
    cube = qmc.Sobol(len(box), rng=np.random.default_rng([seed, 3])).random_base2(power)
    if len(box) <= 6:
        corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * len(box)), axis=-1).reshape(-1, len(box))
        cube = np.concatenate([cube, corners])
    return np.asarray(low + width * cube)
