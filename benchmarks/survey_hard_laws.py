"""Laws and potentials that take longest: how predictions of them end, in seconds of the processor.

    python -m benchmarks.survey_hard_laws                          # every case, printed as it is done
    python -m benchmarks.survey_hard_laws --only "histograms;709"  # cases whose name holds one of these
    python -m benchmarks.survey_hard_laws --referee                # beside the referee of the random problems: minutes

Laws that are a density only, histograms, no scale families with exponentials, data far out in exponential tails, biases that
have hardly a moment. A case is a name and a function that makes its problem; the construction of laws counts as well.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.stats as st

import splinebias as sb
from benchmarks._timing import duration
from tests.fuzz import fuzz_problem

POTENTIALS = {"hypentropy": sb.Hypentropy(1.0), "u1.5": sb.Power(1.5), "u4+u2": sb.Power(4, quadratic=1)}
PAIRS = {  # no scale families
    "normal x uniform": (st.norm(), st.uniform(-1, 2)),
    "Laplace x t": (st.laplace(), st.t(5)),
    "uniform x Laplace": (st.uniform(-1, 2), st.laplace()),
    "t x normal": (st.t(5), st.norm()),
    "normal x logistic": (st.norm(), st.logistic()),
    "Laplaces off zero": (st.laplace(0.3), st.laplace(-0.2)),
}
SIZES = (5, 20, 100)


class Secant(st.rv_continuous):
    """A hyperbolic secant, of which only the density is given."""

    def _pdf(self, x: Any) -> Any:
        return 2 / np.pi * np.exp(-np.abs(x)) / (1 + np.exp(-2 * np.abs(x)))


class RoundTail:
    r"""A joint law of one's own, :math:`p \propto e^{-\sqrt{1 + w^2 + b^2}}`, which says nothing of its radius."""

    def pdf(self, points: Any) -> Any:
        return np.exp(1 - np.sqrt(1 + (np.asarray(points) ** 2).sum(axis=-1))) / (4 * np.pi)

    def rvs(self, size: int, random_state: np.random.Generator) -> Any:
        """By the law of s = sqrt(1 + r^2) - 1: density (1 + s) e^{-s}/2, half of it exponential, half a gamma law."""
        s = random_state.gamma(random_state.integers(1, 3, size))
        r, turn = np.sqrt((1 + s) ** 2 - 1), random_state.uniform(0, 2 * np.pi, size)
        return np.stack([r * np.cos(turn), r * np.sin(turn)], axis=-1)


class LoggedRoundTail(RoundTail):
    """The same, with its logarithm."""

    def logpdf(self, points: Any) -> Any:
        """Also where the density underflows."""
        return 1 - np.sqrt(1 + (np.asarray(points) ** 2).sum(axis=-1)) - np.log(4 * np.pi)


class Trial(NamedTuple):
    """What became of a case: the name of its outcome or of the error that refused it, and the referee's words, if asked."""

    name: str
    outcome: str
    seconds: float
    residual: float
    words: str = ""


def data(size: int, low: float = -1.0, high: float = 1.0) -> sb.Dataset:
    """Noisy points on an interval."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(low, high, size))
    return sb.Dataset(x, np.sin(8 * (x - low) / (high - low) - 4) + 0.1 * rng.normal(size=size))


def histogram(seed: int) -> Any:
    """Twenty bins."""
    return st.rv_histogram(np.histogram(np.random.default_rng(seed).normal(size=2000), bins=20), density=False)


def scaled(law: Callable[[], sb.Initialization], of: sb.Dataset, potential: sb.Potential, **more: Any) -> sb.Problem:
    """A problem with ReLU, unless `more` says otherwise."""
    return sb.Problem(of, law(), potential=sb.Scaled(potential), **more)


def pair(weight: Callable[[], Any], bias: Callable[[], Any]) -> sb.Initialization:
    """Independent laws, made now."""
    return sb.Initialization(weight(), bias())


def laws() -> dict[str, Callable[[], sb.Initialization]]:
    """Laws that are densities only, and histograms."""
    own, normal = Secant(name="secant"), st.norm
    return {
        "own joint": lambda: sb.Initialization.joint(RoundTail()),
        "own joint with logpdf": lambda: sb.Initialization.joint(LoggedRoundTail()),
        "own x normal": partial(pair, own, normal),
        "normal x own": partial(pair, normal, own),
        "own x own": partial(pair, own, own),
        "histograms": partial(pair, partial(histogram, 1), partial(histogram, 2)),
        "histogram x normal": partial(pair, partial(histogram, 1), normal),
    }


def cases() -> Iterator[tuple[str, Callable[[], sb.Problem]]]:
    """All of them."""
    for (law, of), (name, phi), size in itertools.product(laws().items(), POTENTIALS.items(), (6, 20)):
        yield f"{law}, {name}, {size} points", partial(scaled, of, data(size), phi)
    for (law, of), (name, phi), size in itertools.product(PAIRS.items(), POTENTIALS.items(), SIZES):
        if law == "Laplace x t" and name == "hypentropy":
            yield (
                f"{law}, {name}, free, {size} points",
                partial(scaled, partial(sb.Initialization, *of), data(size), phi, affine="free"),
            )
        else:
            yield f"{law}, {name}, {size} points", partial(scaled, partial(sb.Initialization, *of), data(size), phi)
    off = partial(sb.Initialization, st.norm(2, 1), st.norm())
    for p in (1.02, 1.1):
        yield f"weights off zero, |u|^{p}, 20 points", partial(scaled, off, data(20), sb.Power(p))
    for law, weight in (("one |w|", sb.Rademacher()), ("Laplaces", st.laplace()), ("normal x Laplace", st.norm())):
        for beta in (1.0, 1e-3):
            yield (
                f"{law}, far out, hypentropy {beta:g}",
                partial(scaled, partial(sb.Initialization, weight, st.laplace()), data(8, 260, 330), sb.Hypentropy(beta)),
            )
    for law, weight in (("normal", st.norm()), ("Laplace", st.laplace()), ("uniform", st.uniform(-1, 2))):
        for name, phi in POTENTIALS.items():
            if name != "u4+u2":
                yield (
                    f"{law} x t(2.2), {name}, free",
                    partial(scaled, partial(sb.Initialization, weight, st.t(2.2)), data(6), phi, affine="free"),
                )
    for name, phi in POTENTIALS.items():
        yield (
            f"Laplaces, x from 25, {name}",
            partial(scaled, partial(sb.Initialization, st.laplace(), st.laplace()), data(6, 25, 26), phi),
        )
    for seed in (302, 331, 727, 956, 709):
        yield f"seed {seed}", partial(_of_seed, seed)


def _of_seed(seed: int) -> sb.Problem:
    return fuzz_problem(seed)[1]


def tried(name: str, make: Callable[[], sb.Problem], *, referee: bool = False) -> Trial:
    """Predict the problem of a case."""
    began = time.process_time()
    try:
        prediction = sb.predict(make())
    except sb.SplinebiasError as refusal:
        return Trial(name, type(refusal).__name__, time.process_time() - began, np.nan, str(refusal))
    seconds, words = (
        time.process_time() - began,
        str({k: prediction.stats.get(k) for k in ("iterations", "refinements", "cells")}),
    )
    if referee:
        from tests.referee import rule

        ruling = rule(prediction)
        words = f"off by {ruling.error:.0e} beyond {ruling.blur:.0e}, penalty {ruling.penalty_error:.0e}"
    return Trial(name, prediction.outcome.name, seconds, prediction.residual, words)


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the cases that `arguments` ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="what names must hold one of, separated by semicolons")
    parser.add_argument("--referee", action="store_true", help="ask the referee")
    options = parser.parse_args(arguments)
    warm()
    for name, make in cases():
        if any(word in name for word in options.only.split(";")):
            trial = tried(name, make, referee=options.referee)
            print(
                f"{trial.name} | {trial.outcome} | {duration(trial.seconds)} | {trial.residual:.0e} | {trial.words}",
                flush=True,
            )


def warm() -> None:
    """Import what predictions import, so that no case pays for it."""
    tried("", partial(scaled, sb.Initialization.gaussian, data(5), sb.Hypentropy(1.0)))


if __name__ == "__main__":
    main()
