"""Where breakpoints cross or slide along samples: ends of the flow beside ends of small-step descent, case by case.

Narrow networks leave the lazy regime. Their breakpoints reach samples, where the field jumps; descent then chatters around
the sample in steps of size O(learning rate), and the flow slides along it. Both have the same limit of small steps, so

- each case is trained by `MirrorFlow` and by `MirrorDescent` from the same start, and the two functions are compared on
  [-1.5, 1.5]: at their ends, or at the time that descent has reached after `max_steps`;
- each case further apart than `limit` is run again by descent at a quarter of the rate and by the flow at a hundredth of its
  tolerance, and the cause is read off the distances.

Run ``python -m benchmarks.survey_sliding`` (some ten minutes) in the root folder; `--widths 50 --sets 4` for less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

import splinebias as sb
from tests.problems import SET_A, SET_B, UNIFORM

INTERVAL = (-1.5, 1.5)
ON_SAMPLE = 1e-6  # the flow lets go of units in its last steps, when nothing drives them any more


@dataclass(frozen=True)
class Config:
    """What to survey.

    Parameters
    ----------
    widths : tuple of int
        Widths n.
    sets : int
        Random data sets of 5 to 10 points, after the two of Liang & Montúfar.
    max_steps : int
        Steps after which descent is given up and the comparison made at the time it has reached.
    limit : float
        Distance above which a case is looked into.
    jobs : int
        Processes.
    """

    widths: tuple[int, ...] = (50, 150, 500)
    sets: int = 20
    max_steps: int = 100_000
    limit: float = 1e-3
    jobs: int = 1


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes
    ----------
    name, width : str, int
        Problem and width.
    at_end : bool
        Whether descent converged, so that ends are compared.
    distance : float
        Sup-distance of flow and descent.
    flow_steps, descent_steps : int
        Steps of either.
    on_samples : int
        Units of the flow whose breakpoint sits on a sample.
    cause : str
        Of a distance above the limit; empty below.
    """

    name: str
    width: int
    at_end: bool
    distance: float
    flow_steps: int
    descent_steps: int
    on_samples: int
    cause: str


def problems(sets: int) -> dict[str, sb.Problem]:
    """LM's sets as they use them, and random ones with abscissae at least 0.05 apart."""
    scaled = sb.Scaled(sb.Power(3, quadratic=1))
    found = {
        "A relu u^2": sb.Problem(SET_A, UNIFORM),
        "B relu u^2": sb.Problem(SET_B, UNIFORM),
        "B abs u^2": sb.Problem(SET_B, UNIFORM, sb.Abs()),
        "B abs scaled |u|^3+u^2": sb.Problem(SET_B, UNIFORM, sb.Abs(), scaled),
    }
    for number in range(sets):
        found[f"random {number}"] = sb.Problem(random_set(number), UNIFORM)
    return found


def random_set(number: int) -> sb.Dataset:
    """5 to 10 points in (-1, 1), ordinates in (-0.3, 0.3)."""
    rng = np.random.default_rng(number)
    size = int(rng.integers(5, 11))
    x = np.sort(rng.uniform(-1, 1, size))
    while np.diff(x).min() < 0.05:
        x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, rng.uniform(-0.3, 0.3, size))


def flow_beside(problem: sb.Problem, width: int, descent: sb.Training, rtol: float = 1e-4) -> sb.Training:
    """The flow to the loss that `descent` converged to, or to the time that it reached."""
    if descent.outcome is sb.Outcome.CONVERGED:
        return sb.train(problem, width, method=sb.MirrorFlow(rtol), progress=False)
    return sb.train(problem, width, method=sb.MirrorFlow(rtol, time=descent.time), loss_tol=1e-30, progress=False)


def distance(one: sb.Training, other: sb.Training) -> float:
    """Sup-distance of the two functions."""
    return sb.compare(one.function, other.function, INTERVAL).sup


def activity(run: sb.Training) -> np.ndarray:
    """Which unit is active at which sample, shape (M, n)."""
    x = run.problem.data.x[:, None]
    return x * run.network.w.numpy() + run.network.b.numpy() > 0


def cause_of(problem: sb.Problem, flow: sb.Training, descent: sb.Training, config: Config) -> str:
    """Why `flow` and `descent` are apart: distances of finer runs of either, and what became of the units."""
    rate, width = descent.stats["learning_rate"], flow.width
    at_end = descent.outcome is sb.Outcome.CONVERGED
    if at_end:
        method = sb.MirrorDescent(rate / 4, max_steps=5 * config.max_steps)
    else:
        method = sb.MirrorDescent(rate / 4, max_steps=round(descent.time / (width * rate / 4)))
    fine = sb.train(problem, width, method=method, loss_tol=1e-12 if at_end else 1e-30, progress=False)
    tight = flow_beside(problem, width, fine, rtol=1e-6)
    gaps = {"flow": distance(flow_beside(problem, width, fine), fine), "finer flow": distance(tight, fine)}
    numbers = f"to descent at rate/4: flow {gaps['flow']:.1e}, finer flow {gaps['finer flow']:.1e}; " + (
        f"the two descents {distance(descent, fine):.1e}"
    )
    dead = {name: int((~activity(run).any(axis=0)).sum()) for name, run in (("flow", flow), ("descent", descent))}
    if gaps["flow"] <= config.limit:
        return f"descent not converged in its rate ({numbers})"
    if gaps["finer flow"] <= config.limit:
        return f"flow not converged in its tolerance ({numbers})"
    if dead["flow"] != dead["descent"]:
        return f"dead units: {dead['flow']} in the flow, {dead['descent']} in descent ({numbers})"
    return f"sliding: {on_samples(flow)} units on samples ({numbers})"


def on_samples(run: sb.Training) -> int:
    """Number of units whose breakpoint sits on a sample."""
    w, b = run.network.w.numpy(), run.network.b.numpy()
    gap = np.abs(np.where(w == 0, np.inf, -b / np.where(w == 0, 1, w))[:, None] - run.problem.data.x).min(axis=1)
    return int((gap < ON_SAMPLE).sum())


def compare_one(name: str, problem: sb.Problem, width: int, config: Config) -> Case:
    """One case, with its cause if the two are far apart."""
    descent = sb.train(problem, width, method=sb.MirrorDescent(max_steps=config.max_steps), progress=False)
    flow = flow_beside(problem, width, descent)
    gap = distance(flow, descent)
    cause = cause_of(problem, flow, descent, config) if gap > config.limit else ""
    at_end = descent.outcome is sb.Outcome.CONVERGED
    return Case(name, width, at_end, gap, flow.steps, descent.steps, on_samples(flow), cause)


def survey(config: Config) -> Iterator[Case]:
    """All cases, as they are done."""
    tasks = [(name, problem, width) for width in config.widths for name, problem in problems(config.sets).items()]
    cases: Iterator[Case] = Parallel(n_jobs=config.jobs, return_as="generator_unordered")(
        delayed(compare_one)(*task, config) for task in tasks
    )
    yield from cases


def summary(cases: list[Case], config: Config) -> str:
    """Median and maximum per width, and every case above the limit with its cause."""
    lines = ["| width | cases | descent converged | median | maximum | above the limit |", "|---|---|---|---|---|---|"]
    for width in config.widths:
        gaps = [case.distance for case in cases if case.width == width]
        ended, above = (
            sum(flags) for flags in zip(*((c.at_end, bool(c.cause)) for c in cases if c.width == width), strict=True)
        )
        lines.append(f"| {width} | {len(gaps)} | {ended} | {np.median(gaps):.1e} | {max(gaps):.1e} | {above} |")
    lines += ["", f"Cases above {config.limit:g}:", "", "| case | width | distance | cause |", "|---|---|---|---|"]
    lines += [f"| {c.name} | {c.width} | {c.distance:.1e} | {c.cause} |" for c in sorted(cases, key=str) if c.cause]
    return "\n".join(lines)


def main(config: Config) -> list[Case]:
    """Run the survey, print each case as it is done, and the summary."""
    cases = []
    for case in survey(config):
        where = "end" if case.at_end else "same time"
        print(
            f"{case.name:>24} n = {case.width:<4} {where:>9}: {case.distance:.1e}; steps {case.flow_steps} and "
            f"{case.descent_steps}; {case.on_samples} units on samples {case.cause}",
            flush=True,
        )
        cases.append(case)
    print(summary(cases, config))
    return cases


def parse(arguments: list[str]) -> Config:
    """The settings that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--widths", type=int, nargs="+", default=Config.widths)
    parser.add_argument("--sets", type=int, default=Config.sets)
    parser.add_argument("--max-steps", type=int, default=Config.max_steps)
    parser.add_argument("--jobs", type=int, default=Config.jobs)
    found = parser.parse_args(arguments)
    return Config(tuple(found.widths), found.sets, found.max_steps, jobs=found.jobs)


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
