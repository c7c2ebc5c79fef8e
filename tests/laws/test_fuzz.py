"""Random problems: a prediction that says CONVERGED is what an independent referee finds; else it is refused, or says so.

`tests.fuzz` makes the problems, `tests.referee` judges. `python -m benchmarks.reliability` makes the table of
docs/reliability.md from the same.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from tests.fuzz import FAULTS, SEEDS, SLOW, UNSEEN, fuzz_problem, kind_of, tried
from tests.fuzz_kinds import KINDS
from tests.marks import nightly
from tests.problems import PUBLISHED, SET_A
from tests.referee import rule

GOAL = 1e-7  # of the larger of max |y| and |f|
FAST = (
    9, 13, 14, 18, 22, 31, 37, 47, 52, 53, 55, 56, 57, 61, 70, 71, 88, 94, 97, 101,
    106, 108, 110, 111, 114, 116, 120, 121, 126, 135, 137, 138, 142, 145, 149, 157, 171, 172, 173, 178,
    184, 199, 203, 215, 225, 229, 230, 237, 244, 247, 254, 256, 258, 259, 265, 273, 275, 276, 282, 291,
)  # fmt: skip


@pytest.mark.parametrize(
    "seed",
    [seed if seed in FAST else nightly(seed) for seed in SEEDS if (seed in FAST or seed % 3 == 0) and seed not in SLOW],
)
def test_what_says_converged_is_right(seed):
    trial = tried(seed)
    if trial.residual is None:
        assert trial.outcome in ("DataError", "CapabilityError", "SolveError")
        assert len(trial.words.split()) > 8
    elif trial.ruling is None:
        assert trial.outcome == "INACCURATE"
        assert math.isfinite(trial.residual) or seed in FAULTS
    else:
        assert trial.residual <= 1e-8
        assert trial.ruling.error <= GOAL
        assert trial.ruling.penalty_error <= GOAL
        if seed not in UNSEEN:  # a referee that sees nothing finds nothing wrong
            assert trial.ruling.blur <= 10 * GOAL
            assert trial.ruling.penalty_blur <= 10 * GOAL


def test_every_kind_is_there():
    kinds = [kind_of(seed) for seed in SEEDS]
    assert {kinds.count(kind) for kind in KINDS} == {12}
    assert {kind_of(seed) for seed in FAST} == set(KINDS)
    assert len(FAST) == len(set(FAST) & set(SEEDS)) == 60


def test_a_seed_is_a_problem_for_ever():
    one, other = (fuzz_problem(31)[1] for _ in range(2))
    assert one.describe() == other.describe()
    assert one.data == other.data


CASES = {
    "signs": PUBLISHED["A"][0],
    "scaled": PUBLISHED["B-u4"][0],
    "circle": sb.Problem(SET_A, sb.Initialization.unit_circle(), sb.LeakyReLU(0.3), affine="free"),
    "bias": sb.Problem(SET_A, sb.Initialization.constant_bias(0.7, st.norm())),
    "power": sb.Problem(SET_A, sb.Initialization.rademacher(st.norm()), sb.ReLUPower(2)),
    "both": sb.Problem(
        SET_A, sb.Initialization(sb.Rademacher(), st.uniform(-2, 4), output=st.norm()), parameterization=sb.NTK()
    ),
    "weights": sb.Problem(sb.Dataset([-1, 0.3, 1], [0.2, 1, 0]), sb.Initialization.gaussian()),
}


class Off:
    """A function that is off between two points, by 1e-5 of the larger of max |y| and |f|."""

    def __init__(self, found: sb.Prediction, lo: float, hi: float) -> None:
        self.function, self.size, self.lo, self.hi = found.function, np.abs(found.problem.data.y).max(), lo, hi

    def __call__(self, x, nu=0):
        value, inside = self.function(x, nu), (np.asarray(x) > self.lo) & (np.asarray(x) < self.hi)
        return value + 1e-5 * np.maximum(self.size, np.abs(value)) * inside


@pytest.mark.parametrize("name", [nightly(name) if name == "weights" else name for name in CASES])
def test_the_referee_refuses_what_is_slightly_wrong(name):
    found = sb.predict(CASES[name])
    right = rule(found)
    assert right.error < 1e-10
    assert right.settled
    x = found.problem.data.x
    for lo, hi in ((x[0], x[1]), (x[-1], math.inf), (-math.inf, x[0])):
        assert rule(replace(found, function=Off(found, lo, hi))).error > 50 * GOAL
    assert rule(replace(found, penalty=found.penalty * (1 + 1e-5))).penalty_error > 50 * GOAL


@pytest.mark.parametrize("name", [nightly(name) if name == "weights" else name for name in CASES])
def test_the_referee_refuses_the_answer_to_another_problem(name):
    """What a solver with a slightly wrong law, or with slightly wrong data, would have said."""
    problem = CASES[name]
    moved = problem.data.y * (1 + 1e-5 * np.cos(np.arange(problem.data.size)))
    other = sb.predict(replace(problem, data=sb.Dataset(problem.data.x, moved)))
    assert rule(replace(other, problem=problem)).error > 10 * GOAL
    law = sb.Initialization.mixture(
        [1 - 1e-3, 1e-3], [replace(problem.initialization, output=None), sb.Initialization.gaussian(1, 3)]
    )
    law = replace(law, output=problem.initialization.output)
    other = sb.predict(replace(problem, initialization=law))
    assert rule(replace(other, problem=problem)).error > 10 * GOAL


@pytest.mark.nightly
@pytest.mark.parametrize("far", [1036.0, 2006.0])
def test_the_referee_knows_values_far_from_the_origin(far, monkeypatch):
    """The Gaussian law's closed-form kernel with 60 digits, for data at 1000 ... 1003."""
    known = {1036.0: -20.7743613436, 2006.0: -640.540447}
    data = sb.Dataset([1000, 1001, 1002, 1003], [1.07, 1.6, 1, 0.31])
    monkeypatch.setattr("tests.referee.places", lambda x: np.array([far]))
    ruling = rule(sb.predict(sb.Problem(data, sb.Initialization.gaussian())))
    assert ruling.value[0] == pytest.approx(known[far], rel=1e-9)
    assert ruling.error < 1e-9


def test_the_referee_knows_a_tail_without_memory(monkeypatch):
    """Exponential tails: the function of data at 25 is that of data at 12, where nothing is small."""
    monkeypatch.setattr("tests.referee.places", lambda x: np.array([x[0] + 0.2]))
    init, x = sb.Initialization(sb.Constant(-1), st.laplace()), np.array([0, 0.05, 0.08, 0.1])
    for start in (12, 25):
        ruling = rule(sb.predict(sb.Problem(sb.Dataset(start + x, [1, 0, 0.5, 0.2]), init)))
        assert ruling.value[0] == pytest.approx(-1.86054, abs=1e-5)
