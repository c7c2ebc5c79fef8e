r"""Verdicts on Jin & Montúfar (JMLR 24(137), 2023) for several inputs: rate and constant, and what hidden weights add.

As in `jin_montufar`, keyword arguments other than `fast` are the theory that is put to the test.
"""

from __future__ import annotations

import numpy as np
import scipy.stats as st

from splinebias._array import Array
from splinebias.data import Points
from splinebias.finite_width.band import error_band
from splinebias.finite_width.several_inputs.band_of_points import PointsBand
from splinebias.initialization.initialization import Initialization
from splinebias.problem import Problem
from splinebias.studies.rates import fit_power
from splinebias.theorems.verdict import DERIVED, Hypothesis, Status, Verdict, equal
from splinebias.theorems.wide_networks import loss_reached, rate_and_constant
from splinebias.training.flow.flow import MirrorFlow

_SOURCE = "Jin & Montúfar 2023, several inputs"
_HALF_WAY = 0.25  # to the next half power of n
_PLACES = 200  # at which networks are compared
_X = np.array([(-0.8, -0.6, 0.1), (-0.7, 0.5, -0.4), (-0.1, -0.2, 0.6), (0.4, 0.3, -0.1), (0.7, -0.4, 0.3)])
_Y = np.array([0.2, -0.1, 0.3, 0.2, 0.1])
_INDEPENDENT = Hypothesis("networks are independent", Status.CHECKED, "one seed each, at every width")


def rate_in_plane(*, fast: bool, exponent: float = -0.5, scale: float = 1.0) -> tuple[Verdict, ...]:
    """For two inputs: the distance to the limit is c n^s, s = `exponent`, and c is `scale` times that of `error_band`."""
    return _rate(2, fast, exponent, scale)


def rate_in_space(*, fast: bool, exponent: float = -0.5, scale: float = 1.0) -> tuple[Verdict, ...]:
    """The same for three inputs."""
    return _rate(3, fast, exponent, scale)


def hidden_from_zero(*, fast: bool, exponent: float = -2.0) -> Verdict:
    """What training hidden weights too adds to networks whose output weights start at 0: n^s with s = `exponent`."""
    return _hidden(
        "JM hidden, a = 0",
        "networks whose output weights start at 0 end n^-2 from those that train their output layer alone",
        Problem(Points(_X[:, :2], _Y), _law(2, None)),
        MirrorFlow(1e-8),  # moving features are below the default tolerance
        6 if fast else 24,
        exponent,
    )


def hidden_from_random(*, fast: bool, exponent: float = -1.0) -> Verdict:
    """The same for output weights that start at N(0, 1/n)."""
    return _hidden(
        "JM hidden, a ~ N(0, 1/n)",
        "networks whose output weights start at N(0, 1/n) end n^-1 from those that train their output layer alone",
        Problem(Points(_X[:, :2], _Y / 10), _law(2, st.norm())),
        MirrorFlow(1e-6),
        12 if fast else 48,
        exponent,
    )


CLAIMS = (rate_in_plane, rate_in_space, hidden_from_zero, hidden_from_random)


def _law(inputs: int, output: object) -> Initialization:
    """w on the sphere, biases that reach all places at which networks are compared."""
    pair = Initialization.sphere(st.uniform(-2.5, 5), dim=inputs).pair
    return Initialization(pair=pair, output=output, antisymmetric=False)


def _rate(inputs: int, fast: bool, exponent: float, scale: float) -> tuple[Verdict, ...]:
    """The verdicts on rate and constant; largest errors are those at the places of the band."""
    from splinebias.training.ensemble import train_ensemble

    problem = Problem(Points(_X[:, :inputs], _Y / 10), _law(inputs, None))
    widths, count = (400, 1600, 6400), 16 if fast else 80
    assert isinstance(problem.data, Points)
    band = error_band(problem, widths[-1], interval=problem.data.box, draws=10_000)
    assert isinstance(band, PointsBand)
    limit = band.prediction.function(band.largest.points)
    runs = [train_ensemble(problem, n, _seeds(n, count), loss_tol=1e-14) for n in widths]
    errors = np.array([[np.abs(run.function(band.largest.points) - limit).max() for run in some] for some in runs])
    hypotheses = (
        loss_reached(run for some in runs for run in some),
        Hypothesis.tested(
            "the width is large enough for leading order",
            "PointsBand.advice",
            holds=not any(band.at_width(n).advice for n in widths),
        ),
        _INDEPENDENT,
    )
    return rate_and_constant(widths, errors, band, hypotheses, source=_SOURCE, exponent=exponent, scale=scale)


def _hidden(name: str, claim: str, problem: Problem, method: MirrorFlow, count: int, exponent: float) -> Verdict:
    """The verdict on the distance to the same networks with their hidden weights held, in closed form."""
    from splinebias.training.ensemble import train_ensemble

    widths, at = (400, 1600, 6400), _places(problem)
    runs = [run for n in widths for run in train_ensemble(problem, n, _seeds(n, count), method=method, loss_tol=1e-22)]
    distances = [np.abs(run.function(at) - run.start.linearized(problem, hidden=False)(at)).max() for run in runs]
    return Verdict(
        name,
        claim,
        f"{DERIVED}; {_SOURCE}, has the bound n^-1/2",
        (loss_reached(runs), _INDEPENDENT),
        f"exponent s of the distance, {count * len(widths)} networks, n = {', '.join(map(str, widths))}",
        *equal(exponent, fit_power(np.repeat(widths, count).astype(float), np.array(distances)).exponent.value, _HALF_WAY),
    )


def _seeds(width: int, count: int) -> range:
    """Seeds of a width alone: with those of another one, networks would share units."""
    return range(1000 * width, 1000 * width + count)


def _places(problem: Problem) -> Array:
    """Random points of the box of the data."""
    low, high = problem.default_box.T
    return np.random.default_rng(0).uniform(low, high, (_PLACES, len(low)))
