r"""Hypotheses of the theory, each checked and worded once: range of data, phi''(0), moments, reach of the neurons.

Reach: the kernel matrix is singular exactly when some nonzero :math:`\lambda` has :math:`g_\pm = 0` wherever
:math:`\zeta_\pm > 0`. In the coordinates of `dual_function` this is a question about which side has mass in which data
interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError, SplinebiasError
from splinebias.limit.discretization import data_intervals
from splinebias.limit.kernels.feature_span import missed
from splinebias.parameterization import MeanField
from splinebias.potential import Potential

if TYPE_CHECKING:
    from splinebias.limit.posed_problem import PosedProblem  # whoever asks whether data are in reach has posed the problem
    from splinebias.problem import Problem

_LARGEST = 1e50  # of |x|, |y| and 1/gaps: a slope reaches its square, a second difference its cube, and those get squared
_REACHED = 1e-9  # of max |y|: by how much the nearest function of all neurons may miss the data


def require_size(data: Dataset | Points) -> None:
    """Raise DataError for data so large that squares of slopes leave the range of doubles."""
    for name, of in (("|x|", data.x), ("|y|", data.y)):
        if (size := max(of.max(), -of.min())) > _LARGEST:
            raise DataError(f"predictions need {name} <= {_LARGEST:g}, got {size:g}; rescale the data")


def require_range(data: Dataset) -> None:
    """Raise DataError for data so large or so close together that squares of slopes leave the range of doubles."""
    require_size(data)
    if (gap := np.diff(data.x).min()) < 1 / _LARGEST:
        raise DataError(
            f"predictions need neighbouring x at least {1 / _LARGEST:g} apart, got {gap:g}; rescale or merge points"
        )


def require_limit(problem: Problem) -> None:
    """Raise CapabilityError if no kernel and no functional says where infinitely wide networks of `problem` go."""
    if isinstance(problem.parameterization, MeanField):
        raise CapabilityError(
            f"the limit of {problem.parameterization} networks has no closed form, since features move; sb.predict, "
            "sb.error_band and sb.fluctuations follow it in time; train some with sb.train or sb.train_ensemble "
            "(sb.NeuronFlow), or take sb.Standard(), or sb.NTK() where output weights start at random: their lazy limit, "
            "richness -> 0"
        )


def require_mobile(phi: Potential, who: str, *, also: str = "", error: type[SplinebiasError] = DataError) -> None:
    r"""Raise `error` unless :math:`0 < \phi''(0) < \infty`: output weights at zero move at the speed :math:`1/\phi''(0)`.

    `who` needs that, in words, and `also` is another way out.
    """
    curvature = phi.hess_at_zero
    if 0 < curvature < math.inf:
        return
    speed, fix = (
        ("infinitely fast", "add a quadratic part") if curvature == 0 else ("not at all", "use p >= 2 or sb.Hypentropy")
    )
    p = getattr(phi, "p", 0.0)
    example = f"sb.Power({p:g}, quadratic=1)" if p > 2 else "sb.Hypentropy(0.1)"
    raise error(
        f"{who} needs 0 < phi''(0) < inf, got phi''(0) = {curvature:g} for {phi!r}: output weights at zero would move "
        f"{speed}; {fix}, e.g. {example}{also}"
    )


def require_moments(problem: Problem, order: float, rule: str, consequence: str, *, bias: bool = True) -> None:
    """Raise DataError if weights and biases lack moments that their features need.

    Parameters
    ----------
    problem : Problem
        Its laws, which have second moments, and activation, of degree k.
    order : float
        Moments of order k times this are asked for; infinity: an exponential moment.
    rule, consequence : str
        Who needs them, as in "this needs", and what is wrong without and can be done, in words.
    bias : bool
        Whether the bias law is looked at; its far tail makes offsets only.
    """
    order = order * problem.homogeneous.degree
    if order > 2 and (law := problem.initialization.pair_law.lacks_moment(order, weight_only=not bias)) is not None:
        wanted = "an exponential moment" if math.isinf(order) else f"a finite moment of order {order:.4g}"
        raise DataError(f"{rule} {wanted} of {law} has none: {consequence}")


def require_attained(problem: Problem, order: float, *, bias: bool) -> None:
    r"""Raise DataError if the laws lack the moments without which no minimum is attained.

    `order` is that by which :math:`\phi^*` grows, 2 for quadratic problems: :math:`E[\phi^*(\lambda \sigma)]` is infinite
    for every nonzero slope if moments of that order (times the degree k of the activation) are. `bias`: whether slope and
    offset are asked of the neurons. If they are free, biases need moments of order k - 2 times that: otherwise far neurons,
    whose powers of ReLU are polynomials on the data, make :math:`x^2` at no cost.
    """
    degree = problem.homogeneous.degree
    if order * degree <= 2:  # which laws have
        return
    who = f"{problem.activation} with {problem.limit_potential} needs"
    fix = "use lighter tails, a lower power of ReLU, or add a quadratic part to a power potential"
    require_moments(problem, order, who, f"far neurons would make slopes at no cost; {fix}", bias=bias)
    if not bias and degree > 2:
        require_moments(problem, order * (degree - 2) / degree, who, f"far neurons would make x^2 at no cost; {fix}")


class DeadDirections(NamedTuple):
    """Which unknowns no neuron sees.

    Attributes
    ----------
    points : Array of bool, shape (M,)
        Points without breakpoints on both neighbouring intervals.
    affine : int
        Number of dead directions among slope and offset: 0, 1 or 2.
    """

    points: NDArray[np.bool_]
    affine: int


def require_reachable(posed: PosedProblem) -> None:
    """Raise DataError if the data ask for a bend, slope or offset that no neuron of the law can supply.

    Raises
    ------
    DataError
        If some data point sits where zeta is zero on both neighbouring intervals and is not collinear with its
        neighbours, or the neurons supply no slope (or no offset) and the data have one, or not all of the lines, or for
        powers of ReLU of the polynomials, that the data ask for where no breakpoints are.

    Notes
    -----
    A point on a stretch without breakpoints that is collinear with its neighbours is accepted: the function is affine
    there. With powers of ReLU the same is asked of k + 2 neighbouring points and polynomials of degree k.
    With `NTK` the tangent features of both layers span the same functions.
    """
    problem = posed.problem
    if isinstance(problem.parameterization, MeanField):  # breakpoints move
        return
    require_attained(problem, problem.limit_potential.moment_order, bias=not problem.free)
    x, y = problem.data.x, problem.data.y
    has = _occupied(posed)
    if problem.activation.two_slopes is None:
        _require_derivatives(posed)
    else:
        _require_bends(x, y, _dead_points(has))
    if not has.all():
        _require_span(posed, has)


def _require_bends(x: Array, y: Array, dead: NDArray[np.bool_]) -> None:
    """Raise DataError if data bend at one of the `dead` points, for two slopes."""
    at = np.flatnonzero(dead[1:-1]) + 1
    left, right = x[at] - x[at - 1], x[at + 1] - x[at]
    off_chord = (y[at] * (left + right) - y[at - 1] * right - y[at + 1] * left) / (left + right)
    bad = at[np.abs(off_chord) > 1e-12 * (np.abs(y).max() or 1.0)]
    if bad.size:
        i = bad[0]
        raise DataError(
            f"no neuron can bend the function near x = {x[i]:g} (the curvature density is zero from {x[i - 1]:g} to "
            f"{x[i + 1]:g}), but the data bend there; use a law whose breakpoints -b/w reach it, "
            "move x to them by sb.rescaled, or drop the point"
        )


def _require_derivatives(posed: PosedProblem) -> None:
    """Raise DataError if a divided difference of the data is out of reach of all neurons, for powers of ReLU."""
    bad = posed.power_system.out_of_reach()
    if bad.size:
        raise DataError(
            f"no neuron can make the derivative number {posed.problem.homogeneous.degree + 1} that the data have between "
            f"x = {bad[0]:g} and x = {bad[-1]:g} (the density zeta is zero there); use a law whose breakpoints -b/w reach "
            "it, or drop points"
        )


def _require_span(posed: PosedProblem, has: NDArray[np.bool_]) -> None:
    """Raise DataError if data ask for a polynomial, where zeta is zero, that all neurons together cannot supply."""
    problem = posed.problem
    (x, y), act = (problem.data.x, problem.data.y), problem.activation.two_slopes
    slopes = (1.0, 0.0) if act is None else (act.right, act.left)
    off = np.abs(missed(x, y, has, slopes, problem.homogeneous.degree, free=problem.free))
    worst = int(off.argmax())
    if off[worst] <= _REACHED * np.abs(y).max():
        return
    free = "" if problem.free else 'affine="free" or '
    degree = problem.homogeneous.degree
    what = "free slope or offset" if degree == 1 else f"polynomial of degree {degree}"
    raise DataError(
        f"no combination of neurons goes through these data: where zeta is zero, they supply no {what} of their own, and "
        f"their nearest function misses y by up to {off[worst]:.3g}, at x = {x[worst]:g}; use {free}a law with breakpoints "
        "-b/w on both sides of the data, or drop points"
    )


def dead_directions(posed: PosedProblem) -> DeadDirections:
    """The directions in which the kernel matrix is singular, from the masses of zeta per data interval and side."""
    act, has = posed.problem.two_slopes, _occupied(posed)
    beside, points = has[:, :-1] | has[:, 1:], _dead_points(has)
    if posed.problem.free:
        return DeadDirections(points, 0)
    # G + (q/kink) line = 0 where side + has mass, G - (p/kink) line = 0 where side - has: both at a node force line = 0
    plus, minus = has
    outer = (act.right != 0 and (plus[0] or minus[-1])) or (act.left != 0 and (minus[0] or plus[-1]))
    beside[0, -1] |= act.left == 0  # v_M = 0 by definition
    beside[1, 0] |= act.left == 0  # v_1 = line(x_1) by definition
    conditions = 2 if outer else int(min(2, beside.all(axis=0).sum()))
    return DeadDirections(points, 2 - conditions)


def _occupied(posed: PosedProblem) -> NDArray[np.bool_]:
    """Whether zeta of either side has mass on each of the data intervals and beyond the data, shape (2, M + 1)."""
    x = posed.problem.data.x
    if posed.problem.activation.two_slopes is None:
        system = posed.power_system
        interval = data_intervals(system.cells.edges, x)
        zetas = np.stack([zeta.reshape(system.cells.nodes.shape) for zeta in system.zeta])
    else:
        interval, zetas = posed.grid.interval, posed.grid.zeta
    has = np.zeros((2, x.size + 1), dtype=bool)
    for side, zeta in zip(has, zetas, strict=True):
        rows = (zeta > 0).any(axis=1) if zeta.shape[1] > 1 else zeta[:, 0] > 0
        side[interval if rows.all() else interval[rows]] = True
    return has


def _dead_points(has: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Points with no breakpoints on either of the intervals beside them, shape (M,)."""
    return np.asarray(~(has[:, :-1] | has[:, 1:]).any(axis=0))
