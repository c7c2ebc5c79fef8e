r"""fluctuations: networks that learn features, at infinite width and at leading order of finite width, untrained."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, listed, memory_left, real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.finite_width.mean_field.band import require_fourth_moments
from splinebias.finite_width.mean_field.shift import MeanShift, mean_shift
from splinebias.finite_width.mean_field.solution import Solution, halved_particles, solve
from splinebias.limit.hypotheses import require_range
from splinebias.limit.mean_field.particles import lost_mass, needs_volume
from splinebias.limit.mean_field.predict import check_mean_field
from splinebias.parameterization import MeanField
from splinebias.problem import Problem, require_problem

_FEWEST = 64
_IN_PLANE, _IN_SPACE = 640, 5120  # particles unless told otherwise
_NODES = 120  # of a path, for a guess of the memory that it takes


@dataclass(frozen=True, eq=False)
class Fluctuations(Drawn):
    r"""The limit of wide networks that learn features, and the law of :math:`\sqrt n\,(f_n - f)`, see `fluctuations`.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    times : Array, shape (T,)
        Training times.
    x : Array, shape (Q,)
        Points.
    mean : Array, shape (T, Q)
        The infinite-width limit f, in units of y.
    std : Array, shape (T, Q)
        Standard deviation of :math:`\sqrt n\,(f_n(x) - f(x))` to leading order; divide by :math:`\sqrt n`.
    cov : Array, shape (T, Q, Q)
        n times the covariance of :math:`f_n(x), f_n(x')` at each time.
    losses : Array, shape (T,)
        The loss of the limit, :math:`\frac12 \sum_j \omega_j (f(x_j) - y_j)^2`.
    kernel, kernel_std : Array, shape (M, M)
        The tangent kernel at the data at the last time, and the standard deviation of :math:`\sqrt n\,(K_n - K)`.
    mean_error, std_error : Array, shape (T, Q)
        Estimates of the errors of `mean` and `std`: what half the particles change, and a third of what steps twice as long
        (and impulses twice as large) change.
    undetermined : float
        Share of the particles that left a sample where more than one motion solves the flow.
    tolerance : float
        What `residual` was to stay below.
    residual : float
        The largest of `std_error` relative to the largest `std` of its time, of `mean_error` relative to max \|y\|, and of
        the share of :math:`E[a^2 + w^2 + b^2]` that the particles miss.
    outcome : Outcome
        CONVERGED, or INACCURATE: `advice` says why.
    stats : dict
        Particles, steps, seconds.
    """

    problem: Problem
    times: Array
    x: Array
    mean: Array
    std: Array
    cov: Array
    losses: Array
    kernel: Array
    kernel_std: Array
    mean_error: Array
    std_error: Array
    undetermined: float
    tolerance: float
    residual: float
    outcome: Outcome
    stats: dict[str, Any]

    @cached_property
    def mean_shift(self) -> MeanShift:
        r"""The shift of the mean loss, :math:`n\,(E[L_n] - L)` at the times, with its error.

        Worked out when first asked for, from some hundred paths of small populations: a second with 5 points, a minute
        with 40. Late in training of rich networks, neurons that graze samples make it uncertain: `error` says so.

        Raises
        ------
        CapabilityError
            Where output weights do not start at 0, and with a free line.
        """
        return mean_shift(self.problem, self.times)

    @property
    def advice(self) -> str:
        """Empty, or what makes these numbers doubtful and what can be done."""
        found = []
        if self.residual > self.tolerance:
            found.append(
                f"errors are estimated at {self.residual:.1%}, above the tolerance {self.tolerance:.1%}: take more "
                f"`particles` (now {self.stats['particles']}) or a smaller `rtol`, or ask for earlier times"
            )
        if self.undetermined:
            found.append(
                f"{self.undetermined:.1%} of the neurons slid along a sample until their output weight changed sign: from "
                "then on more than one motion solves the flow, and finite networks may take another; ask for earlier times"
            )
        return "; ".join(found)

    def __repr__(self) -> str:
        return (
            f"Fluctuations({self.problem.describe()}; times {self.times.tolist()}, {self.x.size} points, "
            f"error {self.residual:.1e}, {self.outcome})"
        )


@known_keywords
def fluctuations(
    problem: Problem,
    times: Any,
    *,
    x: Any = None,
    particles: int | None = None,
    rtol: float = 3e-4,
    tolerance: float = 0.03,
    seed: int = 0,
) -> Fluctuations:
    r"""What wide networks that learn features compute during training, and how far one of finite width is from it.

    For :math:`f_n = \frac{1}{\gamma n} \sum_k a_k \sigma(w_k x + b_k)` under gradient flow, :math:`n \to \infty` at fixed
    :math:`\gamma`, full batch: the limit f follows a population of particles; :math:`\sqrt n\,(f_n - f)` tends to a Gaussian
    process of mean 0 with :math:`\mathrm{Cov}_\mu[u(x, t), u(x', t)]`, u the influence of one neuron, which solves the
    linear equation of `mean_field.influence`.

    Parameters
    ----------
    problem : Problem
        With ``parameterization=sb.MeanField(richness)`` and a quadratic potential. Without `output` neurons start at a = 0;
        with it in antisymmetric pairs, or independently (``antisymmetric=False``): then the start counts in `std`.
    times : array_like, shape (T,)
        Training times :math:`t = \sum \eta / (\gamma^2 n)`, >= 0, finite and increasing.
    x : array_like, shape (Q,), optional
        Where the function is asked for. None: 21 points of the interval on which functions are drawn.
    particles : int, optional
        About how many particles stand for the neurons, 64 at least. None: 640 where output weights start at 0, else 5120.
        The error falls about like 1/particles in the first case.
    rtol : float
        Error of a step of the limit, relative to y; the order in time is 2.
    tolerance : float
        What errors may be, relative, for the outcome CONVERGED.
    seed : int
        Of the particles for laws of (a, w, b) without a rule, see Notes.

    Returns
    -------
    Fluctuations
        With `mean`, `std`, `cov`, `losses`, `kernel_std`, error estimates and `outcome`.

    Raises
    ------
    DataError
        If times are not increasing, infinite or negative; if a law lacks fourth moments, or none of its neurons sees any of
        the data; for more particles than fit into memory; otherwise for an argument out of range.
    CapabilityError
        For another parameterization, a potential that is not quadratic, an activation without two slopes.

    Notes
    -----
    Particles: with a = 0 at the start any law of (w, b), and centred independent Gaussians a, w, b, are integrated by Gauss
    rules in directions, split at data and at `x`; all other laws by 2^k scrambled Sobol' points where a, w, b are
    independent, else by draws (error :math:`\text{particles}^{-1/2}`).

    Checked: moments, mass of the rules, error estimates by half the particles, longer steps, larger impulses. Not checked:
    that n is large enough. Measured: variances of networks with n >= 400 agree within 10 % for t <= 100,
    :math:`\gamma \le 2`. Two layers and full batch only: what Bordelon & Pehlevan find for deep and convolutional networks
    and for online learning is not covered. An output bias changes nothing at this order.

    Responses: with a = 0 at the start by derivatives of all neurons, through all events, and the jumps at edges
    (`mean_field.tangents`); otherwise by differences of the whole population (`mean_field.response`), which is their twin.

    Cost: for 5 points, a = 0 at the start and t = 100, std to 1 % takes half a second, growing like particles times points
    times the square of the number of steps; thirty times that where output weights start at random.

    Source: the dynamics of fluctuations at fixed richness, Bordelon & Pehlevan (NeurIPS 2023); derived here: exact motion of
    two-slope neurons, radial reduction, the response as that of the whole population and its edges.

    Examples
    --------
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.gaussian(), parameterization=sb.MeanField(1.0))
    >>> wide = sb.fluctuations(problem, [1.0, 10.0], x=[0.0, 0.5], particles=320)
    >>> wide.mean.shape, bool(wide.losses[1] < wide.losses[0] < 1 / 6), wide.outcome.name
    ((2, 2), True, 'CONVERGED')
    """
    began = clock.perf_counter()
    _check_problem(problem)
    times = _check_times(times)
    points = np.linspace(*problem.default_interval, 21) if x is None else _check_points(x)
    count = _check_count(problem, points.size, particles)
    rtol = real_number(rtol, "rtol", above=0, fix="take e.g. 3e-4")
    tolerance = real_number(tolerance, "tolerance", above=0, fix="take e.g. 0.03")
    seed = whole_number(seed, "seed")
    require_range(problem.line_data)
    require_fourth_moments(problem)
    fine = solve(problem, times, points, count, rtol, seed)
    coarse, fewer = fine.coarser(), halved_particles(fine, seed)
    found = fine.extrapolated(coarse)
    mean_error = abs(fewer.mean - fine.mean) + abs(coarse.mean - fine.mean) / 3
    std_error = abs(fewer.std - fine.std) + abs(coarse.std - fine.std) / 3
    residual = _residual(problem, fine, found, mean_error, std_error)
    good = residual <= tolerance and not fine.undetermined
    return Fluctuations(
        problem,
        times,
        points,
        found.mean,
        found.std,
        found.cov,
        fine.losses,
        fine.kernel,
        found.kernel_std,
        mean_error,
        std_error,
        fine.undetermined,
        tolerance,
        residual,
        Outcome.CONVERGED if good else Outcome.INACCURATE,
        {
            "particles": fine.particles.neurons[0].size,
            "steps": len(fine.path.steps),
            "seconds": clock.perf_counter() - began,
        },
    )


def _residual(problem: Problem, fine: Solution, found: Solution, mean_error: Array, std_error: Array) -> float:
    """The largest of the relative errors of mean and deviations, and of the mass that the particles lack."""
    scale = max(float(np.abs(problem.data.y).max()), float(np.abs(found.mean).max()), np.finfo(float).tiny)
    largest = found.std.max(axis=1)
    moving = largest > 0
    of_std = float((std_error.max(axis=1)[moving] / largest[moving]).max(initial=0.0))
    return max(of_std, float(mean_error.max()) / scale, lost_mass(fine.particles, problem.initialization))


def _check_problem(problem: Any) -> None:
    require_problem(problem)
    if not isinstance(problem.parameterization, MeanField):
        raise CapabilityError(
            f"fluctuations are those of sb.MeanField(richness) networks, got {problem.parameterization}; sb.error_band and "
            "sb.predict take it, or give parameterization=sb.MeanField(1.0)"
        )
    check_mean_field(problem, "fluctuations")


def _check_times(times: Any) -> Array:
    fix = "features go on moving, so there is no limit in closed form at infinity; give a late time"
    checked = real_vector(listed(times), "times", fix=fix)
    if checked.size == 0 or checked[0] < 0 or (np.diff(checked) <= 0).any():
        raise DataError(f"`times` must be increasing numbers >= 0, one at least, got {times!r}; sort them")
    return checked


def _check_points(x: Any) -> Array:
    points = real_vector(listed(x), "x", fix="leave such points out")
    if points.size == 0:
        raise DataError("`x` must hold a point at least, got none; leave it out for 21 points")
    return points


def _check_count(problem: Problem, points: int, particles: Any) -> int:
    """How many particles to take, if they fit into memory."""
    if particles is None:
        particles = _IN_SPACE if needs_volume(problem.initialization) else _IN_PLANE
    count = whole_number(particles, "particles", at_least=_FEWEST)
    size = problem.data.size
    numbers = _NODES * (13 * size + 8) + 2 * size * 60 + 4 * (points + size**2)  # of a particle, held at once
    most = int(memory_left() / (8 * numbers))
    if count > most:
        raise DataError(f"`particles` must fit into memory: about {most:,} do with {size} points, got {count:,}; take fewer")
    return count
