"""Random problems by their seed, of every kind that was once answered wrongly, and of many that were not.

Seeds 0, 1, ... go through the kinds in turn: of the first 300 each kind has twelve. A seed is a problem for ever; kinds are
added at the end of a new cycle, not in between.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

import splinebias as sb
from tests.fuzz_kinds import KINDS
from tests.referee import Ruling, rule

SEEDS = range(300)
SLOW: dict[int, str] = {}  # seeds that take more than half a minute, which are left out, and why
UNSEEN = {  # seeds of which the referee cannot tell, and why
    34: "|u|^20: nearly a jump at each zero of the dual function, and multipliers from 1e167 to 1e177",
    47: "points next to each other: f is 1e9 times max |y|, more than rounded multipliers can say",
    157: "points next to each other: f is 1e10 times max |y|, more than rounded multipliers can say",
    45: "multipliers from 1e4 to 1e20, of data that lie where the law has next to no neurons",
    138: "data on a line: a penalty of 1e-32, which is the rounding of the data",
    284: "|u|^20: nearly a jump at each zero of the dual function",
}
FAULTS: dict[int, str] = {}  # seeds of which something is wrong that is known, and what


def kind_of(seed: int) -> str:
    """The kind of a seed."""
    return list(KINDS)[seed % len(KINDS)]


def fuzz_problem(seed: int) -> tuple[str, sb.Problem]:
    """The kind of a seed, and its problem."""
    kind = kind_of(seed)
    return kind, KINDS[kind](np.random.default_rng([seed, 20]))


class Trial(NamedTuple):
    """What became of a problem: the name of its `outcome`, or that of the error that refused it, whose `words` follow.

    The `residual` and the misfit and bound of the second `opinion` are None without a prediction, the `ruling` of the
    referee without one that is CONVERGED.
    """

    seed: int
    kind: str
    outcome: str
    words: str
    seconds: float
    residual: float | None = None
    opinion: tuple[float, float] | None = None
    ruling: Ruling | None = None


def tried(seed: int) -> Trial:
    """Predict the problem of a seed, and ask the referee if that says CONVERGED."""
    kind, began = kind_of(seed), time.process_time()
    try:
        problem = fuzz_problem(seed)[1]
        prediction = sb.predict(problem)
    except sb.SplinebiasError as refusal:  # by a part of the problem, or by what is asked of it
        return Trial(seed, kind, type(refusal).__name__, str(refusal), time.process_time() - began)
    trial = Trial(
        seed, kind, prediction.outcome.name, problem.describe(), time.process_time() - began, prediction.residual,
        (prediction.stats["second_opinion"], prediction.stats["second_opinion_bound"]),
    )  # fmt: skip
    return trial._replace(ruling=rule(prediction)) if prediction.outcome is sb.Outcome.CONVERGED else trial
