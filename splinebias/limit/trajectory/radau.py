r"""The flow of a dual, step after step: collocation whose stages are found by Newton's method in the mirror image of g.

With G = :math:`\omega^{1/2}(y - f)` and the notation of `radau_stages`, :math:`Q u' = r(u)`. Modes relax at times of all
sizes, so steps are about proportional to t. A step is kept if the Legendre coefficients of G on it decay to the tolerance.
Where :math:`1/\phi''` is infinite at 0, :math:`\phi' \sim |u|^m` there, f begins like :math:`t^{1/m}` and is smooth in that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import Outcome
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.objective import DualState, IntegratedDual, Slopes
from splinebias.limit.trajectory.decay_modes import Residuals
from splinebias.limit.trajectory.radau_stages import StageSystem
from splinebias.numerics.collocation import Collocation
from splinebias.potential import Potential

TOLERANCE = 1e-10  # of G on a step, relative to its start
_CLOSE = 1e-8  # step of Newton's method from which on its square is rounding
_SMALL = 1e-9  # curvature at which a potential is one power


def _order_at_zero(potential: Potential) -> float:
    r"""The m of :math:`\phi'(u) \sim u^m`, if :math:`\phi''(0) = 0`; else 1."""
    if potential.hess_at_zero != 0:
        return 1.0
    u = np.array([_SMALL])
    order = float((u * potential.hess(u) / potential.grad(u))[0])
    return min(max(round(order, 6), 1.0), 16.0) if math.isfinite(order) else 1.0


class Step(NamedTuple):
    """A step of the flow, in the units of `IntegratedDual`.

    Attributes
    ----------
    time, length : float
        Where it starts, how long it is.
    start : DualFunction
        g at its start.
    increments : Array, shape (s, U)
        How far u moves until the stages.
    velocity : Array, shape (s + 1, M)
        G at the start and at the stages.
    dissipated : float
        The integral of 2L until the start.
    rule : Collocation
        The stages.
    """

    time: float
    length: float
    start: DualFunction
    increments: Array
    velocity: Array
    dissipated: float
    rule: Collocation

    @property
    def end(self) -> float:
        """The time at which the step ends."""
        return self.time + self.length

    def at(self, t: float) -> tuple[DualFunction, Array, float]:
        """g, G and the integral of 2L at a time on the step."""
        place = min((t - self.time) / self.length, 1.0)
        function = self.start.moved(self.rule.risen(self.increments, place))
        lost = self.length * place * self.rule.mean_square(self.velocity, place)
        return function, self.rule.interpolated(self.velocity, np.array([place]))[0], self.dissipated + lost


class Stages(NamedTuple):
    """What Newton's method found on a step.

    Attributes
    ----------
    increments : Array, shape (s, U)
        How far u moves until the stages.
    velocity : Array, shape (s + 1, M)
        G at the start and at the stages.
    error : float
        The last Legendre coefficient of G, relative to its start.
    end : DualState or None
        The dual at the end; None if the step is too long.
    """

    increments: Array
    velocity: Array
    error: float
    end: DualState | None


class Tried(NamedTuple):
    """Stages from the same start on, of a step that was not kept: its length and how far u moves until they are reached."""

    length: float
    increments: Array


class March:
    """Where the flow of a problem is, and the way on.

    Parameters
    ----------
    residuals : Residuals
        The data as coordinates of the flow, in the units of the dual.
    dual : IntegratedDual
        On a first grid; refined on the way where the quadrature asks for it.
    tolerance : float
        Of G on a step, relative to its start.

    Attributes
    ----------
    time : float
        What was reached.
    outcome : Outcome or None
        Why there is no way on: REACHED_TIME at rest, STALLED (also where doubles end) or MAX_STEPS; None on the way.
    """

    def __init__(self, residuals: Residuals, dual: IntegratedDual, tolerance: float = TOLERANCE) -> None:
        self.residuals, self.dual, self.tolerance = residuals, dual, tolerance
        self._use(_order_at_zero(dual.potential))
        self.size = float(np.linalg.norm(residuals.start))
        self.outcome: Outcome | None = None
        self.slope = residuals.hinges.T @ residuals.start
        self.time, self.length = 0.0, self._time_scale(self.slope) / 50
        self._shortest = 1e-26 * self.length
        self.state = dual.at(dual.equations.function(0 * self.slope))
        self.dissipated, self._count, self._resolved = 0.0, 0, 0.1 * tolerance

    def _use(self, root: float) -> None:
        """Take stages for what is smooth in t^(1/root)."""
        self.rule = Collocation.of(12 if self.tolerance < 1e-7 else 4, root)
        self.stages = StageSystem.of(self.dual.equations, self.residuals.root**2, self.rule.derivative)

    def _time_scale(self, slope: Array) -> float:
        """The time after which f would exceed y if the multipliers went on as they start, within a factor of 8."""
        t = 1.0

        def short(t: float) -> bool:
            made = self.residuals.start - self.residuals.velocity(
                self.dual.at(self.dual.equations.function(t * slope)).residual
            )
            return bool(np.linalg.norm(made) < self.size)

        factor = 8.0 if short(t) else 1 / 8
        while short(t) == (factor > 1) and 1e-250 < t < 1e250:
            t *= factor
        return t

    def advance(self) -> Step | None:
        """The next step, or None: then `outcome` says why."""
        again = False  # after a step that was too long, the next is no longer than the one that was not
        tried: Tried | None = None
        while self.outcome is None:
            tolerance = max(self.tolerance, 20 * self._rounding() / self.size)  # no step is asked to resolve rounding
            if self.time > 0:  # an error of G acts on u for so short a time that it counts less (|u|^3 stalls without)
                tolerance *= max(1.0, 0.01 * self.time / self.length)
            found = self._stages(self.length, tolerance, tried)
            if found is None:
                self.length, tried = self.length if tried else self.length / 4, None
            else:
                tried = Tried(self.length, found.increments)
                factor = (tolerance / max(found.error, 1e-300)) ** (1 / (self.rule.points.size + 1))
                if found.end is None:
                    self.length *= max(0.1, 0.8 * factor) if self.rule.root == 1 else 0.8 * tolerance / found.error
                elif self._resolves(found.end, tolerance):
                    return self._accept(found.increments, found.velocity, found.end, min(factor, 1.0) if again else factor)
            again = True
            if self.length < max(1e-13 * self.time, self._shortest):
                self.outcome = Outcome.STALLED
        return None

    def _accept(self, increments: Array, velocity: Array, end: DualState, factor: float) -> Step:
        """Go to the end of a step."""
        step = Step(self.time, self.length, self.state.function, increments, velocity, self.dissipated, self.rule)
        if self.rule.root != 1:
            self._use(1.0)
        self.dissipated = step.at(step.end)[2]
        proportional = min(step.end / step.time, 2.0) if step.time > 0 else 1.0
        self.time, self.state = step.end, end
        self.length *= min(6.0, 0.9 * factor * proportional)
        self._count += 1
        if np.linalg.norm(velocity[-1]) <= 1e-14 * self.size:  # rounding
            self.outcome = Outcome.REACHED_TIME
        elif self._count >= 1000:
            self.outcome = Outcome.MAX_STEPS
        return step

    def _stages(self, h: float, tolerance: float, tried: Tried | None) -> Stages | None:
        """The stages of a step of length h; None if Newton's method does not converge.

        It starts from no move at all, so that its first step is the flow linearized at the start, or from a step that was
        too long or on another grid, and is left as soon as it shows that the step is too long.
        """
        start, hinges, last = self.state, self.residuals.hinges, 1.0
        origin = self.dual.equations.unknowns(start.function)
        slopes, rhs = self._begun(h, tried)
        for iteration in range(48):
            delta = self.stages.solve(slopes.hessian, rhs, h)
            if not np.isfinite(delta).all():
                return None
            effect, functions = slopes.hessian @ delta, slopes.functions.mirrored(self.dual.potential, delta)
            increments = self.dual.equations.unknowns(functions) - origin
            change = max(
                float(np.linalg.norm(effect @ hinges.T, axis=1).max()) / self.size,
                float(np.abs(delta).max() / (np.abs(origin + increments).max() or 1.0)) * tolerance / self.tolerance,
            )
            if iteration or (tried is not None and change <= _CLOSE):
                moved = (slopes.residual - effect) @ hinges.T
                velocity = np.concatenate([self.residuals.velocity(start.residual)[None], moved])
                error = float(np.linalg.norm(self.rule.last_coefficient(velocity))) / self.size
                if change * min(1.0, change / last) <= 0.1 * max(error, tolerance):
                    if error > tolerance:
                        return Stages(increments, velocity, error, None)
                    if change * min(1.0, change / last) <= 0.1 * tolerance:
                        return Stages(increments, velocity, error, self.dual.at(functions[-1]))
            if iteration >= 8 and change > 0.9 * last:  # from now on, every step must come closer
                return None
            last = change
            slopes = self.dual.slopes(functions)
            if not np.isfinite(slopes.residual).all():
                return None
            rhs = self.stages.imbalance(slopes.residual @ hinges.T @ hinges, increments, h)
        return None

    def _begun(self, h: float, tried: Tried | None) -> tuple[Slopes, Array]:
        """Where Newton's method for a step of length h starts: slopes at the stages, or one for all; and what is missing."""
        start, hinges = self.state, self.residuals.hinges
        if self.rule.root != 1:  # the move that the first speed makes, because Hessians at the start are infinite
            increments = np.multiply.outer(h * self.rule.points**self.rule.root, self.slope)
        elif tried is not None:
            increments = np.stack([self.rule.risen(tried.increments, h / tried.length * c) for c in self.rule.points])
        else:
            slopes = Slopes(start.function.several, start.residual, self.dual.equations.hessian(start.masses))
            return slopes, np.tile(start.residual, (self.rule.points.size, 1))
        slopes = self.dual.slopes(start.function.several.moved(increments))
        return slopes, self.stages.imbalance(slopes.residual @ hinges.T @ hinges, increments, h)

    def _rounding(self) -> float:
        """How well G is known."""
        return float(np.finfo(float).eps * np.linalg.norm(np.abs(self.residuals.hinges) @ self.state.load))

    def _resolves(self, state: DualState, tolerance: float) -> bool:
        """Whether the grid gives G at `state`, to a tenth of a tolerance; if not, it is refined."""
        check = self.dual.checked(state.function, tables=True)
        if not check.neglected <= 0.01:  # part of f that doubles cut off: no way on
            self.outcome = Outcome.STALLED
            return False
        farther = self.dual.farther(check)
        if farther is not None:
            self.dual, self.state = farther, farther.at(self.state.function)
            return False
        off = (
            float(np.linalg.norm(self.residuals.velocity(check.residual) - self.residuals.velocity(state.residual)))
            / self.size
        )
        if not off > max(self._resolved, 0.1 * tolerance):
            return True
        finer = self.dual.refined(state, self.tolerance).finer
        if finer is None:
            self._resolved = 10 * off  # as good as it gets
            return True
        self.dual, self.state = finer, finer.at(self.state.function)
        return False
