"""Least squares plus total curvature at all strengths: stretches between the strengths at which knots come or go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from splinebias._array import Array
from splinebias.regimes.least_norm.kinked_fit import Fit, Indices, Kinked

_GAP = 1e-9  # relative: of two stretches between which no other one is looked for


@dataclass(frozen=True, eq=False)
class Stretch:
    """Strengths between two breaks: knots and signs stay, everything is linear in the strength."""

    low: float
    high: float
    zero: Kinked
    one: Kinked


def stretches_of(fit: Fit, *, bent: bool) -> list[Stretch]:
    """All stretches from infinite strength, where the fit is a line, down to 0; only that if the data are not `bent`."""
    none = fit.at(np.zeros(0, dtype=np.intp), np.zeros(0), 0.0)
    high = float(np.abs(none.dual).max())
    stretches = [Stretch(high, np.inf, *fit.given(none.knots, none.signs))]
    if bent:
        while stretches[-1].low > fit.noise:
            stretches += _below(fit, stretches[-1])
    stretches[-1] = replace(stretches[-1], low=0.0)
    return stretches


def _below(fit: Fit, last: Stretch) -> list[Stretch]:
    """The stretches below one: the next one, if its end says which knots come and go; else down to that found just below
    it."""
    s = last.low * (1 - 1e-6)  # so far below a break the next stretch is looked for
    followed = _followed(fit, last, s)
    if followed is not None:
        return [followed]
    start = fit.at(last.zero.knots, last.zero.signs, last.low)
    made = [_solved(fit, s, start)]
    for _ in range(50):  # stretches that were stepped over, of almost no length
        top = made[0]
        if top.high >= last.low * (1 - _GAP) or top.high <= 0:
            break
        between = _solved(fit, 0.5 * (top.high + last.low), start)
        if between.low >= last.low or between.low <= top.low:
            break
        made.insert(0, between)
    made[0] = replace(made[0], high=last.low)
    return [replace(one, low=max(one.low, two.high)) for one, two in pairwise(made)] + [made[-1]]


def _followed(fit: Fit, last: Stretch, s: float) -> Stretch | None:
    """The stretch with the knots that the end of the last one suggests, if that is optimal at s."""
    knots, signs = last.zero.knots, last.zero.signs
    low, tie = last.low, 1e-10 * last.low
    jumps = last.zero.jumps + low * last.one.jumps
    shrinking = jumps * signs > (last.zero.jumps + s * last.one.jumps) * signs
    left = (np.abs(jumps) <= 1e-10 * np.abs(last.zero.jumps)) & shrinking
    dual = last.zero.dual + low * last.one.dual
    entering = np.abs(dual) >= low - tie
    entering[knots] = entering[0] = entering[-1] = False
    new = np.flatnonzero(entering)
    together = np.r_[knots[~left], new]
    order = np.argsort(together, kind="stable")
    found = _stretch(fit, together[order], np.r_[signs[~left], np.sign(dual[new])][order], s)
    there = found.zero.jumps + s * found.one.jumps
    bound = np.abs(found.zero.dual + s * found.one.dual).max(initial=0.0)
    if (there * found.zero.signs <= 0).any() or bound > s * (1 + 1e-9) or found.high < low * (1 - _GAP) or found.low >= s:
        return None
    return replace(found, high=low)


def _solved(fit: Fit, s: float, start: Kinked) -> Stretch:
    """The stretch that holds strength s."""
    found = fit.solve(s, start)[0]
    return _stretch(fit, found.knots, found.signs, s)


def _stretch(fit: Fit, knots: Indices, signs: Array, s: float) -> Stretch:
    """Strengths around s at which these knots and signs are optimal, if they are at s."""
    zero, one = fit.given(knots, signs)
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = -zero.jumps / one.jumps  # where jumps vanish
        ups = zero.dual / (1 - one.dual), -zero.dual / (1 + one.dual)  # where G = s, -s
    free = np.ones(fit.x.size, dtype=bool)
    free[knots] = free[0] = free[-1] = False
    events = np.concatenate([gone, ups[0][free], ups[1][free]])
    events = events[np.isfinite(events)]
    low = events[events < s * (1 - 1e-12)].max(initial=0.0)
    return Stretch(float(low), float(events[events > s * (1 + 1e-12)].min(initial=np.inf)), zero, one)
