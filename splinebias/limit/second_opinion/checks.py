"""What the curvature of two-slope activations must make of gaps, tails, value and slope: what a function is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    Moments,
    Stretches,
)

_MANY = 24  # stretches of the breakpoint axis, each of whose nodes costs an integral over |w|
_FEW = 60  # data between which all gaps get the fine rule


def of_bends(prediction: Prediction) -> Functionals:
    """Gaps, both tails and, unless free, value and slope at the first datum."""
    problem = prediction.problem
    bends, x = Bends.of(prediction), problem.data.x
    few, sizes = x.size <= _FEW, bends.sizes
    dense = sizes is not None and sizes.dense
    looked = looked_at(x, 0) if dense else looked_at(x)
    first, last = float(x[0]), float(x[-1])
    span = last - first
    lo, hi = x[looked], x[looked + 1]
    middles = lo + (hi - lo) / 2
    far = np.array([first - 40 * span, first - span / 2, last + span / 2, last + 40 * span])
    marks = np.unique(np.concatenate([x if few else np.concatenate([lo, hi]), middles, far, bends.breaks]))
    left, right = marks[:-1], marks[1:]
    if not few:  # of what is between data, the gaps that are looked at
        kept = (left < first) | (left >= last) | (left < hi[np.maximum(lo.searchsorted(left, side="right") - 1, 0)])
        left, right = left[kept], right[kept]
    inner, tail = FINE_ENDS, FINE_TAIL
    if sizes is None and problem.initialization.breakpoint_law.degree is not None:
        inner, tail = CUBIC, SHORT_TAIL
    elif dense:
        inner, tail = (SHORT_ENDS, SHORT_TAIL) if left.size > _MANY else (PLAIN_ENDS, PLAIN_TAIL)
    between = Stretches.between(left, right, inner)
    parts = [(between, bends.corners(between))]
    ties = not problem.free and (few or sizes is None)
    if ties:
        scales = float(right[0] - left[0]), float(right[-1] - left[-1])
        beyond = Stretches.to_infinity(left[0], right[-1], scales, tail)
        parts.append((beyond, bends.corners_far(beyond)))
    moments = bends.moments(parts)
    f = _Said.of(prediction.function, np.array([lo, middles, hi]), x[[0, -1]], far)
    kink = bends.activation.kink
    found = [_gaps(f, between, moments[0], kink, lo, middles, hi), _tails(f, between, moments[0], kink, x[[0, -1]], far)]
    if ties:
        found.append(_ties(f, bends, parts, moments, between_data=not few))
    return Functionals.joined(found)


class _Said(NamedTuple):
    """What the function is said to be where it is looked at: all of it is read at once.

    Attributes
    ----------
    gaps : Array, shape (3, G)
        At the left ends of gaps, in their middles and at their right ends.
    ends, slopes : Array, shape (2,)
        At the outermost data.
    far : Array, shape (4,)
        Beyond them.
    """

    gaps: Array
    ends: Array
    slopes: Array
    far: Array

    @classmethod
    def of(cls, f: Callable[..., Array], gaps: Array, ends: Array, far: Array) -> _Said:
        """At these places."""
        values = f(np.concatenate([gaps.ravel(), ends, far]))
        return cls(values[: gaps.size].reshape(gaps.shape), values[gaps.size : -4], f(ends, 1), values[-4:])


def _gaps(f: _Said, at: Stretches, moments: Moments, kink: float, lo: Array, middle: Array, hi: Array) -> Functionals:
    """The function in the middle of gaps, less its mean at the two ends."""
    ends = at.frame[None]
    levers = np.maximum(np.minimum(ends - lo[:, None, None], hi[:, None, None] - ends), 0.0) / 2
    integral, error = moments.against(levers)
    left, centre, right = f.gaps
    size = np.abs(f.gaps).max(axis=0)
    # in a gap of a few units in the last place the middle is not the middle
    shift = np.abs(right - left) / (hi - lo) * np.spacing(np.maximum(np.abs(lo), np.abs(hi)))
    found = Functionals(centre - (left + right) / 2, -kink * integral, abs(kink) * error + 4 * EPS * size + shift, size)
    inside: NDArray[np.bool_] = (lo < middle) & (middle < hi)
    return found if inside.all() else Functionals(*(of[inside] for of in found))


def _tails(f: _Said, at: Stretches, moments: Moments, kink: float, ends: Array, far: Array) -> Functionals:
    """The function beyond the outermost data, less its tangents there."""
    c = at.frame
    before, after = (c[:, 1] <= ends[0])[:, None], (c[:, 0] >= ends[1])[:, None]
    levers = np.concatenate([(c - far[:2, None, None]) * before, (far[2:, None, None] - c) * after])
    integral, bound = moments.against(np.maximum(levers, 0.0))
    near, slopes = f.ends[[0, 0, 1, 1]], f.slopes[[0, 0, 1, 1]]
    start = ends[[0, 0, 1, 1]]
    rise = slopes * (far - start)
    size = np.maximum(np.maximum(np.abs(near), np.abs(f.far)), np.abs(rise))
    placed = np.abs(slopes) * np.spacing(np.maximum(np.abs(far), np.abs(start)))
    return Functionals(f.far - near - rise, kink * integral, abs(kink) * bound + 8 * EPS * size + placed, size)


def _ties(
    f: _Said, bends: Bends, parts: list[tuple[Stretches, tuple[Array, Array]]], moments: list[Moments], *, between_data: bool
) -> Functionals:
    """Value and slope at the first datum; `between_data`: there are many, between which another rule sums."""
    x, act = bends.problem.data.x, bends.activation
    first, last, (between, beyond) = x[0], x[-1], (at for at, _ in parts)
    c = between.frame
    p, q = act.right, act.left
    before = c[:, 1:] <= first
    levers = np.where(before, np.array([p, -q])[:, None, None], np.array([q, -p])[:, None, None])  # slopes, (2, N, 2)
    levers = np.broadcast_to(levers, (2, *c.shape))
    if between_data:
        levers = levers * (before | (c[:, :1] >= last))
    sums = np.array(moments[0].against_each(np.array([levers * (first - c), levers])))
    # the slope times the way to the end, and on from there
    steep = np.array([[p, q], [-q, -p]])
    (left, right), (back, on) = beyond.frame[:, 0], beyond.frame[:, 1]
    value = steep[:, :, None] * np.array([[first - left, -back], [first - right, -on]])
    slope = steep[:, :, None] * np.array([1.0, 0.0])
    sums += np.array(moments[1].against_each(np.array([value, slope])))
    if between_data:
        sums += np.array(bends.between_data())
    said = np.array([f.ends[0], f.slopes[0]]) * np.array([1.0, last - first])
    sums[:, 1] *= last - first
    return Functionals(said, sums[0], sums[1], np.abs(said))
