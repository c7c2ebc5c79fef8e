"""Potentials far from the square, or written by hand; data far from 1."""

import dataclasses

import numpy as np
import pytest
from problems import SET_A
from scipy import stats

import splinebias as sb
from splinebias.potential import Potential
from splinebias.solve import integrated_dual
from splinebias.solve.discretize import discretize
from splinebias.solve.integrated_dual import IntegratedDual

QUERY = np.linspace(-1.6, 1.6, 41)
RADEMACHER = sb.Initialization.rademacher(stats.uniform(-2, 4))


class ByHand(Potential):
    """`Hypentropy(0.5)` with nothing but what must be there; phi(0) is not 0."""

    def value(self, u):
        return u * np.arcsinh(2 * u) - np.sqrt(u * u + 0.25)

    def grad(self, u):
        return np.arcsinh(2 * u)

    def hess(self, u):
        return 1 / np.sqrt(u * u + 0.25)

    def grad_inverse(self, z):
        return np.sinh(z) / 2


@pytest.mark.parametrize("init", [RADEMACHER, sb.Initialization.unit_circle()])
@pytest.mark.parametrize("potential", [sb.Hypentropy(1.0), sb.Power(4, quadratic=0.5)])
@pytest.mark.parametrize("size", [1e-16, 1e-9])
def test_small_data_make_every_smooth_potential_a_square(init, potential, size):
    r"""With :math:`\phi''(0) = 1` all that is left are relative errors of order :math:`\alpha^2`."""
    data = sb.Dataset(SET_A.x, size * SET_A.y)
    found = sb.predict(sb.Problem(data, init, potential=sb.Scaled(potential)))
    plain = sb.predict(sb.Problem(data, init, potential=sb.Scaled(sb.Quadratic())))
    assert found.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(found.function(QUERY), plain.function(QUERY), rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(found.penalty, plain.penalty, rtol=1e-12)
    np.testing.assert_allclose(found.multipliers, plain.multipliers, rtol=1e-12)


@pytest.mark.parametrize("p", [8.0, 10.0])
def test_steep_powers_are_homogeneous(p):
    """Three times the data make three times the function, and as g ranges over 26 decades: all the way to the optimum."""
    x = [-0.93, -0.61, -0.31, -0.28, -0.25, -0.056, 0.087, 0.12, 0.125, 0.156, 0.29, 0.96]
    y = np.array([0, 0, 0.53, 0, 0, 0, 0, 0.25, -0.058, -0.16, 0, -0.95])
    init = sb.Initialization.constant_bias(0.7, stats.norm())
    one, three = (sb.predict(sb.Problem(sb.Dataset(x, k * y), init, sb.Abs(), sb.Scaled(sb.Power(p)))) for k in (1, 3))
    assert one.outcome is three.outcome is sb.Outcome.CONVERGED
    scale = np.abs(one.function(QUERY)).max()
    assert np.abs(three.function(QUERY) - 3 * one.function(QUERY)).max() < 1e-9 * scale


def test_a_potential_may_have_any_value_at_zero():
    r"""The penalty is :math:`E[D_\phi(\alpha, 0)]`, not :math:`E[\phi(\alpha)]`."""
    by_hand = sb.predict(sb.Problem(SET_A, RADEMACHER, potential=sb.Scaled(ByHand())))
    known = sb.predict(sb.Problem(SET_A, RADEMACHER, potential=sb.Scaled(sb.Hypentropy(0.5))))
    assert by_hand.outcome is known.outcome is sb.Outcome.CONVERGED
    np.testing.assert_allclose(by_hand.penalty, known.penalty, rtol=1e-11)
    np.testing.assert_allclose(by_hand.function(QUERY), known.function(QUERY), rtol=0, atol=1e-12)
    assert ByHand().cost(np.float64(0.0)) == 0.0


def _cells(problem):
    discretize.cache_clear()
    found = sb.predict(problem)
    assert found.outcome is sb.Outcome.CONVERGED
    return found.stats["cells"]


@pytest.mark.parametrize("potential", [sb.Power(4, quadratic=1), sb.Power(2.5, quadratic=1)])
def test_refinement_does_not_depend_on_blocks(potential, monkeypatch):
    problem, cells = sb.Problem(SET_A, sb.Initialization.gaussian(), potential=sb.Scaled(potential)), []
    for block in (1 << 10, 1 << 24):
        monkeypatch.setattr(integrated_dual, "_BLOCK", block)
        cells.append(_cells(problem))
    assert cells[0] == cells[1]


def test_zeros_are_cut_where_many_are_not_resolved(monkeypatch):
    r"""Several \|w\| at a breakpoint: :math:`(\phi')^{-1}(v z(s))` turns sharply in s where :math:`\phi''(0)` is small."""
    x = np.sort(np.random.default_rng(10).uniform(-1, 1, 10))
    data = sb.Dataset(x, np.sin(5 * x) + 0.1 * np.random.default_rng(1).normal(size=10))
    problem = sb.Problem(data, sb.Initialization.gaussian(), potential=sb.Scaled(sb.Power(4, quadratic=1)))
    found, of = _cells(problem), IntegratedDual.of

    def split(problem):
        dual, start = of(problem)
        return dataclasses.replace(dual, grid=dataclasses.replace(dual.grid, split=True)), start

    monkeypatch.setattr(IntegratedDual, "of", split)
    assert found <= 1.05 * _cells(problem)
