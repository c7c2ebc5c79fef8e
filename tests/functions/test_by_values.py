"""Integrals, roots and text of functions that are no piecewise polynomials: smooth units, and sums."""

import json

import numpy as np
import pytest
import scipy.stats as st
from scipy.integrate import quad

import splinebias as sb
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.functions.sums import FunctionSum

DATA = sb.Dataset([-1.0, -0.2, 0.4, 1.0], [0.1, -0.2, 0.4, 0.3])
LAW = sb.Initialization.rademacher(st.uniform(-2, 4))
SPLINE = sb.predict(sb.Problem(DATA, LAW)).function
LINEAR = sb.train(sb.Problem(DATA, LAW), 40).function
GAUSSIAN = sb.Problem(DATA, sb.Initialization.gaussian())
CURVED = sb.predict(GAUSSIAN.replace(potential=sb.Scaled(sb.Power(4, quadratic=1)))).function
RNG = np.random.default_rng(0)
UNITS = SmoothUnits(*RNG.normal(size=(3, 20)), 0.1, sb.Centred(sb.Softplus()), (0.3, -0.2))
SUMS = {
    "linear and spline": FunctionSum((LINEAR, SPLINE), (2.0, -1.0)),
    "curved": FunctionSum((CURVED, LINEAR)),
    "smooth": FunctionSum((UNITS, SPLINE), (0.5, 1.0)),
    "of sums": FunctionSum((FunctionSum((LINEAR, UNITS)), SPLINE)),
}


@pytest.mark.parametrize("function", [UNITS, *SUMS.values()], ids=["units", *SUMS])
def test_integrals_are_those_of_quadpack(function):
    knots = [x for x in getattr(LINEAR, "knots", []) if -1.3 < x < 0.9]
    expected, _ = quad(lambda x: float(function(x)), -1.3, 0.9, points=knots, limit=500, epsabs=1e-12, epsrel=1e-12)
    assert function.integrate(-1.3, 0.9) == pytest.approx(expected, abs=1e-10)
    assert function.integrate(0.9, -1.3) == -function.integrate(-1.3, 0.9)
    assert function.integrate(0.5, 0.5) == 0


def test_of_a_part_that_is_a_function_of_ones_own_values_are_integrated():
    total = FunctionSum((np.sin, SPLINE), (3.0, 1.0))
    assert total.integrate(0, 2) == pytest.approx(3 * (1 - np.cos(2)) + SPLINE.integrate(0, 2), abs=1e-13)
    with pytest.raises(sb.CapabilityError, match="one of the library's, got <ufunc 'sin'>"):
        total.to_json()
    with pytest.raises(sb.CapabilityError, match="takes x alone"):
        total.roots(interval=(-1, 1))


@pytest.mark.parametrize("function", [UNITS, *SUMS.values()], ids=["units", *SUMS])
def test_roots_are_all_changes_of_sign(function):
    level = float(np.median(function(np.linspace(-2, 2, 101)))) + 1e-7  # not on a point below
    found = function.roots(level, (-2, 2))
    np.testing.assert_allclose(function(found), level, atol=1e-12)
    fine = function(np.linspace(-2, 2, 200_001)) - level
    assert found.size == np.count_nonzero(np.diff(np.sign(fine)) != 0) > 0
    with pytest.raises(sb.DataError, match="`interval` must be given"):
        function.roots()


def test_two_roots_in_a_cell_and_one_that_only_touches():
    class Square(sb.Tanh):
        def value(self, z):
            return z**2

        def derivative(self, z):
            return 2 * z

    parabola = SmoothUnits(np.array([1.0]), np.array([-0.10003]), np.array([1.0]), 0.0, Square())
    np.testing.assert_allclose(parabola.roots(1e-10, (-1, 1)), [0.10002, 0.10004], atol=1e-9)
    np.testing.assert_allclose(parabola.roots(0.0, (-1, 1)), [0.10003], atol=1e-9)
    assert parabola.roots(-1e-6, (-1, 1)).size == 0
    with pytest.raises(sb.CapabilityError, match="only smooth activations of the library"):
        parabola.to_json()


@pytest.mark.parametrize("function", [UNITS, *SUMS.values()], ids=["units", *SUMS])
def test_text_is_read_back_bit_for_bit(function):
    back = type(function).from_json(function.to_json())
    x = np.linspace(-2, 2, 301)
    np.testing.assert_array_equal(back(x), function(x))
    np.testing.assert_array_equal(back(x, 1), function(x, 1))
    assert back.to_json() == function.to_json()


@pytest.mark.parametrize(
    ("kind", "entry", "value", "words"),
    [
        (SmoothUnits, "activation", "GELU", "`activation` must be one of Tanh"),
        (SmoothUnits, "a", [1.0], "`a`"),
        (SmoothUnits, "skip", [1.0], "`skip`"),
        (SmoothUnits, "d", "0", "`d`"),
        (FunctionSum, "factors", [1.0], "`parts`|a list of 1"),
        (FunctionSum, "parts", [{"kind": "Spline", "function": {}}] * 2, "`kind` must be one of PiecewiseLinear"),
        (FunctionSum, "parts", [{"kind": "PiecewiseLinear", "function": {}}] * 2, "has the entries"),
    ],
)
def test_other_text_is_refused_by_entry(kind, entry, value, words):
    state = json.loads((UNITS if kind is SmoothUnits else SUMS["smooth"]).to_json())
    with pytest.raises(sb.DataError, match=words):
        kind.from_json(json.dumps(state | {entry: value}))
