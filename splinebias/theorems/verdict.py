"""A verdict: a claim, its hypotheses, the number that it predicts, the number that was measured, and whether they agree."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splinebias._result import Printed

DERIVED = "derived here"  # the source of what no paper states


class Status(enum.Enum):
    """What is known of a hypothesis in the case at hand."""

    CHECKED = "checked"
    NOT_CHECKED = "not checked"
    VIOLATED = "violated"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Hypothesis:
    """Something that a claim presupposes.

    Parameters
    ----------
    statement : str
        What has to hold.
    status : Status
        Whether it does.
    by : str
        What says so, or why nothing does.
    """

    statement: str
    status: Status
    by: str

    @classmethod
    def tested(cls, statement: str, by: str, *, holds: bool) -> Hypothesis:
        """A hypothesis that was looked at, by what is named, with the result."""
        return cls(statement, Status.CHECKED if holds else Status.VIOLATED, by)

    def __str__(self) -> str:
        return f"{self.statement} [{self.status}: {self.by}]"


class Relation(enum.Enum):
    """How a measured number has to stand to the predicted one."""

    EQUAL = "="
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, measured: float, predicted: float, tolerance: float) -> bool:
        """Whether `measured` stands so to `predicted`, up to an absolute `tolerance`; never if one is not finite."""
        if not all(map(math.isfinite, (measured, predicted, tolerance))):
            return False
        above = self is not Relation.AT_LEAST and measured > predicted + tolerance
        below = self is not Relation.AT_MOST and measured < predicted - tolerance
        return not (above or below)


Numbers = tuple[float, float, float, Relation]
"""The last four fields of a verdict: predicted, measured, tolerance, relation."""


def equal(predicted: float, measured: float, tolerance: float) -> Numbers:
    """The numbers of a claim that `measured` is `predicted`, to an absolute `tolerance`."""
    return predicted, measured, tolerance, Relation.EQUAL


def at_most(predicted: float, measured: float, tolerance: float = 0.0) -> Numbers:
    """The numbers of a claim that `measured` is at most `predicted`, and `tolerance` more."""
    return predicted, measured, tolerance, Relation.AT_MOST


def at_least(predicted: float, measured: float, tolerance: float = 0.0) -> Numbers:
    """The numbers of a claim that `measured` is at least `predicted`, less `tolerance`."""
    return predicted, measured, tolerance, Relation.AT_LEAST


@dataclass(frozen=True)
class Verdict(Printed):
    """One claim, put to the test.

    Parameters
    ----------
    name : str
        The paper's abbreviation and one word for the claim, such as "JM rate".
    claim : str
        What is claimed, in one sentence.
    source : str
        Where it was shown; "derived here" where no paper states it, "from memory" where its wording was not compared.
    hypotheses : tuple of Hypothesis
        What it presupposes.
    quantity : str
        Which number is predicted and measured, with its unit where it has one.
    predicted, measured : float
        That number, by the theory and of networks.
    tolerance : float
        Absolute. How far the two may be apart; it comes from theory or is part of the claim, not from the measurement.
    relation : Relation
        EQUAL, or AT_MOST or AT_LEAST for claims that are bounds: measured <= predicted + tolerance.

    Examples
    --------
    >>> import splinebias as sb
    >>> from splinebias.theorems.verdict import Hypothesis, Status
    >>> lazy = Hypothesis("features stay", Status.NOT_CHECKED, "nothing was measured")
    >>> rate = sb.Verdict("X rate", "errors fall like n^-1/2", "a paper", (lazy,), "exponent", -0.5, -0.46, 0.05)
    >>> rate.agreed, rate.applies
    (True, True)
    """

    name: str
    claim: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    quantity: str
    predicted: float
    measured: float
    tolerance: float
    relation: Relation = Relation.EQUAL

    @property
    def agreed(self) -> bool:
        """Whether the measured number stands to the predicted one as claimed."""
        return self.relation.holds(self.measured, self.predicted, self.tolerance)

    @property
    def applies(self) -> bool:
        """Whether no hypothesis was found violated: otherwise the claim says nothing about the case, agreed or not."""
        return all(hypothesis.status is not Status.VIOLATED for hypothesis in self.hypotheses)

    def to_dict(self) -> dict[str, Any]:
        """Everything as texts, numbers and booleans, for JSON and tables."""
        return {
            "name": self.name,
            "claim": self.claim,
            "source": self.source,
            "hypotheses": [{"statement": h.statement, "status": str(h.status), "by": h.by} for h in self.hypotheses],
            "quantity": self.quantity,
            "predicted": self.predicted,
            "measured": self.measured,
            "tolerance": self.tolerance,
            "relation": self.relation.value,
            "applies": self.applies,
            "agreed": self.agreed,
        }

    def __repr__(self) -> str:
        answer = ("agreed" if self.agreed else "DISAGREED") + ("" if self.applies else ", a hypothesis is violated")
        relation = f"{self.measured:.4g} {self.relation.value} {self.predicted:.4g}"
        return f"Verdict({self.name}: {answer}, {relation} within {self.tolerance:.2g})"

    def __str__(self) -> str:
        answer = "agreed" if self.agreed else "DISAGREED"
        if not self.applies:
            answer += " (a hypothesis is violated)"
        return (
            f"{self.name}: {answer}. {self.quantity}: measured {self.measured:.4g} {self.relation.value} predicted "
            f"{self.predicted:.4g}, tolerance {self.tolerance:.2g}. {self.claim} ({self.source})"
        )


Claim = Callable[..., Verdict | tuple[Verdict, ...]]
"""What puts a claim to the test: a function of `fast`, whose other arguments make its prediction a wrong one."""
