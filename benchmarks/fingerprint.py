"""Every number of the problem catalogue in hexadecimal, to hold a change of layout to the bits it started from.

    python -m benchmarks.fingerprint before.json                            # write
    python -m benchmarks.fingerprint after.json --against before.json       # write, then list what differs
    python -m benchmarks.fingerprint some.json --against before.json --only "published,band"   # names that hold a word

Predictions by every solver that takes the problem, trajectories, penalties, small networks, error bands, laziness. A refusal
or a warning is part of the fingerprint: its text is stored.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats as st

import splinebias as sb
from tests import problems

PLACES = np.linspace(-2.0, 2.0, 17) + 0.01
SOLVERS = (sb.BandedSolver(), sb.DualSolver(), sb.KernelSolver(), sb.PowerSolver())
MORE = {
    "relu-power-2": sb.Problem(problems.SET_A, problems.LAWS["gaussian-bias"], sb.ReLUPower(2)),
    "relu-power-3-free": sb.Problem(problems.SET_A, problems.LAWS["uniform-bias"], sb.ReLUPower(3), affine="free"),
    "ntk-gaussian": sb.Problem(
        problems.SET_B, sb.Initialization(st.norm(), st.norm(), output=st.norm()), parameterization=sb.NTK()
    ),
    "joint": sb.Problem(problems.SET_B, sb.Initialization.joint(st.multivariate_normal([0.3, 0.1], [[1, 0.5], [0.5, 1]]))),
    "mixture": sb.Problem(
        problems.SET_B,
        sb.Initialization.mixture([0.4, 0.6], [problems.LAWS["gaussian"], problems.LAWS["one-sided"]]),
        sb.Abs(),
        sb.Scaled(sb.Power(3, quadratic=1)),
    ),
    "replicates": sb.Problem(
        sb.Dataset.from_replicates([0.1, 0.1, 0.4, -0.3, -0.3, 0.8], [1, 2, 0.5, -1, 0, 0.3]), problems.LAWS["laplace-bias"]
    ),
    "noisy-40": sb.Problem(
        problems.random_data(3, 40), problems.LAWS["gaussian-bias"], potential=sb.Scaled(sb.Power(4, quadratic=1))
    ),
}
PROBLEMS = {
    **{f"published {name}": case[0] for name, case in problems.PUBLISHED.items()},
    **problems.QUADRATIC_PROBLEMS,
    **problems.SCALED_PROBLEMS,
    **problems.RANDOM_WEIGHT_PROBLEMS,
    **MORE,
}


def main() -> None:
    """Write the fingerprint to the file named, and compare it with another if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", default="", help="words, separated by commas, of which an entry's name must hold one")
    options = parser.parse_args()
    found = fingerprint(options.only.split(","))
    options.out.write_text(json.dumps(found, indent=0), encoding="utf-8")
    if options.against is not None:
        before = json.loads(options.against.read_text(encoding="utf-8"))
        print_comparison({key: value for key, value in before.items() if _wanted(key, options.only.split(","))}, found)


def _wanted(name: str, words: Sequence[str]) -> bool:
    return any(word in name for word in words)


def fingerprint(words: Sequence[str] = ("",)) -> dict[str, list[str]]:
    """Name -> numbers in hexadecimal, or the words of a refusal."""
    found = {}
    for name, problem in PROBLEMS.items():
        for what, numbers in _tasks(name, problem):
            if not _wanted(key := f"{name} | {what}", words):
                continue
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                try:
                    values = [_text(value) for value in numbers()]
                except (sb.SplinebiasError, TypeError, ValueError) as refusal:
                    values = [type(refusal).__name__, str(refusal)]
            found[key] = values + [str(warning.message) for warning in heard]
    return found


def _tasks(name: str, problem: sb.Problem) -> Iterator[tuple[str, Callable[[], Iterator[Any]]]]:
    for solver in SOLVERS:
        yield type(solver).__name__, partial(_prediction, problem, solver)
    yield "trajectory", partial(_trajectory, problem)
    yield "band", partial(_band, problem)
    yield "laziness", partial(_laziness, problem)
    if not problem.scaled or "u4+u2" in name or name in MORE or "published" in name:
        yield "flow", partial(_training, problem, sb.MirrorFlow(max_steps=60))
        yield "descent", partial(_training, problem, sb.MirrorDescent(max_steps=200))
    if name in MORE or "published" in name:
        yield "stochastic", partial(_training, problem, sb.StochasticMirrorDescent(batch_size=2, max_steps=100))
        yield "ensemble", partial(_ensemble, problem)


def _prediction(problem: sb.Problem, solver: Any) -> Iterator[Any]:
    prediction = sb.predict(problem, solver)
    yield prediction.outcome
    yield from _function(prediction.function)
    yield prediction.penalty
    yield prediction.residual
    if prediction.multipliers is not None:
        yield from prediction.multipliers
    if isinstance(solver, sb.BandedSolver | sb.PowerSolver) or (problem.scaled and isinstance(solver, sb.DualSolver)):
        yield sb.penalty(prediction.function, problem)


def _trajectory(problem: sb.Problem) -> Iterator[Any]:
    path = sb.predict_path(problem, [0.5, 20.0])
    yield path.outcome
    yield from path.losses
    for function in path.functions:
        yield from _function(function)


def _band(problem: sb.Problem) -> Iterator[Any]:
    band = sb.error_band(problem, width=1000, interval=(-1.5, 1.5))
    yield from band.std(PLACES)
    yield from band.mean_shift(PLACES)
    yield band.expected_sup
    yield band.advice


def _laziness(problem: sb.Problem) -> Iterator[Any]:
    found = sb.laziness(problem, 1000)
    yield found.overall
    yield found.largest
    yield found.advice


def _training(problem: sb.Problem, method: Any) -> Iterator[Any]:
    yield from _run(problem, sb.train(problem, 24, seed=1, method=method))


def _ensemble(problem: sb.Problem) -> Iterator[Any]:
    for run in sb.train_ensemble(problem, 30, range(3), method=sb.MirrorFlow(max_steps=60)):
        yield from _run(problem, run)


def _run(problem: sb.Problem, run: sb.Training) -> Iterator[Any]:
    yield run.outcome
    yield run.advice
    yield from (run.loss, run.steps, run.time)
    yield from _function(run.function)
    yield sb.penalty(run.function, problem)


def _function(f: Any) -> Iterator[float]:
    yield from f(PLACES)
    yield from f(PLACES, 1)
    yield from f(PLACES, 2)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | sb.Outcome) else float(value).hex()


def print_comparison(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    """Each entry that is not the same bits, worst first, with its distance."""
    rows = []
    for key in sorted({*before, *after}):
        old, new = before.get(key, ["absent"]), after.get(key, ["absent"])
        if old != new:
            rows.append((_distance(old, new), key))
    for distance, key in sorted(rows, reverse=True):
        print(f"{distance:10.3g}  {key}")
        if math.isinf(distance):
            pairs = zip(before.get(key, []), after.get(key, []), strict=False)
            print(f"            {[pair for pair in pairs if pair[0] != pair[1]][:2]}")
    print(f"{len(rows)} of {len(after)} entries differ; the first column is the largest difference in an entry beside")
    print("the size of its numbers, in units of 2^-52 (inf: other words, or numbers where there were none)")


def _distance(old: list[str], new: list[str]) -> float:
    """Largest difference over the largest number of the same entry, in units of 2^-52; infinite where words differ."""
    if len(old) != len(new):
        return math.inf
    worst, numbers = (
        0.0,
        [(float.fromhex(a), float.fromhex(b)) for a, b in zip(old, new, strict=True) if _is_number(a) and _is_number(b)],
    )
    if any(a != b and not (_is_number(a) and _is_number(b)) for a, b in zip(old, new, strict=True)):
        return math.inf
    size = max((abs(a) for a, _ in numbers if math.isfinite(a)), default=0.0) or 1.0
    for a, b in numbers:
        if a != b and not (math.isnan(a) and math.isnan(b)):
            worst = max(worst, abs(a - b) / size * 2**52)
    return worst


def _is_number(text: str) -> bool:
    try:
        float.fromhex(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
