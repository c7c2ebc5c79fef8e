"""Functions on the line: exact from the units of a network, closed under calculus, unchanged by a trip through text."""

import json
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import CubicSpline, PPoly

import splinebias as sb
from splinebias.numerics.cells import Cells

EPS = np.finfo(float).eps
X = np.linspace(-5, 5, 201)
UNIT_LAWS = {
    "gaussian": lambda rng, n: (rng.normal(size=n), rng.normal(size=n)),
    "heavy-tailed breakpoints": lambda rng, n: (rng.normal(size=n) ** 3 * 1e-3, rng.standard_t(1, size=n)),
    "few distinct breakpoints": lambda rng, n: (rng.choice([-2.0, 1.0], n), rng.choice([-1.0, 0.0, 0.5], n)),
    "some weights zero": lambda rng, n: (rng.normal(size=n) * rng.integers(0, 2, n), rng.normal(size=n)),
    "all weights zero": lambda rng, n: (np.zeros(n), rng.normal(size=n)),
}


def random_function(seed=0, units=40):
    rng = np.random.default_rng(seed)
    w, b, a = rng.normal(size=(3, units))
    return sb.PiecewiseLinear.from_units(w, b, a, 0.3, sb.ReLU(), skip=(0.2, -0.1))


def random_spline(seed=0, *, exact=True):
    """A curvature of degree 3 on each of 6 cells, and the function with it through 4 points."""
    rng = np.random.default_rng(seed)
    edges = np.array([-1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 2.5])
    second = PPoly(rng.normal(size=(4, 6)), edges)
    nodes, x = Cells(edges, 6).nodes, np.array([-0.5, 0.0, 1.0, 2.0])
    y = second.antiderivative(2)(x) + rng.normal() * x + rng.normal()
    return sb.WeightedSpline.from_curvature(edges, second(nodes), x, y, x, exact=exact), (nodes, second(nodes), x, y)


FUNCTIONS = {  # all of them continuous
    "piecewise linear": random_function(),
    "spline": random_spline()[0],
    "derivative": random_spline()[0].derivative(),
}
every_function = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


@pytest.mark.parametrize("draw", UNIT_LAWS.values(), ids=UNIT_LAWS)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)], ids=str)
def test_units_and_breakpoints_are_the_same_function(draw, activation):
    rng = np.random.default_rng(4)
    n = 60
    w, b = draw(rng, n)
    a, d, skip = rng.normal(size=n), 0.7, (-0.4, 0.25)
    f = sb.PiecewiseLinear.from_units(w, b, a, d, activation, skip=skip)
    pre = X[:, None] * w + b
    size = np.abs(a * pre).sum(axis=1) + 1
    np.testing.assert_array_less(np.abs(f(X) - (activation.value(pre) @ a + d + skip[0] * X + skip[1])), n * EPS * size)
    at = np.setdiff1d(X, f.knots)
    slope = activation.derivative(at[:, None] * w + b) @ (a * w) + skip[0]
    np.testing.assert_allclose(f(at, 1), slope, atol=n * EPS * (np.abs(a * w).sum() + 1))


def test_kinks_are_the_output_weights_times_the_weights():
    rng = np.random.default_rng(6)
    w, b, a = rng.normal(size=(3, 25))
    f = sb.PiecewiseLinear.from_units(w, b, a, 0.0, sb.ReLU())
    order = np.argsort(-b / w)
    np.testing.assert_allclose(f.knots, (-b / w)[order], rtol=1e-15)
    np.testing.assert_allclose(f.kinks, (a * np.abs(w))[order], atol=1e-13)
    np.testing.assert_allclose(f.values, f(f.knots), rtol=1e-15)


def test_units_with_one_breakpoint_are_merged():
    f = sb.PiecewiseLinear.from_units([1, 2, -1], [0, 0, 0.5], [1, 1, 1], 0.0, sb.ReLU())
    np.testing.assert_array_equal(f.knots, [0, 0.5])
    np.testing.assert_array_equal(f.kinks, [3, 1])


def test_breakpoints_beyond_reach_become_part_of_the_line():
    w, b, a = np.array([1e-14, 1.0]), np.array([1.0, 0.0]), np.array([2.0, 1.0])
    f = sb.PiecewiseLinear.from_units(w, b, a, 0.0, sb.ReLU())
    np.testing.assert_array_equal(f.knots, [0])
    np.testing.assert_allclose(f(X), 2 + 2e-14 * X + np.maximum(X, 0), rtol=1e-15)


def test_linear_interpolation_between_knots_and_slopes_outside():
    f = sb.PiecewiseLinear([0.0, 1.0, 3.0], [1.0, 2.0, 0.0], left_slope=-1.0, right_slope=4.0)
    np.testing.assert_allclose(f([-2, 0, 0.5, 2, 3, 4]), [3, 1, 1.5, 1, 0, 4], rtol=1e-15)
    np.testing.assert_allclose(f([-2, 0, 1, 3], 1), [-1, 1, -1, 4])  # at a kink: the slope to the right
    np.testing.assert_allclose(f.kinks, [2, -2, 5])


@pytest.mark.parametrize("exact", [True, False])
def test_spline_passes_through_its_points_with_its_curvature(exact):
    f, (nodes, curvature, x, y) = random_spline(exact=exact)
    np.testing.assert_allclose(f(x), y, atol=4 * EPS)
    np.testing.assert_allclose(f(nodes, 2), curvature, atol=1e-12)
    below, above = np.nextafter(f.edges, -np.inf), f.edges
    for nu in (0, 1):
        np.testing.assert_allclose(f(below, nu), f(above, nu), atol=1e-12)
    np.testing.assert_allclose(f([-9, -1.5, 2.6, 11], 2), 0, atol=1e-12)


def test_natural_cubic_spline_comes_back_from_its_second_derivative():
    rng = np.random.default_rng(8)
    x, y = np.sort(rng.uniform(-1, 1, 12)), rng.normal(size=12)
    natural = CubicSpline(x, y, bc_type="natural")
    f = sb.WeightedSpline.from_curvature(x, natural(Cells(x, 3).nodes, 2), x, y, x, exact=True)
    inside = np.linspace(x[0], x[-1], 500)
    np.testing.assert_allclose(f(inside), natural(inside), atol=1e-12)
    np.testing.assert_allclose(f(x[-1] + 2), y[-1] + 2 * natural(x[-1], 1), rtol=1e-12)  # a line, not SciPy's cubic


def test_only_exact_splines_hand_out_their_pieces_unasked():
    exact, resolved = (random_spline(exact=flag)[0] for flag in (True, False))
    assert isinstance(exact.to_ppoly(), PPoly)
    with pytest.raises(sb.CapabilityError, match=r"not piecewise polynomial.*to_ppoly\(resolved=True\)"):
        resolved.to_ppoly()
    np.testing.assert_array_equal(resolved.to_ppoly(resolved=True)(X), resolved(X))


@every_function
def test_derivative_integrates_back(f):
    lo, hi = -2.3, 3.1
    assert f.derivative().integrate(lo, hi) == pytest.approx(f(hi) - f(lo), abs=1e-11)
    np.testing.assert_allclose(f.antiderivative().derivative()(X), f(X), atol=1e-12)
    np.testing.assert_allclose(f.derivative()(X), f(X, 1), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(f.antiderivative()(f.knots[f.knots.size // 2]), 0, atol=1e-14)


@every_function
def test_integrals_add_up(f):
    assert f.integrate(-3, 0.2) + f.integrate(0.2, 4) == pytest.approx(f.integrate(-3, 4), abs=1e-11)
    assert f.integrate(4, -3) == pytest.approx(-f.integrate(-3, 4), rel=1e-14)
    assert f.antiderivative()(4.0) - f.antiderivative()(-3.0) == pytest.approx(f.integrate(-3, 4), abs=1e-11)


@every_function
def test_roots_are_all_the_crossings(f):
    level = float(np.median(f(X)))
    roots = f.roots(level)
    np.testing.assert_allclose(f(roots), level, atol=1e-10)
    assert (np.diff(roots) > 0).all()
    fine = np.linspace(-5, 5, 20_001)
    crossed = fine[:-1][np.diff(np.sign(f(fine) - level)) != 0]
    inside = roots[(roots > -5) & (roots < 5)]
    assert crossed.size > 0
    assert all(np.abs(inside - point).min() < 1e-3 for point in crossed)
    np.testing.assert_array_equal(f.roots(level, interval=(-1, 1)), roots[(roots >= -1) & (roots <= 1)])


def test_a_constant_stretch_counts_as_its_left_end():
    f = sb.PiecewiseLinear([0.0, 1.0, 2.0], [1.0, 0.0, 0.0], -1.0, 1.0)
    np.testing.assert_allclose(f.roots(), [1, 2])


@every_function
def test_text_and_pickle_keep_every_bit(f):
    for again in (type(f).from_json(f.to_json()), pickle.loads(pickle.dumps(f))):
        assert type(again) is type(f)
        for nu in (0, 1, 2):
            np.testing.assert_array_equal(again(X, nu), f(X, nu))
        np.testing.assert_array_equal(again.knots, f.knots)
        np.testing.assert_array_equal(again.edges, f.edges)


@pytest.mark.parametrize("exact", [True, False])
def test_text_keeps_whether_a_spline_is_exact(exact):
    f = random_spline(exact=exact)[0]
    assert sb.WeightedSpline.from_json(f.to_json()).exact is exact


@every_function
def test_shapes_follow_the_argument(f):
    assert f(0.5).shape == ()
    assert f(np.zeros((2, 3)), 1).shape == (2, 3)
    assert f([]).shape == (0,)


def test_pieces_are_a_copy():
    f = random_function()
    before = f(X)
    f.to_ppoly().c[:] = 0
    np.testing.assert_array_equal(f(X), before)
    with pytest.raises(ValueError, match="read-only"):
        f.knots[0] = 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: f(0.0, nu=-1), "`nu` must be a whole number >= 0, got -1"),
        (lambda f: f(0.0, nu=1.5), "`nu` must be a whole number >= 0, got 1.5"),
        (lambda f: f.derivative(-1), "`nu` must be a whole number >= 0"),
        (lambda f: f.integrate(0, np.inf), "`b` must be a finite real number, got inf"),
        (lambda f: f.integrate(np.nan, 1), "`a` must be a finite real number, got nan"),
        (lambda f: f.roots("0"), "`level` must be a finite real number"),
        (lambda f: f.roots(interval=(1, 0)), r"`interval` must be a pair of finite numbers \(lo, hi\) with lo < hi"),
        (lambda f: f.roots(interval=(0, np.nan)), "`interval` must be a pair of finite numbers"),
        (lambda f: sb.PiecewiseLinear([0, 0], [1, 2], 0, 0), "`knots` must be strictly increasing"),
        (lambda f: sb.PiecewiseLinear([0, 1], [1], 0, 0), r"one value each, got shapes \(2,\), \(1,\)"),
        (lambda f: sb.PiecewiseLinear([], [], 0, 0), "`knots` must be strictly increasing"),
        (lambda f: sb.PiecewiseLinear([0, np.nan], [1, 2], 0, 0), "`knots` must"),
        (lambda f: sb.PiecewiseLinear([0, 1], [1, np.nan], 0, 0), "`values` must"),
        (lambda f: sb.WeightedSpline.from_json("{}"), "this is not the JSON text of a WeightedSpline"),
        (lambda f: sb.PiecewiseLinear.from_json("nonsense"), "this is not the JSON text of a PiecewiseLinear"),
        (lambda f: sb.PiecewiseLinear.from_json("[1, 2]"), "this is not the JSON text of a PiecewiseLinear"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(sb.DataError, match=message):
        act(random_function())


def test_a_sampled_network_is_recovered_at_a_million_points():
    """The tails of a Cauchy-distributed set of 10,000 breakpoints cost no accuracy near the data."""
    w, b, _ = sb.Initialization.pytorch_default().sample(10_000, np.random.default_rng(1))
    a = stats.norm.rvs(size=10_000, random_state=np.random.default_rng(2)) / 100
    f = sb.PiecewiseLinear.from_units(w, b, a, 0.0, sb.ReLU())
    x = np.linspace(-1, 1, 50)
    np.testing.assert_allclose(f(x), np.maximum(x[:, None] * w + b, 0) @ a, atol=1e-12)
    assert np.isfinite(f(np.linspace(-2, 2, 1_000_000))).all()


def test_far_out_the_spline_is_its_tangent():
    """Cells of heavy tails reach past 1e20: evaluation there neither overflows nor loses the line."""
    data = sb.Dataset([-1, 0, 1], [0.0, 1.0, 0.5])
    for law in (sb.Initialization.pytorch_default(), sb.Initialization.rademacher(stats.t(2.5))):
        f = sb.predict(sb.Problem(data, law)).function
        far = np.array([-1e300, -1e30, 1e19, 1e30, 1e300])
        slope = f(far, 1)
        np.testing.assert_allclose(f(far) / far, slope, rtol=1e-5)
        assert (f(far[[0, 1, 3, 4]], 2) == 0).all()
        assert slope[0] == slope[1] and slope[3] == slope[4]


@pytest.mark.parametrize("x", ["a", [1, "a"], 1j, {}, 10**400, [[1], [2, 3]], np.array(["1"]), np.array([1j])])
def test_places_that_are_no_real_numbers_are_refused_in_one_line(x):
    function = sb.PiecewisePolynomial(PPoly([[1.0]], [0, 1]), [0, 1])
    with pytest.raises(sb.DataError, match="`x` must be real numbers, in an array of any shape, got"):
        function(x)


def test_derivatives_of_any_number_above_the_degree_vanish():
    function = sb.PiecewisePolynomial(PPoly([[2.0], [1.0]], [0, 1]), [0, 1])
    assert not function([-1.0, 0.5, 1e300], nu=10**400).any() and not function.derivative(10**400)([-1.0, 0.5]).any()


def test_refusals_of_arrays_and_huge_integers_are_one_line():
    function = sb.PiecewisePolynomial(PPoly([[1.0]], [0, 1]), [0, 1])
    with pytest.raises(sb.DataError, match="`a` must be a finite real number, got 1000"):
        function.integrate(10**400, 1)
    with pytest.raises(sb.DataError, match=r"`nu` must be a whole number >= 0, got array") as refused:
        function(0.0, nu=np.zeros((2, 2)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "init", [sb.Initialization.gaussian(), sb.Initialization.pytorch_default(), sb.Initialization.unit_circle()]
)
def test_far_edges_leave_roots_and_integrals_alone(init):
    """Laws with heavy tails have edges as far out as 1e14: no roots there, and no digits lost here."""
    f = sb.predict(sb.Problem(sb.Dataset([-1, 0, 1], [1, -1, 1]), init)).function
    assert f.roots().size == 2
    np.testing.assert_allclose(f(f.roots()), 0, atol=1e-12)
    primitive = f.antiderivative()
    assert primitive(1.0) - primitive(0.0) == pytest.approx(f.integrate(0, 1), rel=1e-12)
    twice = f.antiderivative(2)
    np.testing.assert_allclose(twice(X, nu=1), primitive(X), rtol=0, atol=1e-12 * np.abs(primitive(X)).max())
    with pytest.raises(sb.DataError, match="`nu` must be at most 30, got one of 401 digits"):
        f.antiderivative(10**400)


LINEAR = {"knots": [0.0, 1.0], "values": [1.0, 2.0], "left_slope": 0.0, "right_slope": 1.0}
PIECES = {"edges": [0.0, 1.0, 2.0], "coefficients": [[1.0, 2.0], [0.0, 1.0]], "knots": [1.0]}


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        (sb.PiecewiseLinear, "[" * 100_000, "its lists are within each other, and too many"),
        (sb.PiecewiseLinear, "3", "it must be an object, got 3"),
        (sb.PiecewiseLinear, LINEAR | {"knots": None}, "`knots` must be a list of finite numbers"),
        (sb.PiecewiseLinear, LINEAR | {"values": [1.0]}, "`values` must be a list of finite numbers, 2 of them"),
        (sb.PiecewiseLinear, LINEAR | {"left_slope": "1"}, "`left_slope` must be a finite real number, got '1'"),
        (sb.PiecewiseLinear, LINEAR | {"slope": 1}, "has the entries .*, got 'slope'"),
        (sb.PiecewisePolynomial, PIECES | {"edges": [0.0, 2.0, 1.0]}, "`edges` must hold 2 increasing numbers or more"),
        (sb.PiecewisePolynomial, PIECES | {"edges": ["0", "1", "2"]}, "`edges` must be a list of finite numbers"),
        (sb.PiecewisePolynomial, PIECES | {"coefficients": [[1.0], [2.0]]}, "`coefficients` must be a list of numbers"),
        (sb.PiecewisePolynomial, PIECES | {"coefficients": []}, "`coefficients` must"),
        (sb.WeightedSpline, PIECES | {"exact": 1}, "`exact` must be true or false, got 1"),
    ],
)
def test_text_that_is_no_function_is_refused_by_its_entry(kind, state, message):
    text = state if isinstance(state, str) else json.dumps(state)
    with pytest.raises(sb.DataError, match=f"this is not the JSON text of a {kind.__name__}: .*{message}"):
        kind.from_json(text)
