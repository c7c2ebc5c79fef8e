"""Failures as values with advice, and the three ways input can be refused."""

from __future__ import annotations

import enum

_LONGEST = 3000  # characters of a message: a value from a file may have millions, and the fix stands at the end


class SplinebiasError(ValueError):
    """Base of every refusal; the message says the rule, the value received and the fix, in one line."""

    def __str__(self) -> str:
        text = " ".join(super().__str__().split())  # arrays among the values received are printed in several lines
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 3 :]}"


class DataError(SplinebiasError):
    """The input itself is wrong: NaN, wrong shape, a moment that does not exist, an infeasible point."""


class UnknownArgument(DataError, TypeError):
    """Arguments that are not taken, or missing; the message lists what is. Like Python's own refusal, a TypeError."""


class CapabilityError(SplinebiasError):
    """The input is fine, but the chosen solver, method or law cannot take it; the message names what can."""


class SolveError(SplinebiasError):
    """A solver could not produce any answer (a wrong answer is an `Outcome`, never an exception)."""


class StudyStopped(SplinebiasError):
    """A study could not go on (full disk, scheduler gone); what is finished is kept: the same call goes on from there."""


class Outcome(enum.Enum):
    """How a computation ended. The value is advice; test with ``result.outcome is Outcome.CONVERGED``."""

    CONVERGED = "converged: the requested tolerance was met"
    REACHED_TIME = "stopped at the requested training time; the loss tolerance was not the target"
    MAX_STEPS = "max_steps was reached before the tolerance: raise `max_steps` or the learning rate"
    STALLED = (
        "no further progress is possible: the data may be out of reach of this network, or the tolerance below rounding"
    )
    DIVERGED = "the loss grew without bound: use a learning rate below 2 / lambda_max of the tangent kernel"
    INACCURATE = "the optimality residual is above the tolerance: rescale the data, add a quadratic part, or refine"

    @property
    def ok(self) -> bool:
        """True for the outcomes that reached what was asked for."""
        return self in (Outcome.CONVERGED, Outcome.REACHED_TIME)

    def __str__(self) -> str:
        return self.name
