r"""A referee for predictions: E[alpha sigma(wx + b)] over (w, b), sharing nothing with solvers or their second opinion.

For a problem and multipliers :math:`\lambda`, :math:`\phi'(\alpha(w, b)) = \sum_i \lambda_i \sigma(w x_i + b)` and
:math:`f(x) = E[\alpha\,\sigma(wx + b)]`, and a line if that is free; with `NTK` the features of the hidden layer are added.

- Expectations are sums over nodes in the plane of (w, b) (`plane`), not over breakpoints.
- Features are computed in extended precision and differenced there, over k + 2 neighbouring points: nothing cancels
  afterwards, however close to each other or far from the origin the data are.
- The multipliers of a prediction are rounded numbers of which f may be an ill-conditioned function. So Newton's method goes
  on from them until these nodes interpolate the data, if it gets there.
- Nodes are made finer until two sets agree; what they differ by, with the rounding of the sums, is the stated bound.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import splinebias as sb
from tests.differences import Differences
from tests.formulas import Inverse, sigma, slope
from tests.plane import LONG, Frame, Nodes, nodes_of

LEVELS = ((6, 8), (9, 12), (14, 18), (21, 27), (32, 40), (64, 90), (99, 200))  # orders of the outer and the inner rule
MOST_NUMBERS = 30_000_000  # features that are held at once
_EPS = 2.3e-16


class Ruling(NamedTuple):
    """What the referee says about a prediction.

    Attributes
    ----------
    x, value, bound : array, shape (Q,)
        Places, the function there according to the referee, and by how much that may be off.
    error : float
        Largest distance of the prediction from it beyond `bound`, and from the data, relative to max |y| or |f| there.
    blur : float
        The largest `bound`, in the same unit: what the referee cannot see.
    penalty_error, penalty_blur : float
        The same for the penalty, relative.
    settled : bool
        Whether `value` interpolates the data to rounding; else it is what the prediction's multipliers say, and `bound` has
        ten times their misfit.
    """

    x: Any
    value: Any
    bound: Any
    error: float
    blur: float
    penalty_error: float
    penalty_blur: float
    settled: bool


def places(x: Any) -> Any:
    """Where predictions are looked at: in four gaps, the widest and the narrowest among them, and outside, once far out."""
    gaps, span = np.diff(x), x[-1] - x[0]
    looked = np.unique([0, gaps.size - 1, gaps.argmax(), gaps.argmin()])
    inside = x[looked] + np.array([0.5, 0.37, 0.61, 0.44])[: looked.size] * gaps[looked]
    inside = inside[(inside > x[looked]) & (inside < x[looked + 1])]
    return np.r_[x[0] - 0.3 * span, inside, x[-1] + 0.4 * span, x[-1] + 11.3 * span]


def rule(prediction: sb.Prediction, goal: float = 1e-8) -> Ruling:
    """The referee's opinion of a prediction, to `goal` if it can be had, and of its penalty to 100 times that.

    Raises
    ------
    MemoryError
        If it takes more numbers than the referee may hold.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # what leaves the range of doubles ends as a bound
        warnings.simplefilter("ignore", RuntimeWarning)
        return _ruling(prediction, goal)


def _ruling(prediction: sb.Prediction, goal: float) -> Ruling:
    """The same, with whatever warnings there are."""
    problem = prediction.problem
    data, x = problem.data, places(problem.data.x)
    frame = Differences(problem, x, float(np.abs(prediction.multipliers).max()) or 1.0)
    said, size = prediction.function(x), frame.size_of_y
    unit = np.maximum(size, np.abs(said))
    began = frame.dual(prediction.multipliers)
    finest = Solution.of(frame, began, LEVELS[0])
    bound, blur = np.full(x.size, math.inf), math.inf
    for level in LEVELS[1:]:
        if 2 * finest.numbers > MOST_NUMBERS:
            break
        now = Solution.of(frame, finest.dual if finest.settled else began, level)
        bound = np.abs(now.value - finest.value) + now.rounding
        blur = abs(now.penalty - finest.penalty) + 1e-14 * abs(now.penalty)
        finest = now
        if (bound <= goal * unit).all() and blur <= 100 * goal * abs(now.penalty):
            break
    off = np.maximum(np.abs(said - finest.value) - bound, 0) / unit
    missed = np.abs(prediction.function(data.x) - data.y).max() / size
    cost = abs(finest.penalty) or 1.0
    blur += 4 * _EPS * float(np.abs(prediction.multipliers * data.y).sum())  # the multipliers are its slopes in y
    if not finest.settled:  # of rounded multipliers: units that they should leave alone may cost anything
        blur = math.inf
    return Ruling(
        x, finest.value, bound,
        error=float(np.max([*off, missed])),  # np.max keeps a NaN
        blur=float(np.max(bound / unit)),
        penalty_error=float(np.maximum(abs(prediction.penalty - finest.penalty) - blur, 0)) / cost,
        penalty_blur=blur / cost,
        settled=finest.settled,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Solution:
    """What interpolates the data, on one set of nodes.

    Attributes
    ----------
    dual : array
        Its coordinates.
    value, rounding : array, shape (Q,)
        The function at the places, and what rounding may have done to it.
    settled : bool
        Whether it interpolates the data; otherwise it is that of the multipliers it was started from.
    penalty : float
        Its cost.
    numbers : int
        How many features were held for it.
    """

    dual: Any
    value: Any
    rounding: Any
    settled: bool
    penalty: float
    numbers: int

    @classmethod
    def of(cls, frame: Differences, dual: Any, level: tuple[int, int]) -> Solution:
        """By Newton's method from `dual`."""
        potential = Inverse(frame.problem, float(frame.unit))
        nodes = Sampled.of(frame, dual, level, graded=not potential.linear)
        start, settled, last = dual, False, math.inf
        for _ in range(25):
            alpha, slope = potential(nodes.seen @ dual)
            missed = frame.y[frame.free :] - nodes.seen.T @ (nodes.mass * alpha)
            bent = nodes.seen * (nodes.mass * slope)[:, None]
            hessian = nodes.seen.T @ bent
            scale = 1 / np.sqrt(np.where(np.diag(hessian) > 0, np.diag(hessian), 1.0))
            if not np.isfinite(hessian * scale * scale[:, None]).all():
                break
            step = scale * np.linalg.lstsq(hessian * scale * scale[:, None], scale * missed, rcond=1e-17)[0]
            change = step @ (bent.T @ nodes.rest)
            value = frame.base + nodes.rest.T @ (nodes.mass * alpha)
            size = float(np.max(np.abs(change) / np.maximum(np.abs(value), frame.size_of_y)))
            if not size < last:  # rounding, or out of reach
                settled = last < 1e-7
                break
            dual, last = dual + step, size
            if size <= 1e-13:
                settled = True
                break
        dual = dual if settled else start
        alpha, _ = potential(nodes.seen @ dual)
        value = frame.base + nodes.rest.T @ (nodes.mass * alpha)
        change = np.zeros_like(value)
        if settled:
            change += 10 * last * np.maximum(np.abs(value), frame.size_of_y)
        else:
            change += frame.misfit(frame.y[frame.free :] - nodes.seen.T @ (nodes.mass * alpha)) * frame.lost
        sizes = nodes.mass * np.abs(alpha)
        rounding = 8 * _EPS * (np.abs(nodes.rest).T @ sizes + np.abs(frame.base)) + change
        rounding = rounding + frame.lost * float((sizes * nodes.blur).sum())
        cost = float((nodes.mass * potential.cost(alpha)).sum())
        return cls(dual, value, rounding, settled, cost, nodes.seen.size + nodes.rest.size)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Differences of features at nodes: `seen` (N, M) at data, `rest` (N, Q) at places; `mass` and `blur`, (N,)."""

    seen: Any
    rest: Any
    mass: Any
    blur: Any

    @classmethod
    def of(cls, frame: Differences, dual: Any, level: tuple[int, int], *, graded: bool) -> Sampled:
        """The features of the problem's units."""
        problem, parts, held = frame.problem, [], 0
        order = frame.degree * problem.limit_potential.moment_order
        order = order if order < 20 else 2.0 * frame.degree  # of laws without heavy tails
        seen = Frame(frame.x0, frame.at, frame.zeros(dual) if graded else ((), ()), graded, order, *level)
        second = problem.initialization.output_second_moment if isinstance(problem.parameterization, sb.NTK) else 0.0
        for nodes in nodes_of(problem.initialization.pair_law, seen):
            held += nodes.w.size * frame.at.size * (3 if second else 1)
            if held > MOST_NUMBERS:
                raise MemoryError(f"{problem} takes more than {MOST_NUMBERS} numbers")
            parts += [(*found, nodes.mass, blur) for *found, blur in _features(problem, nodes, frame, second)]
        return cls(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def _features(problem: sb.Problem, nodes: Nodes, frame: Differences, second: float) -> Any:
    """Differences of the features of units, at data and at places, and the rounding of their values, (N,)."""
    w, eps = nodes.w.astype(LONG), float(np.finfo(LONG).eps)
    z = nodes.tau[:, None] + w[:, None] * frame.at
    seen, rest = frame.of(sigma(problem, z), z)
    k, far = problem.activation.degree, np.abs(z).max(axis=1).astype(float)
    lost = k * (nodes.blur + eps * far) * far ** (k - 1)
    whole = (z > 0).all(axis=1) | (z < 0).all(axis=1)
    sizes = sigma(problem, np.sign(z[whole, 0])) * np.sign(z[whole, 0]) ** k  # of p z^k or q z^k
    made = frame.of_polynomial(w[whole], nodes.tau[whole], sizes.astype(float))
    seen[whole], rest[whole], lost[whole] = made[:, : seen.shape[1]], made[:, seen.shape[1] :], 0.0
    yield seen, rest, lost
    if second:
        moved = math.sqrt(second) * slope(problem, z)
        for of in (moved, moved * (frame.at + frame.x0)):
            yield *frame.of(of, z), eps * np.abs(of).max(axis=1).astype(float)
