r"""The error of a finite network of several inputs, predicted: theory section 7 with expectations over sampled units.

.. math:: \sqrt n\, (f_n - f) \to \mathrm{GP}(0, \mathrm{Cov}[u(x), u(x')])

with the influences u of `point_influence`, at any training time, of `Standard` and of `NTK` networks. Expectations are means
over scrambled Sobol points (draws, of a sampler of one's own), four samples whose scatter is the error that is stated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splinebias._arguments import at_finite, points_of, whole_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.largest_error import ErrorsOfWidth, SupsOfNetworks, SupsOfProcess
from splinebias.finite_width.several_inputs.point_influence import InfluenceAtLimit, InfluenceOnTheWay, PointInfluence
from splinebias.functions.compare_on_box import checked_box
from splinebias.initialization.laws import Continuous, Discrete, Law, as_law, describe_law
from splinebias.initialization.several_inputs.input_laws import FromSampler, SeveralInputs
from splinebias.limit.hypotheses import require_mobile
from splinebias.limit.prediction import Prediction, require
from splinebias.limit.several_inputs.input_system import InputSystem, require_points
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.sampled_kernel import REPLICATES, sobol_units
from splinebias.limit.several_inputs.solver import PointsSolver
from splinebias.parameterization import NTK
from splinebias.problem import Problem

_UNITS = 2**16  # in all samples, fewer where points are so many that their features take over a GiB
_SIDES = 3  # of a box, in a line
_PLACES = 512  # of the box at which largest errors are looked for


@dataclass(frozen=True, eq=False, repr=False)
class LargestOnBox(SupsOfProcess):
    """The law of the largest error of the Gaussian process at points (N, d) of a box, the same for all widths."""

    model: PointInfluence

    @cached_property
    def covariance(self) -> Array:
        return self.copies * self.model.covariance(self.points, self.points)


@dataclass(frozen=True, eq=False, repr=False)
class DrawnOnBox(SupsOfNetworks):
    r"""The largest error of networks whose neurons, and start functions, are drawn: `DrawnErrors` of several inputs."""

    model: PointInfluence
    law: SeveralInputs

    def _errors(self, draws: int, rng: np.random.Generator) -> Iterator[Array]:
        prepared = self.model.prepared(self.points)
        while True:
            yield self.model.drawn(*self.law.sample(draws, rng), rng).total(self.points, prepared) / draws


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
    time : float
        Training time; infinity: the limit.
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
    time: float
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
        r"""Standard deviation of :math:`f_n(x)` at points (..., d), shape (...); 0 at the data at time inf, nan at inf."""
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

    def mean_shift(self, x: Any) -> Array:
        r"""The O(1/n) part of :math:`E[f_n(x) - f(x)]` at points (..., d), shape (...), as `ErrorBand.mean_shift`.

        The second order of the delta method and the output bias, for output weights that start at 0 and hidden weights that
        stay, as means over the sampled units.

        Raises
        ------
        CapabilityError
            At finite times, with `NTK`, and for random start functions.
        """

        def shift(points: Array) -> Array:
            found = self.model.mean_shift(points.reshape(-1, len(self.box)), self.copies)[0]
            return np.asarray(found.reshape(points.shape[:-1]) / self.width)

        return at_finite(shift, points_of(x, len(self.box), finite=False), points=True)

    @cached_property
    def drawn_errors(self) -> DrawnOnBox:
        r"""The largest errors of networks of this width with neurons that are drawn: ``mean``, ``quantile(q)``.

        As `ErrorBand.drawn_errors`, on the points of the box, at any time, also with `NTK`; where networks start at random
        functions these are drawn, too. 20 to 200 networks, of half a million neurons in all where that is enough: some
        seconds.
        """
        count = max(20, min(200, 500_000 * self.copies // self.width))
        law = self.problem.initialization.pair_law
        assert isinstance(law, SeveralInputs)
        return DrawnOnBox(self.model, law, self.largest.points, self.width, self.copies, count, self.largest.seed)

    @cached_property
    def effective_number(self) -> float:
        r"""How many neurons the variance comes from: n over the kurtosis of u where the variance is largest: `ErrorBand`."""
        at, draws = int(np.diag(self.largest.covariance).argmax()), self.width / self.copies
        square, _, fourth = self.model.moments(self.largest.points[[at]])
        return draws * float(square[0] ** 2 / fourth[0]) if fourth[0] > 0 else draws

    @cached_property
    def advice(self) -> str:
        """Empty, or why networks of this width may not be what the band says, worked out when first asked for.

        That none can be trained; that hidden weights move too far (`laziness`); that the variance belongs to rare neurons
        (`effective_number` below 3).
        """
        from splinebias.finite_width.advice import advice_on_points  # a band does without what trains networks

        return advice_on_points(self)

    def at_width(self, width: int) -> PointsBand:
        """The band of another width; nothing is computed again."""
        return replace(self, width=checked_width(self.problem, width, self.copies))

    def __repr__(self) -> str:
        sides = " x ".join(f"[{lo:.3g}, {hi:.3g}]" for lo, hi in self.box[:_SIDES]) + (
            " x ..." if len(self.box) > _SIDES else ""
        )
        return f"PointsBand({self.problem.describe()}; width {self.width}, box {sides}, time {self.time:g})"


def band_of_points(
    problem: Problem, width: int, box: Any, time: float, draws: int, seed: int, start_moment: float = 0.0
) -> PointsBand:
    """`error_band` of several inputs; `start_moment`: E[(sqrt(n) a)^2] where networks start at random functions, else 0.

    Raises
    ------
    CapabilityError
        For points of one input, problems that `PointsSolver` does not take, and random starts with `NTK` and a law of
        output weights whose first or third moment is not 0.
    DataError
        If the law lacks fourth moments, the width is below the number of points, the time is no number >= 0, or the box does
        not fit.
    """
    solver, law, both = PointsSolver(), problem.initialization.pair_law, isinstance(problem.parameterization, NTK)
    if (missing := solver.supports(problem)) is not None or not isinstance(law, SeveralInputs):
        raise CapabilityError(f"bands of several inputs cannot take this problem: {missing}")
    if start_moment and both and _lopsided(as_law(problem.initialization.output, "output")):
        raise CapabilityError(
            "errors over random starts of NTK() networks are known for output weights with E a = E a^3 = 0, got "
            f"{describe_law(problem.initialization.output)}; give one start function (`start=`), or antisymmetric pairs"
        )
    if (lacking := law.lacks_moment(4, weight_only=False)) is not None:
        raise DataError(
            f"bands need fourth moments of (w, b), but {lacking} has none: the variance of the errors is infinite"
        )
    box = problem.default_box if box is None else checked_box(box)
    if len(box) != law.inputs:
        raise DataError(f"`interval` must be a box of {law.inputs} rows (low, high), got {len(box)}")
    copies = 2 if problem.initialization.paired else 1
    width = checked_width(problem, width, copies)
    if isinstance(time, bool) or not isinstance(time, int | float | np.integer | np.floating) or not time >= 0:
        raise DataError(f"`time` must be a number >= 0, infinity included, got {time!r}")
    require(solver, problem)
    if not problem.scaled:
        require_mobile(problem.phi, "an unscaled potential", also=", or wrap it in sb.Scaled")
    require_points(problem)
    prediction = solver.at(problem, [float(time)])[0]
    model = _influences(problem, solver, prediction, time, seed, start_moment)
    largest = LargestOnBox(model, _places(box, seed), copies, draws, seed)
    return PointsBand(prediction, width, box, float(time), model, copies, largest)


def _influences(
    problem: Problem, solver: PointsSolver, prediction: Prediction, time: float, seed: int, start_moment: float
) -> PointInfluence:
    """The influences of sampled units on a prediction at a training time."""
    law = problem.initialization.pair_law
    assert isinstance(law, SeveralInputs)
    system, both = InputSystem.of(problem, solver.draws, solver.seed), isinstance(problem.parameterization, NTK)
    copies = problem.data.size + 1 if start_moment and time < math.inf else 1  # of influences, one for every direction
    w, b = _units(law, max(2**10, min(_UNITS, 2**27 // problem.data.size) // copies), seed)
    if time == math.inf and not both:
        stiffness = (problem.phi.stiffness or 1.0) if problem.scaled else 1.0
        return InfluenceAtLimit(system, w, b, prediction.multipliers / stiffness, start_moment)
    output = as_law(problem.initialization.output, "output") if both else None
    a = None if output is None else output.sample(len(b), np.random.default_rng([seed, 4]))
    matrix = None
    if start_moment and both:
        assert system.problem.activation.two_slopes is not None, "PointsSolver.supports asks for two slopes"
        kernel = input_kernel(problem.initialization, system.problem.activation.two_slopes, solver.draws, solver.seed)
        matrix = kernel.matrix(system.x, system.x)
    return InfluenceOnTheWay(system, w, b, a, time / problem.phi.hess_at_zero, start_moment, matrix)


def _lopsided(law: Law) -> bool:
    """Whether the first or the third moment of a law is not 0."""
    if isinstance(law, Discrete):
        values, mass = np.asarray(law.values), np.asarray(law.probabilities)
    else:
        assert isinstance(law, Continuous)
        values = law.frozen.ppf((np.arange(4096) + 0.5) / 4096)
        mass = np.full(values.size, 1 / values.size)
    size = math.sqrt(mass @ values**2)
    return bool(max(abs(mass @ values) / size, abs(mass @ values**3) / size**3) > 1e-6)


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
