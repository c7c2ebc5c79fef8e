"""Data far out in the tail of a law: what they cannot see of it must not decide how much of the tail counts."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb

PLACES = np.array([0.0, 0.05, 0.08, 0.1])
VALUES = [1.0, 0.0, 0.5, 0.2]
QUERY = np.array([-0.3, 0.02, 0.09, 0.2, 3.0])


def at_offset(offset: float, weight: float, potential: sb.Potential, activation: object, affine: str) -> np.ndarray:
    """The prediction for the data moved by `offset`, seen from there; mirrored for a positive weight."""
    sign = -np.sign(weight)
    data = sb.Dataset(sign * (offset + PLACES), VALUES)
    init = sb.Initialization(sb.Constant(weight), st.laplace())
    found = sb.predict(sb.Problem(data, init, activation, potential, affine=affine))
    assert found.outcome is sb.Outcome.CONVERGED
    return found.function(sign * (offset + QUERY))


@pytest.mark.parametrize("weight", [-1.0, 1.0])
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize(
    ("potential", "activation"),
    [
        (sb.Quadratic(), sb.ReLU()),
        (sb.Scaled(sb.Power(3)), sb.ReLU()),
        (sb.Scaled(sb.Power(1.5)), sb.ReLU()),
        (sb.Quadratic(), sb.ReLUPower(2)),
    ],
    ids=str,
)
def test_an_exponential_tail_has_no_memory(potential, activation, weight, affine):
    r"""Units with w < 0 that act on data at x > 0 have breakpoints of density :math:`e^{-c}` at c > x: moving the data only

    scales it, which changes neither quadratic limits nor those of pure powers.
    """
    near = at_offset(12, weight, potential, activation, affine)
    for offset in (25, 60, 300):
        found = at_offset(offset, weight, potential, activation, affine)
        np.testing.assert_allclose(found, near, rtol=0, atol=1e-9 * np.abs(near).max())


def test_the_value_far_out():
    """The number that was 8.8e-15 when the tail was cut off relative to the whole law."""
    assert at_offset(25, -1.0, sb.Quadratic(), sb.ReLU(), "network")[3] == pytest.approx(-1.86054378914, abs=1e-10)


@pytest.mark.parametrize("solver", [sb.BandedSolver(), sb.KernelSolver()], ids=lambda solver: type(solver).__name__)
def test_all_solvers_see_the_tail(solver):
    data = sb.Dataset(25 + PLACES, VALUES)
    problem = sb.Problem(data, sb.Initialization(sb.Constant(-1), st.laplace()))
    assert sb.predict(problem, solver).function(25.2) == pytest.approx(-1.86054, abs=1e-4)


def closed_form(x: np.ndarray, y: list[float], query: np.ndarray) -> np.ndarray:
    """The limit for W, B ~ N(0, 1) and ReLU from its arc-cosine kernel, with 60 digits."""
    with mpmath.workdps(60):
        ones = [mpmath.mpf(float(value)) for value in x]

        def kernel(a, b):
            size, angle = mpmath.sqrt((1 + a * a) * (1 + b * b)), mpmath.atan2(abs(a - b), 1 + a * b)
            return size * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / (2 * mpmath.pi)

        gram = mpmath.matrix([[kernel(a, b) for b in ones] for a in ones])
        weights = mpmath.lu_solve(gram, mpmath.matrix([mpmath.mpf(value) for value in y]))
        values = [sum(w * kernel(mpmath.mpf(float(q)), b) for w, b in zip(weights, ones, strict=True)) for q in query]
        return np.array([float(value) for value in values])


@pytest.mark.parametrize("offset", [1.0, 30.0, 300.0, 1e3, 1e4, 1e5, -1e3, -1e5])
def test_extrapolation_of_data_far_from_the_origin(offset):
    """Slopes beyond the data come from tails of which the law as a whole has next to nothing."""
    x, y = offset + np.arange(4.0), [1.07, 1.6, 1.0, 0.31]
    query = offset + np.array([-1000.0, -3.0, 0.5, 4.0, 36.0, 1006.0])
    found = sb.predict(sb.Problem(sb.Dataset(x, y), sb.Initialization.gaussian()))
    assert found.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(found.function(query), closed_form(x, y, query), rtol=1e-10)
