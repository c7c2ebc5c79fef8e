"""Laws that the limit of any problem obeys, on random problems: interpolation, optimality, symmetries."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from hypothesis import assume, given, settings
from hypothesis import strategies as some

import splinebias as sb

SCALES = (0.3, 4.0)
LAWS = {  # by a scale s: the law of the problem whose x, and breakpoints, are s times as large
    "uniform": lambda s: sb.Initialization.rademacher(st.uniform(-2 * s, 4 * s)),
    "gaussian bias": lambda s: sb.Initialization.rademacher(st.norm(0, s)),
    "laplace": lambda s: sb.Initialization.rademacher(st.laplace(0, 0.7 * s)),
    "student": lambda s: sb.Initialization.rademacher(st.t(4, 0, s)),
    "three weights": lambda s: sb.Initialization(sb.Discrete((-2.0, 1.0, 3.0), (0.2, 0.5, 0.3)), st.norm(0, s)),
    "gaussian": lambda s: sb.Initialization.gaussian(1.0, 0.8 * s),
    "pytorch": lambda s: sb.Initialization.uniform(1.0, s),
}
ONE_WEIGHT = ("uniform", "gaussian bias", "laplace")  # W = +-1 and biases with all moments: quick for any potential
POTENTIALS = [
    sb.Power(1.5),
    sb.Power(2),
    sb.Power(3),
    sb.Power(4),
    sb.Power(3, quadratic=1),
    sb.Power(4, quadratic=0.1),
    sb.Hypentropy(1.0),
]
REGULAR = [phi for phi in POTENTIALS if 0 < phi.hess_at_zero < np.inf]  # the dual is smooth where alpha = 0 as well
POWERS = [phi for phi in POTENTIALS if isinstance(phi, sb.Power) and (phi.quadratic == 0)]
ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)]
X = np.linspace(-2.5, 2.5, 41)


@some.composite
def datasets(draw, largest=12):
    """2 to 12 points in [-1, 1], at least 1/50 apart, with ordinates from a grid in [-1, 1] that holds 0."""
    size = draw(some.integers(2, largest))
    x = draw(some.lists(some.integers(-50, 50), min_size=size, max_size=size, unique=True))
    y = draw(some.lists(some.integers(-64, 64), min_size=size, max_size=size))
    return sb.Dataset(np.array(x) / 50, np.array(y) / 64)


@some.composite
def quadratic_problems(draw):
    """Any law, at a scale of 1."""
    law = LAWS[draw(some.sampled_from(list(LAWS)))](1.0)
    return sb.Problem(draw(datasets()), law, draw(activations), affine=draw(affine_parts))


@some.composite
def scaled_problems(draw, potentials=POTENTIALS):
    """W = +-1 and any potential, at a scale of 1."""
    law = LAWS[draw(some.sampled_from(ONE_WEIGHT))](1.0)
    phi = sb.Scaled(draw(some.sampled_from(potentials)))
    return sb.Problem(draw(datasets()), law, draw(activations), phi, affine=draw(affine_parts))


activations = some.sampled_from(ACTIVATIONS)
affine_parts = some.sampled_from(["network", "free"])
places = some.floats(-1.5, 1.5)
problems = some.one_of(quadratic_problems(), scaled_problems())


def limit(problem):
    """The prediction, which has to be a good one."""
    found = sb.predict(problem)
    assert found.outcome is sb.Outcome.CONVERGED
    return found


def assert_same(values, expected):
    """Equal up to the tolerance of the solvers, 1e-10, with two digits for what curves amplify between close points."""
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-8 * max(np.abs(expected).max(), 1e-300))


def moved(problem, *, slope=1.0, shift=0.0, gain=1.0, law=None):
    """The problem with x -> slope x + shift and y -> gain y."""
    data = problem.data
    return replace(
        problem, data=sb.Dataset(slope * data.x + shift, gain * data.y), initialization=law or problem.initialization
    )


@given(problems)
def test_the_data_are_interpolated(problem):
    data, found = problem.data, limit(problem)
    np.testing.assert_allclose(found.function(data.x), data.y, rtol=0, atol=1e-13)


@given(some.one_of(quadratic_problems(), scaled_problems(REGULAR)), places, some.floats(-1, 1))
@settings(max_examples=25)
def test_one_more_point_never_costs_less_and_nothing_if_the_function_passes_through_it_already(problem, x, offset):
    """What passes through more points is one of the competitors: optimality, stated with the solver alone."""
    data, found = problem.data, limit(problem)
    assume(np.abs(data.x - x).min() > 1e-3)
    here = float(found.function(x))
    same, other = (
        limit(replace(problem, data=sb.Dataset(np.r_[data.x, x], np.r_[data.y, y]))) for y in (here, here + offset)
    )
    rounding = 1e-8 * max(same.penalty, found.penalty, 1e-8)  # the data are of size 1
    assert abs(same.penalty - found.penalty) <= rounding
    assert other.penalty >= found.penalty - rounding
    assert_same(same.function(X), found.function(X))


@given(quadratic_problems(), places, some.floats(-1, 1))
def test_no_interpolant_has_a_smaller_penalty(problem, x, offset):
    """The functional itself, at the limit and at another interpolant."""
    found = limit(problem)
    assume(np.abs(problem.data.x - x).min() > 1e-3)
    more = sb.Dataset(np.r_[problem.data.x, x], np.r_[problem.data.y, found.function(x) + offset])
    other = limit(replace(problem, data=more))
    assert sb.penalty(found.function, problem) == pytest.approx(found.penalty, rel=1e-6, abs=1e-12)
    assert sb.penalty(other.function, problem) >= found.penalty * (1 - 1e-6)


@given(some.data(), some.sampled_from(list(LAWS)), some.sampled_from(SCALES))
@settings(max_examples=25)
def test_functions_scale_with_their_data_and_law(draw, name, scale):
    """x, b and y in another unit: features scale by s and alpha is what it was, so that f_s(s x) = s f(x)."""
    potential = sb.Scaled(draw.draw(some.sampled_from(POTENTIALS))) if name in ONE_WEIGHT else sb.Quadratic()
    problem = sb.Problem(draw.draw(datasets()), LAWS[name](1.0), draw.draw(activations), potential)
    found, larger = limit(problem), limit(moved(problem, slope=scale, gain=scale, law=LAWS[name](scale)))
    assert_same(larger.function(scale * X) / scale, found.function(X))
    assert larger.penalty == pytest.approx(found.penalty, rel=1e-8, abs=1e-14)


@given(some.data(), some.sampled_from([1.0, -2.0]), some.sampled_from([-1.0, 0.5, 3.0]))
def test_functions_move_with_their_data_and_breakpoints(draw, weight, shift):
    """With one weight w, breakpoints -b/w move by t if the bias moves by -w t."""
    potential = draw.draw(some.sampled_from([sb.Quadratic(), sb.Scaled(sb.Power(4, quadratic=1))]))
    law, other = (sb.Initialization(sb.Constant(weight), st.norm(-weight * t, 1)) for t in (0, shift))
    problem = sb.Problem(draw.draw(datasets(8)), law, draw.draw(activations), potential)
    found, further = limit(problem), limit(moved(problem, shift=shift, law=other))
    assert_same(further.function(X + shift), found.function(X))


@given(problems)
@settings(max_examples=25)
def test_mirrored_data_have_mirrored_functions(problem):
    """All laws here but one have symmetric weights, and sigma(-wx + b) is as likely as sigma(wx + b)."""
    law = problem.initialization
    if isinstance(law.weight, sb.Discrete) and not isinstance(law.weight, sb.Rademacher):
        law = sb.Initialization(sb.Discrete(tuple(-np.array(law.weight.values)), law.weight.probabilities), law.bias)
    assert_same(limit(moved(problem, slope=-1, law=law)).function(-X), limit(problem).function(X))


@given(problems)
@settings(max_examples=15)
def test_negative_data_have_negative_functions(problem):
    """Potentials are even."""
    assert_same(limit(moved(problem, gain=-1)).function(X), -limit(problem).function(X))


@given(some.data(), quadratic_problems(), some.floats(-2, 2))
def test_quadratic_problems_are_linear_in_the_ordinates(draw, problem, factor):
    data = problem.data
    other = np.array(draw.draw(some.lists(some.integers(-64, 64), min_size=data.size, max_size=data.size))) / 64
    first, second, both = (
        limit(replace(problem, data=sb.Dataset(data.x, y))).function(X) for y in (data.y, other, data.y + factor * other)
    )
    np.testing.assert_allclose(both, first + factor * second, rtol=0, atol=1e-8 * max(np.abs([first, second]).max(), 1e-300))


@given(scaled_problems(POWERS), some.sampled_from([1e-3, 0.5, 7.0]))
@settings(max_examples=15)
def test_powers_are_homogeneous(problem, factor):
    """|u|^p: alpha is proportional to y, and the penalty to |y|^p."""
    found, larger = limit(problem), limit(moved(problem, gain=factor))
    assert_same(larger.function(X) / factor, found.function(X))
    assert larger.penalty == pytest.approx(factor**problem.phi.p * found.penalty, rel=1e-8, abs=1e-300)


@given(some.data(), problems)
@settings(max_examples=15)
def test_order_and_weights_of_the_points_do_not_matter(draw, problem):
    data = problem.data
    order = draw.draw(some.permutations(range(data.size)))
    shuffled = sb.Dataset(data.x[order], data.y[order], 1.0 + np.arange(data.size))
    np.testing.assert_array_equal(limit(replace(problem, data=shuffled)).function(X), limit(problem).function(X))


@given(problems)
@settings(max_examples=20)
def test_solvers_agree(problem):
    assert_same(sb.predict(problem, sb.DualSolver()).function(X), limit(problem).function(X))


@given(quadratic_problems())
def test_training_lowers_the_loss_and_spends_penalty(problem):
    """f_t is the cheapest function through its values at the data, on its way from zero (or a line) to the limit."""
    path = sb.predict_path(problem, [0, 1, 10, 100, 1e4, np.inf])
    size = np.abs(problem.data.y).max()
    penalties = np.array([found.penalty for found in path.predictions])
    assert (np.diff(path.losses) <= 1e-12 * size**2).all()
    assert (np.diff(penalties) >= -1e-8 * penalties[-1]).all()
    assert penalties[0] == 0
    np.testing.assert_array_equal(path.functions[-1](X), limit(problem).function(X))
