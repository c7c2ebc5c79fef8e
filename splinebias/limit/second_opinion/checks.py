"""What the curvature of two-slope activations must make of gaps, tails, value and slope: what a function is asked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.limit.prediction import Prediction
from splinebias.limit.second_opinion.bends import Bends
from splinebias.limit.second_opinion.functional import EPS, Functionals, looked_at
from splinebias.limit.second_opinion.stretches import (
    CUBIC,
    FINE_ENDS,
    FINE_TAIL,
    PLAIN_ENDS,
    PLAIN_TAIL,
    SHORT_ENDS,
    SHORT_TAIL,
    SMOOTH,
    Moments,
    Shape,
    Stretches,
)

_MANY = 24  # stretches of the breakpoint axis, each of whose nodes costs an integral over |w|
_FEW = 60  # data between which all gaps get the fine rule
_FAR = np.array([-40.0, -0.5, 0.5, 40.0])  # spans beyond the outermost data
_NEAR = np.array([-0.5, -0.5, 0.5, 0.5])
_END = np.array([0, 0, 1, 1])  # which of the two these are beyond


class _Places(NamedTuple):
    """Where a function is looked at.

    Attributes
    ----------
    lo, middle, hi : Array, shape (G,)
        Of gaps between data.
    ends : Array, shape (2,)
        The outermost data.
    far : Array, shape (4,)
        Beyond them.
    """

    lo: Array
    middle: Array
    hi: Array
    ends: Array
    far: Array

    @classmethod
    def among(cls, x: Array, *, dense: bool, brief: bool) -> _Places:
        """The places to look at in gaps between data, and how far they are from the ends; if `brief`, in the widest only."""
        looked = np.array([np.diff(x).argmax()]) if brief else looked_at(x, 0) if dense else looked_at(x)
        lo, hi, ends = x[looked], x[looked + 1], x[[0, -1]]
        return cls(lo, lo + (hi - lo) / 2, hi, ends, ends[_END] + (_NEAR if brief else _FAR) * (ends[1] - ends[0]))

    def stretches(self, bends: Bends, *, all_gaps: bool) -> tuple[Array, Array]:
        """Both ends of the stretches that curvature is summed on, each of shape (N,)."""
        data = [bends.problem.data.x] if all_gaps else [self.lo, self.hi, self.ends]
        marks = np.concatenate([*data, self.middle, self.far, bends.breaks])
        marks.sort()
        left, right = marks[:-1], marks[1:]
        if not (left < right).all():
            left, right = left[left < right], right[left < right]
        if all_gaps:
            return left, right
        here = np.maximum(self.lo.searchsorted(left, side="right") - 1, 0)
        inside = (left >= self.lo[here]) & (left < self.hi[here])
        kept = (left < self.ends[0]) | (left >= self.ends[1]) | inside
        return left[kept], right[kept]


def of_bends(prediction: Prediction, *, brief: bool = False) -> Functionals:
    """Gaps, both tails and value and slope at the first datum; if free, of many data, what becomes of these at the last.

    `brief`: the widest gap and what is near beyond the data, at a third of the price.
    """
    problem = prediction.problem
    bends, x = Bends.of(prediction), problem.data.x
    few, sizes, dense = x.size <= _FEW and not brief, bends.sizes, bends.sizes is not None and bends.sizes.dense
    at = _Places.among(x, dense=dense, brief=brief)
    left, right = at.stretches(bends, all_gaps=few and not problem.free)
    between, tail = _ruled(bends, left, right)
    parts = [(of, bends.corners(of)) for of in between]
    whole = sizes is None and not (few or brief)  # sums over all of many data
    beyond = not (problem.free or bends.bounded) and (few or whole)
    if beyond:
        scales = float(right[0] - left[0]), float(right[-1] - left[-1])
        outer = Stretches.to_infinity(left[0], right[-1], scales, tail)
        parts.append((outer, bends.corners_far(outer)))
    moments = bends.moments(parts)
    inner = Moments.joined(moments[: len(between)])
    frame = between[0].frame if len(between) == 1 else np.concatenate([of.frame for of in between])
    levers = _levers(at, frame, abs(bends.activation.kink))
    ties = not problem.free and (few or whole)
    said, rounding, size = _said(prediction, at, ties=ties, turn=problem.free and whole)
    if ties:
        levers = np.concatenate([np.repeat(levers[:, None], 2, axis=1), _ties(bends, frame, between_data=whole)])
    integral, error = inner.against(levers)
    more = [moments[-1].against(_ties_beyond(bends, parts[-1][0]))] if beyond else []
    if whole:
        more.append(bends.between_data())
    if integral.size < said.size:
        integral, error = np.append(integral, [0.0, 0.0]), np.append(error, [0.0, 0.0])
    for value, bound in more:
        integral[-2:] += value
        error[-2:] += bound
    if bends.activation.kink < 0:
        integral[: at.lo.size + 4] *= -1
    found = Functionals(said, integral, error + rounding, size)
    inside = (at.lo < at.middle) & (at.middle < at.hi)
    if inside.all():
        return found
    return Functionals(*(np.concatenate([of[: inside.size][inside], of[inside.size :]]) for of in found))


def _ruled(bends: Bends, left: Array, right: Array) -> tuple[list[Stretches], Shape]:
    """Rules for the stretches between these ends, and on the way to infinity."""
    if bends.sizes is None and bends.problem.initialization.breakpoint_law.degree is not None:
        return [Stretches.between(left, right, CUBIC)], SHORT_TAIL
    if bends.sizes is None or not bends.sizes.dense or bends.sizes.steep or bends.sizes.peaked:
        return [Stretches.between(left, right, FINE_ENDS)], FINE_TAIL
    if left.size <= _MANY:
        return [Stretches.between(left, right, PLAIN_ENDS)], PLAIN_TAIL
    # those at whose ends a dual function may vanish, and those that reach out; and all others
    x = bends.problem.data.x
    zeros = np.concatenate([side.zeros().place for side in bends.function.sides])
    vanishing = (np.array([left, right])[..., None] == zeros).any(axis=(0, 2))
    rough = vanishing | (left < x[0]) | (right > x[-1])
    groups = (rough, SHORT_ENDS), (~rough, SMOOTH)
    return [Stretches.between(left[of], right[of], shape) for of, shape in groups if of.any()], SHORT_TAIL


def _levers(at: _Places, c: Array, kink: float) -> Array:
    """The levers of gaps and tails at the ends c of stretches, shape (G + 4, N, 2)."""
    levers = np.empty((at.lo.size + 4, *c.shape))
    inner, outer = levers[:-4], levers[-4:]
    np.minimum(c - at.lo[:, None, None], at.hi[:, None, None] - c, out=inner)
    inner *= -0.5 * kink
    np.minimum(inner, 0.0, out=inner)
    far = at.far[:, None, None]
    outer[:2] = (c - far[:2]) * (c[:, 1:] <= at.ends[0])
    outer[2:] = (far[2:] - c) * (c[:, :1] >= at.ends[1])
    outer *= kink
    np.maximum(outer, 0.0, out=outer)
    return levers


def _ties(bends: Bends, c: Array, *, between_data: bool) -> Array:
    """The levers of value and of slope, times the span, at the first datum at the ends c: both sides, shape (2, 2, N, 2).

    `between_data`: there are many, between which another rule sums.
    """
    x, p, q = bends.problem.data.x, bends.activation.right, bends.activation.left
    before = c[:, 1:] <= x[0]
    turn = np.where(before, np.array([[[p]], [[-q]]]), np.array([[[q]], [[-p]]]))
    if between_data:
        turn = turn * (before | (c[:, :1] >= x[-1]))
    levers = np.empty((2, 2, *c.shape))
    levers[0] = turn * (x[0] - c)
    levers[1] = turn * (x[-1] - x[0])
    return levers


def _ties_beyond(bends: Bends, beyond: Stretches) -> Array:
    """The levers of value and of slope at the first datum, on the way to infinity."""
    x, p, q = bends.problem.data.x, bends.activation.right, bends.activation.left
    turn = np.array([[p, q], [-q, -p]])[:, :, None]
    start, steps = beyond.frame[:, 0], beyond.frame[:, 1]
    return np.array([turn * np.array([x[0] - start, -steps]).T, turn * np.array([x[-1] - x[0], 0.0])])


def _said(prediction: Prediction, at: _Places, *, ties: bool, turn: bool) -> tuple[Array, Array, Array]:
    """What the function is said to be, how far rounding may put that off, and its size, each of shape (F,).

    In the middle of gaps, less its mean at the two ends; beyond the outermost data, less its tangents there; value and slope
    at the first datum (`ties`), or the way from the tangent there to the last datum, and how far the slope turns (`turn`).
    """
    f, gaps = prediction.function, at.lo.size
    values, slopes = f(np.concatenate(at)), f(at.ends, 1)
    left, centre, right = (values[k * gaps : (k + 1) * gaps] for k in range(3))
    near, far = values[-6:-4][_END], values[-4:]
    slope, start = slopes[_END], at.ends[_END]
    rise = slope * (at.far - start)
    # in a gap of a few units in the last place the middle is not the middle; nor is a place far out quite where it is
    steep = np.concatenate([(right - left) / (at.hi - at.lo), slope])
    placed = np.abs(steep) * np.spacing(
        np.abs(np.concatenate([np.fmax(-at.lo, at.hi), np.fmax(np.abs(at.far), np.abs(start))]))
    )
    said, size = np.empty(gaps + 4 + 2 * (ties or turn)), np.empty(gaps + 4 + 2 * (ties or turn))
    said[:gaps] = centre - (left + right) / 2
    said[gaps : gaps + 4] = far - near - rise
    tall = np.abs(values)
    np.maximum.reduce(tall[: 3 * gaps].reshape(3, gaps), out=size[:gaps])
    np.maximum(np.maximum(tall[-4:], np.abs(near)), np.abs(rise), out=size[gaps : gaps + 4])
    rounding = 4 * EPS * size
    rounding[gaps : gaps + 4] *= 2
    rounding[: gaps + 4] += placed
    if ties:
        said[-2:] = values[-6], slopes[0] * (at.ends[1] - at.ends[0])
        size[-2:] = np.abs(said[-2:])
        rounding[-2:] = 0.0
    elif turn:
        (first, last), (before, after) = values[-6:-4].tolist(), (slopes * (at.ends[1] - at.ends[0])).tolist()
        said[-2:] = last - first - before, after - before
        size[-2:] = max(abs(first), abs(last), abs(before)), max(abs(before), abs(after))
        rounding[-2:] = 8 * EPS * size[-2:]
    return said, rounding, size
