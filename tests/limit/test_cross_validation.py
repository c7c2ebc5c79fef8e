"""Generalized cross-validation in linear time, beside dense modes and beside a referee with 140 digits."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import scipy.stats as st
from problems import LAWS, random_data

import splinebias as sb
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.banded_filters import SMOOTHING, TRAINING, BandedFilters
from splinebias.limit.trajectory.cross_validation import ScoredBands, ScoredModes, selected
from splinebias.limit.trajectory.linear_flow import Decay, LinearFlow, Shrinkage

FAMILIES = {"training": (TRAINING, Decay), "smoothing": (SMOOTHING, lambda t: Shrinkage(1 / t))}
DAY = 2457000.5  # a Julian date


def noisy(size: int, offset: float = 0.0, length: float = 2.0, noise: float = 0.05) -> sb.Dataset:
    rng = np.random.default_rng(7)
    u = np.linspace(0, length, size)
    return sb.Dataset(offset + u, np.sin(6 * u / length) + noise * rng.normal(size=size))


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)], ids=str)
@pytest.mark.parametrize("law", ["uniform-bias", "gaussian", "constant-bias"])
@pytest.mark.parametrize("size", [2, 3, 4, 13])
def test_filters_by_elimination_and_by_modes(size, law, activation, affine):
    """Residuals and traces of both families are those of the dense singular value decomposition."""
    data = random_data(size, size)
    init = LAWS[law] if law in LAWS else sb.Initialization.constant_bias(1.0, st.norm())
    data = sb.Dataset(data.x + (1.5 if law == "constant-bias" else 0.0), data.y, np.arange(1.0, size + 1))
    posed = PosedProblem(sb.Problem(data, init, activation, affine=affine))
    filters, flow = BandedFilters.of(posed), LinearFlow.of(posed)
    strengths = 10.0 ** np.arange(-2, 7)
    for poles, family in FAMILIES.values():
        residual, left, made = filters.filtered(poles, strengths * filters.unit)
        kept = np.stack([family(t).left(flow.modes.rates) for t in strengths.tolist()], axis=1)
        expected = -(flow.modes.vectors @ (kept * flow.start[:, None])) / flow.residuals.root[:, None]
        np.testing.assert_allclose(residual, expected, rtol=0, atol=2e-9)
        np.testing.assert_allclose(left, kept.sum(axis=0), rtol=0, atol=2e-9)
        np.testing.assert_allclose(left + made, flow.modes.rates.size, rtol=0, atol=2e-9)


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("family", FAMILIES)
def test_selection_by_elimination_and_by_modes(family, affine):
    posed = PosedProblem(sb.Problem(noisy(60), LAWS["gaussian"], affine=affine))
    poles, rule = FAMILIES[family]
    banded = selected(ScoredBands(BandedFilters.of(posed), poles, resolved=True))
    dense = selected(ScoredModes(LinearFlow.of(posed), rule))
    assert banded.outcome is dense.outcome is sb.Outcome.CONVERGED
    assert banded.score == pytest.approx(dense.score, rel=1e-9)
    assert banded.value == pytest.approx(dense.value, rel=1e-4)
    assert banded.degrees_of_freedom == pytest.approx(dense.degrees_of_freedom, rel=1e-4)


def referee(data: sb.Dataset, *, free: bool) -> tuple[list, list]:
    """Decay rates and squared modes of the data, from the arc-cosine kernel (W, B ~ N(0, 1), ReLU) with 140 digits."""
    x, y = [mpmath.mpf(float(v)) for v in data.x], [mpmath.mpf(float(v)) for v in data.y]
    size = len(x)

    def kernel(a, b):
        angle = mpmath.atan2(abs(a - b), 1 + a * b)
        scale = mpmath.sqrt((1 + a * a) * (1 + b * b)) / (2 * mpmath.pi)
        return scale * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle))

    gram = mpmath.matrix([[kernel(a, b) / size for b in x] for a in x])
    if free:  # on the complement of lines
        lines = mpmath.matrix([[mpmath.mpf(1), a - x[0]] for a in x])
        basis = mpmath.qr(lines, mode="full")[0][:, 2:]
        gram, y = basis.T * gram * basis, list(basis.T * mpmath.matrix(y))
    rates, vectors = mpmath.eigsy(gram)
    modes = [sum(vectors[i, k] * y[i] for i in range(len(y))) for k in range(len(y))]
    return list(rates), [mode * mode / size for mode in modes]


@pytest.mark.parametrize(("affine", "offset"), [("network", 0.0), ("network", DAY), ("free", DAY), ("network", -1.7e9)])
def test_choice_for_time_stamps(affine, offset):
    """Data at x = 2457000.5 + 0 ... 30: times of 1e28, because there the density of breakpoints is 1e-26."""
    data = noisy(24, offset, 30.0, 0.2)
    problem = sb.Problem(data, sb.Initialization.gaussian(), affine=affine)
    with mpmath.workdps(140):
        rates, squares = referee(data, free=affine == "free")

        def score(strength, left):
            kept = [left(strength * rate) for rate in rates]
            return sum(k * k * s for k, s in zip(kept, squares, strict=True)) / (sum(kept) / data.size) ** 2, kept

        for found, strength, left in (
            (one := sb.gcv_time(problem), one.value, lambda s: mpmath.exp(-s)),
            (one := sb.gcv_regularization(problem), 1 / one.value, lambda s: 1 / (1 + s)),
        ):
            at = mpmath.mpf(strength)
            exact, kept = score(at, left)
            assert found.outcome is sb.Outcome.CONVERGED
            assert found.score == pytest.approx(float(exact), rel=1e-8)
            assert found.degrees_of_freedom == pytest.approx(data.size - float(sum(kept)), rel=1e-8)
            assert 3 < found.degrees_of_freedom < 20
            around = [score(at * mpmath.mpf(10) ** (e / 4), left)[0] for e in range(-8, 9) if e] + [
                score(at * factor, left)[0] for factor in (mpmath.mpf("0.99"), mpmath.mpf("1.01"))
            ]
            assert min(around) > exact * (1 - mpmath.mpf(10) ** -9)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_choice_where_units_are_next_to_none(offset):
    """An exponential tail has no memory: moving the data multiplies times and leaves the rest."""
    data = noisy(20, 12.0 + offset, 3.0, 0.1)
    found = sb.gcv_time(sb.Problem(data, sb.Initialization(sb.Constant(-1.0), st.laplace()), affine="free"))
    near = sb.gcv_time(
        sb.Problem(noisy(20, 12.0, 3.0, 0.1), sb.Initialization(sb.Constant(-1.0), st.laplace()), affine="free")
    )
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.value == pytest.approx(near.value * np.exp(offset), rel=1e-4)
    assert found.score == pytest.approx(near.score, rel=1e-9)


@pytest.mark.parametrize("change", [{"activation": sb.ReLUPower(2)}, {"parameterization": sb.NTK()}], ids=["power", "ntk"])
@pytest.mark.parametrize("verb", [sb.gcv_time, sb.gcv_regularization])
def test_other_kernels_say_where_digits_end(verb, change):
    """Powers of ReLU and NTK choose by dense modes: right near the breakpoints, INACCURATE far from them."""
    init = sb.Initialization(st.norm(), st.norm(), output=st.norm())
    near, far = (verb(sb.Problem(noisy(30, at, 2.0, 0.3), init, **change)) for at in (-1.0, DAY))
    assert near.outcome is sb.Outcome.CONVERGED and 0 < near.value < np.inf
    assert far.outcome is sb.Outcome.INACCURATE


def test_potentials_slow_down_by_their_curvature_at_zero():
    problem = sb.Problem(noisy(20), LAWS["gaussian"])
    plain, slow = sb.gcv_time(problem), sb.gcv_time(replace(problem, potential=sb.Power(2, quadratic=1)))
    assert slow.value == pytest.approx(4 * plain.value, rel=1e-12)


def test_units_do_not_matter():
    """x in units c times as large: the law with biases c times as large; then times go with 1/c^2."""
    base = noisy(25, 0.3)
    near = sb.gcv_time(sb.Problem(base, sb.Initialization.gaussian(1.0, 1.0)))
    for unit in (1e-6, 1e8):
        data = sb.Dataset(base.x * unit, base.y)
        found = sb.gcv_time(sb.Problem(data, sb.Initialization.gaussian(1.0, unit)))
        assert found.outcome is sb.Outcome.CONVERGED
        assert found.value * unit**2 == pytest.approx(near.value, rel=1e-6)
        assert found.score == pytest.approx(near.score, rel=1e-9)


@pytest.mark.parametrize(
    ("y", "found"),
    [([1, -1, 1, -1.2, 1, -1], "no signal"), ([0, 1, 4, 9, 16, 25], "no noise"), ([0, 0.3, 0.6, 0.7, 1.2, 1.5], "")],
)
def test_an_end_of_the_range_says_what_it_means(y, found):
    choice = sb.gcv_regularization(sb.Problem(sb.Dataset(range(6), y), sb.Initialization.gaussian()))
    assert (found in choice.advice) and bool(choice.advice) == bool(found)
    assert choice.value == {"no signal": np.inf, "no noise": 0.0}.get(found, choice.value)
