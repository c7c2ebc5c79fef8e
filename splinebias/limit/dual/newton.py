"""Newton ascent of the dual: the step, its line search, where to start, and the way over maxima for gentler potentials."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.functions.unfolding import Unfolding
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.objective import DualState, IntegratedDual, integrator_of
from splinebias.limit.posed_problem import PosedProblem
from splinebias.potential import Potential, Power

_PATIENCE = 60  # steps that do not lower the residual, in a row
_NEAR = 1e-4  # misfit: a tenth of the evaluations fewer at 100,000 noisy points
_HALVINGS = 100  # of a start, or doublings
_LONGER = 64  # times the part of a step that the last search took: where the next begins
_SHORTEST = 60  # halvings of a step
_SAME = 1e-3  # relative change of a misfit that is none
_TINY, _CUTS = 1e-3, 16  # part of a step, and by how much steps of which less was taken may outnumber others


class Ascent(NamedTuple):
    """How Newton's method ended.

    Attributes
    ----------
    state : DualState
        The best that was found.
    steps : int
        Newton steps.
    cut : bool
        Whether it ended because no step led on, or tiny ones only: the dual rises towards the end of its domain.
    """

    state: DualState
    steps: int
    cut: bool = False


def maximized(state: DualState, tolerance: float, max_iterations: int, enough: float = 0.0) -> Ascent:
    """Newton ascent from `state` until the residual is at rounding, or `enough`.

    It ends with steps that do not lower the residual: 60 in a row as long as that is above the tolerance, 10 if the dual is
    at rounding, 2 below the tolerance, 1 far below it. And when steps of which less than a thousandth could be taken
    outnumber others.
    """
    best, stale, rounding = state, 0, max(1e-14 * math.sqrt(state.function.x.size), enough)
    length, cuts = 1.0, 0
    for iteration in range(1, max_iterations + 1):
        if state.misfit <= rounding:
            return Ascent(state, iteration - 1)
        search = LineSearch(state, tolerance, min(1.0, _LONGER * length) or 1.0)
        moved = search.taken()
        if moved is None:
            return Ascent(best, iteration, cut=search.visible)
        patience = _PATIENCE if search.visible else _PATIENCE // 6
        if not search.visible and abs(moved[0].misfit - state.misfit) <= _SAME * state.misfit < _SAME * _NEAR:
            break  # at rounding: what would follow is the same again
        state, length = moved
        much = 0.5 if best.misfit > tolerance else 0.1  # a Newton step that gains less is at rounding
        stale = 0 if state.misfit < much * best.misfit else stale + 1
        cuts = cuts + 1 if length < _TINY else max(0, cuts - 1)
        if state.misfit < best.misfit:
            best = state
        if stale >= (patience if best.misfit > tolerance else 2 if best.misfit > 0.01 * tolerance else 1):
            break
        if cuts == _CUTS:
            return Ascent(best, iteration, cut=True)
    return Ascent(best, iteration)


@dataclass(frozen=True, eq=False)
class LineSearch:
    """The Newton step from a state of the dual, made as long as it makes progress.

    Attributes
    ----------
    state : DualState
        Where it begins.
    tolerance : float
        Residual from which on a step need not lower it.
    longest : float
        The part of the step that is tried first.
    """

    state: DualState
    tolerance: float
    longest: float = 1.0

    def taken(self) -> tuple[DualState, float] | None:
        r"""The state after the step, taken in :math:`\alpha` if that is progress, else in g and shortened, and its length.

        None if nothing is progress. If the dual rises along no part of the step, the rule does not resolve the curvature
        yet, so that value and slope do not belong together: then its derivative tells how far to go, and 0 is returned for
        a length.
        """
        if not np.isfinite(self.gain) or self.gain <= 0:
            return None
        found = next((trial for trial in self._trials() if self._is_progress(*trial)), None)
        if found is not None:
            return found
        balanced = self._balanced()
        if balanced is None or (self.visible and not balanced.misfit < self.state.misfit):
            return None
        return balanced, 0.0

    @cached_property
    def step(self) -> Array:
        """Newton's, in the unknowns, shape (U,)."""
        return self.state.dual.equations.hessian(self.state.masses).solve(self.state.residual)

    @cached_property
    def gain(self) -> float:
        """The slope of the dual along the step."""
        return float((self.state.residual * self.step).sum())

    @property
    def visible(self) -> bool:
        """Whether the rise to be had is above the rounding of the dual."""
        return self.gain > self._rounding

    @property
    def _rounding(self) -> float:
        """That of the dual, with room: integrals over |w| are as good as that."""
        return 1e-12 * (abs(self.state.objective) + self.state.pairing)

    def _trials(self) -> Iterator[tuple[DualState, float]]:
        """States after increments of falling length: the mirrored step, the step, and half of it again and again.

        Near the maximum, where the two hardly differ, the step comes first: it costs less.
        """
        if near := self.state.misfit < _NEAR and self.longest == 1:
            yield self._at(1.0), 1.0
        if self.longest == 1:
            dual = self.state.dual
            yield dual.at(self.state.function.mirrored(dual.potential, self.step)), 1.0
        for length in self.longest * 0.5 ** np.arange(near, _SHORTEST if self.visible else 1):
            yield self._at(float(length)), float(length)

    def _at(self, length: float) -> DualState:
        """The state after a part of the step."""
        return self.state.dual.at(self.state.function.moved(length * self.step))

    def _is_progress(self, new: DualState, length: float) -> bool:
        """Whether the dual rises (Armijo); where that is below rounding, the residual is the measure instead."""
        if not (np.isfinite(new.misfit) and np.isfinite(new.objective)):
            return False
        halves = new.misfit < 0.5 * self.state.misfit
        if not self.visible:
            return halves or self.state.misfit <= self.tolerance
        rise = new.objective - self.state.objective
        if rise > length * self.gain and rise > 2 * self._slope_towards(new) + self._rounding:
            return False  # the dual is concave: what was added up there is not the dual
        # on a quadratic function it is half the gain
        return rise >= 0.1 * length * self.gain or (rise >= -self._rounding and halves)

    def _slope_towards(self, new: DualState) -> float:
        """The slope of the dual along the way to another state."""
        at = self.state.dual.equations.unknowns
        return float((self.state.residual * (at(new.function) - at(self.state.function))).sum())

    def _balanced(self) -> DualState | None:
        """The maximum of the dual along the step, where its derivative vanishes (regula falsi, Illinois variant)."""
        best = None
        low, high, t = 0.0, 1.0, 1.0
        at_low, at_high = self.gain, -np.inf
        for _ in range(12):
            new = self._at(t)
            along = float((new.residual * self.step).sum())
            best = new if np.isfinite(along) else best
            if abs(along) <= 0.1 * self.gain or (t == 1.0 and along > 0):
                break
            if along > 0:
                low, at_low, at_high = t, along, at_high / 2
            else:
                high, at_high, at_low = t, along if np.isfinite(along) else -np.inf, at_low / 2
            t = (low * at_high - high * at_low) / (at_high - at_low) if np.isfinite(at_high) else (low + high) / 2
        return best


def begun(state: DualState) -> DualState:
    """Where to begin if evaluations are cheap: a plain Newton step from a start that is too large, else `scaled_start`.

    The step leaves out a halving and a step, of six evaluations, for the published examples.
    """
    moved = LineSearch(state, np.inf).taken() if state.objective < 0 else None
    return moved[0] if moved is not None and moved[0].misfit < 0.5 * state.misfit else scaled_start(state)


def scaled_start(state: DualState) -> DualState:
    """`state`, halved until the dual is not below its value at 0, and doubled until its curvature is not negligible.

    With an exponential conjugate and a law with exponential tails the dual is finite on a neighbourhood of 0 only. With a
    steep potential and random weights the fast ones decide, which a start knows nothing of: where all curvature is
    negligible or overflows, Newton steps lead nowhere.
    """
    dual, state = state.dual, _not_below_zero(state)
    start = state.function
    if not state.made_share < 1e-6:
        return state
    low, high = 0.0, float(_HALVINGS)  # logarithms of factors
    for _ in range(14):
        middle = (low + high) / 2
        new = dual.at(start.times(2.0**middle))
        if new.made_share <= 1:
            low, state = middle, new
        else:
            high = middle
    return state


def _not_below_zero(state: DualState) -> DualState:
    """`state`, halved as often as it takes: the dual is concave and 0 at 0, so half of what is enough is enough, too."""
    found, at_least, enough = state, 0, 0
    while not found.objective >= 0 and found.pairing and enough < _HALVINGS:
        at_least, enough = enough, min(2 * enough or 1, _HALVINGS)
        found = state.dual.at(state.function.times(0.5**enough))
    while enough - at_least > 1:
        middle = (at_least + enough) // 2
        new = state.dual.at(state.function.times(0.5**middle))
        if not new.objective >= 0 and new.pairing:
            at_least = middle
        else:
            found, enough = new, middle
    return found


def steepness(potential: Potential) -> float:
    r"""By which factor the power of :math:`\phi'` differs from 1, if help by gentler potentials is welcome; else 1."""
    if not isinstance(potential, Power):
        return 1.0
    if potential.p < 2:
        return 1.0 if potential.quadratic else 1 / (potential.p - 1)
    return potential.p - 1 if potential.p > 3 else 1.0


def _gentler(potential: Power, ratio: float) -> Power:
    """The potential whose `steepness` is less by this factor: its maximum is a good start for one a little steeper."""
    p = 1 + (potential.p - 1) * (ratio if potential.p < 2 else 1 / ratio)
    return Power(2.0 if abs(p - 2) < 1e-9 else p, potential.quadratic)


def led(posed: PosedProblem, dual: IntegratedDual, start: DualFunction, tolerance: float) -> tuple[DualState | None, int]:
    """The maximum, by way of those for gentler potentials, beginning with a square, whose only Newton step is exact.

    What a steep potential makes of `start` can be negligible at most of the data, or point away from the maximum. From one
    potential to the next the power grows by a ratio that becomes smaller where that was too much. None if none was reached.
    """
    potential, ratio, total = dual.potential, 2.0, 0
    assert isinstance(potential, Power)
    at, reached, best = 2 * steepness(potential), None, None  # how far from `potential`
    while at > 1 and ratio > 1.05:
        to = max(at / ratio, 1.0)
        spread = dual.problem.initialization.breakpoint_law.spread
        unfolding = Unfolding.of(_gentler(potential, to), spread=spread) if to > 1 else dual.grid.unfolding
        there = replace(dual, integrator=integrator_of(posed, replace(dual.grid, unfolding=unfolding)))
        if reached is not None:
            start = reached.function
            if potential.moment_order <= 2:  # dual values differ by powers of ten, but not the curvature
                start = start.through_mirror(there.potential, before=reached.dual.potential)
        state, steps, _ = maximized(scaled_start(there.at(start)), tolerance, 40)
        total += steps
        if to == 1 and (best is None or state.misfit < best.misfit):
            best = state
        if state.misfit <= (tolerance if to == 1 else 1e-6):
            at, reached = to, state
        elif reached is None:
            break
        else:
            ratio = math.sqrt(ratio)
    return best, total
