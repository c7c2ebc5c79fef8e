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


def arc_cosine(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """The kernel of ReLU for W, B ~ N(0, 1)."""
    size, angle = mpmath.sqrt((1 + a * a) * (1 + b * b)), mpmath.atan2(abs(a - b), 1 + a * b)
    return size * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / (2 * mpmath.pi)


def uniform_kernel(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    r"""The kernel of ReLU for W, B ~ U(-1, 1) and a, b > 1: units by sides, :math:`\zeta = \min(1, 1/|c|)^4/16` each."""

    def moments(low, high):  # of zeta, moments 0, 1, 2
        inner = lambda u, v: [(v ** (k + 1) - u ** (k + 1)) / (k + 1) for k in range(3)]  # noqa: E731
        outer = lambda u, v: [(v ** (k - 3) - u ** (k - 3)) / (k - 3) for k in range(3)]  # noqa: E731
        far = lambda sign: [sign**k * mpmath.mpf(1) / (3 - k) for k in range(3)]  # noqa: E731
        parts = []
        if low == -mpmath.inf:
            parts += [far(-1), inner(mpmath.mpf(-1), mpmath.mpf(1)), outer(mpmath.mpf(1), high)]
        else:
            parts += [[-(low ** (k - 3)) / (k - 3) for k in range(3)]]
        return [sum(part[k] for part in parts) / 16 for k in range(3)]

    low, high = min(a, b), max(a, b)
    total = mpmath.mpf(0)
    for zero, one, two in (moments(-mpmath.inf, low), moments(high, mpmath.inf)):
        total += a * b * zero - (a + b) * one + two
    return total


def closed_form(x: np.ndarray, y: list[float], query: np.ndarray, kernel=arc_cosine, *, free: bool = False) -> np.ndarray:
    """The limit from a kernel, with 200 digits; with a free affine part, lines cost nothing."""
    with mpmath.workdps(200):
        ones, extra = [mpmath.mpf(float(value)) for value in x], 2 if free else 0
        size = len(ones)
        gram = mpmath.zeros(size + extra)
        for i, a in enumerate(ones):
            for j, b in enumerate(ones):
                gram[i, j] = kernel(a, b)
            for k in range(extra):
                gram[i, size + k] = gram[size + k, i] = a**k
        found = mpmath.lu_solve(gram, mpmath.matrix([*map(mpmath.mpf, y), *[0] * extra]))
        values = []
        for q in map(mpmath.mpf, query.tolist()):
            line = sum(found[size + k] * q**k for k in range(extra))
            values.append(float(line + sum(found[i] * kernel(q, b) for i, b in enumerate(ones))))
        return np.array(values)


Y = [1.07, 1.6, 1.0, 0.31]


@pytest.mark.parametrize("offset", [1.0, 30.0, 300.0, 1e3, 1e4, 1e6, 2457000.5, 1.7e9, 1e12, -1e3, -1e6, -1.7e9])
def test_extrapolation_of_data_far_from_the_origin(offset):
    """Slopes beyond the data come from tails of which the law as a whole has next to nothing; time stamps are such data."""
    x = offset + np.arange(4.0)
    query = offset + np.array([-1000.0, -3.0, 0.5, 1.5, 2.5, 4.0, 36.0, 1006.0])
    found = sb.predict(sb.Problem(sb.Dataset(x, Y), sb.Initialization.gaussian()))
    assert found.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(found.function(query), closed_form(x, Y, query), rtol=1e-11)


@pytest.mark.parametrize("offset", [1e3, 1e6, 2457000.5, 1.7e9])
def test_other_laws_and_free_lines_far_from_the_origin(offset):
    x = offset + np.arange(4.0)
    query = offset + np.array([-300.0, -3.0, 0.5, 2.5, 4.0, 36.0])
    for init, kernel, affine in (
        (sb.Initialization.pytorch_default(), uniform_kernel, "network"),
        (sb.Initialization.pytorch_default(), uniform_kernel, "free"),
        (sb.Initialization.gaussian(), arc_cosine, "free"),
    ):
        found = sb.predict(sb.Problem(sb.Dataset(x, Y), init, affine=affine))
        assert found.outcome is sb.Outcome.CONVERGED
        expected = closed_form(x, Y, query, kernel, free=affine == "free")
        np.testing.assert_allclose(found.function(query), expected, rtol=1e-11)


def test_back_to_the_breakpoints():
    """Extrapolated to where all breakpoints are: right relative to how large the function is on the way."""
    x = 1e6 + np.arange(4.0)
    query = np.array([5e5, 2.0, 0.3, -1.0, -1e6])
    found = sb.predict(sb.Problem(sb.Dataset(x, Y), sb.Initialization.gaussian()))
    exact = closed_form(x, Y, query)
    np.testing.assert_allclose(found.function(query), exact, rtol=0, atol=1e-11 * np.abs(exact).max())


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()], ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("potential", [sb.Power(3), sb.Power(1.5), sb.Power(4)], ids=str)
def test_far_from_the_origin_only_bends_cost(potential, affine, activation):
    """On data at x there is a density like x^-4, constant up to 1/x, and lines that are free: at rate 1/x the limit becomes

    the one for breakpoints of constant density and a free line, for pure powers whatever that constant is.
    """
    u = np.array([-2.0, 0.5, 1.5, 2.5, 3.5])
    constant = sb.Initialization.rademacher(st.uniform(-100, 200))
    limit = sb.predict(sb.Problem(sb.Dataset(np.arange(4.0), Y), constant, potential=sb.Scaled(potential), affine="free"))
    gaps = []
    for offset in (1e5, 1e7):
        data = sb.Dataset(offset + np.arange(4.0), Y)
        problem = sb.Problem(data, sb.Initialization.unit_circle(), activation, sb.Scaled(potential), affine=affine)
        found = sb.predict(problem)
        assert found.outcome is sb.Outcome.CONVERGED
        gaps.append(np.abs(found.function(offset + u) - limit.function(u)).max())
    assert gaps[0] < 1e-4
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("law", [st.pareto(2.2), st.invgamma(2.3)])
def test_a_line_on_one_side_of_a_heavy_tail_is_a_line(law) -> None:
    """Its piece used to begin as far out on the left as the tail reaches on the right, where a slope has no digits left."""
    data = sb.Dataset([1.2, 1.5, 2.5], [0.0, 1.0, 0.3])
    prediction = sb.predict(sb.Problem(data, sb.Initialization(sb.Constant(-1.0), law)))
    assert prediction.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(
        prediction.function([1.1, 0.9]), prediction.function(1.2, 1) * np.array([-0.1, -0.3]), rtol=1e-12
    )
