"""The limit p to 1: what predictions approach, and a fine grid of units as twin."""

import numpy as np
import pytest
import scipy.stats as st
from scipy.optimize import linprog

import splinebias as sb

B = sb.Dataset([-1, 0.35, 0.65, 1], [0.15, 0.15, -0.15, 0.15])
UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
LAWS = {
    "signs": UNIFORM,
    "default": sb.Initialization.pytorch_default(),
    "wide": sb.Initialization.uniform(2.0, 1.5),
    "positive": sb.Initialization(st.uniform(0.5, 1), st.uniform(-2, 4)),
    "one bias": sb.Initialization(st.uniform(-2, 4), sb.Constant(0.7)),
}


def problem(law=UNIFORM, activation=None, affine="network", phi=None, data=B):
    """Set B with absolute values, unless told otherwise."""
    return sb.Problem(data, law, activation or sb.Abs(), phi or sb.Quadratic(), affine=affine)


def test_numbers_of_the_page():
    limit = sb.sparse_limit(problem())
    assert limit.residual < 1e-12
    np.testing.assert_allclose(limit.function.knots, [-1, 0.35, 0.65, 1])
    np.testing.assert_allclose(limit.function.kinks, [0.15, -1, 13 / 7, -99 / 140], atol=1e-12)
    assert 2 * limit.cost == pytest.approx(26 / 7)


def test_powers_approach_it_in_proportion_to_their_distance_from_one():
    limit = sb.sparse_limit(problem()).function
    known = {1.2: 0.0790, 1.1: 0.0449, 1.05: 0.0244, 1.02: 0.0104}
    for p, distance in known.items():
        near = sb.predict(problem(phi=sb.Scaled(sb.Power(p)))).function
        assert sb.compare(near, limit, (-1.5, 1.5)).sup == pytest.approx(distance, abs=1e-4)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.2)], ids=str)
@pytest.mark.parametrize("affine", ["network", "free"])
def test_a_fine_grid_of_units_does_no_better(name, activation, affine):
    posed = problem(LAWS[name], activation, affine)
    try:
        limit = sb.sparse_limit(posed)
    except sb.DataError:
        pytest.skip("these neurons cannot make these data")
    pair = LAWS[name].pair_law.laws
    sides = [np.array(law.values) if hasattr(law, "values") else np.linspace(*law.support, 121) for law in pair]
    w, b = (grid.ravel() for grid in np.meshgrid(*sides))
    features = activation.value(B.x[:, None] * w + b)
    line = np.stack([np.ones(4), B.x], axis=1) if affine == "free" else np.zeros((4, 0))
    free = line.shape[1]
    twin = linprog(
        np.r_[np.ones(2 * w.size), np.zeros(free)],
        A_eq=np.hstack([features, -features, line]),
        b_eq=B.y,
        bounds=[(0, None)] * (2 * w.size) + [(None, None)] * free,
    )
    assert limit.outcome.ok
    assert limit.cost <= twin.fun * (1 + 1e-7)
    assert limit.cost >= twin.fun * 0.97
    np.testing.assert_allclose(limit.function(B.x), B.y, atol=1e-12)
    assert np.abs(limit.multipliers @ features).max() <= 1 + 1e-9
    inside = [
        (side.min() - 1e-12 <= v) & (v <= side.max() + 1e-12)
        for side, v in zip(sides, (limit.weights, limit.biases), strict=True)
    ]
    assert np.all(inside)


def test_on_the_circle_it_is_the_least_norm():
    """Powers towards one with (w, b) uniform on the circle approach the least bias-penalized norm of a network."""
    least = sb.minimum_norm(B, penalize_bias=True, affine="network", output_bias=False)
    costs = [
        sb.predict(problem(sb.Initialization.unit_circle(), sb.ReLU(), phi=sb.Scaled(sb.Power(p)))).penalty
        for p in (1.1, 1.05)
    ]
    assert 2 * costs[1] - costs[0] == pytest.approx(least.norm, rel=0.02)
    with pytest.raises(sb.CapabilityError, match="for the unit circle and ReLU this is minimum_norm"):
        sb.sparse_limit(problem(sb.Initialization.unit_circle(), sb.ReLU()))


def test_what_is_refused():
    with pytest.raises(sb.CapabilityError, match="the support of the `weight` law must be bounded"):
        sb.sparse_limit(problem(sb.Initialization.gaussian(1, 1)))
    with pytest.raises(sb.CapabilityError, match="two-slope activation"):
        sb.sparse_limit(problem(activation=sb.ReLUPower(2)))
    with pytest.raises(sb.DataError, match="`problem` must be an sb.Problem"):
        sb.sparse_limit(B)
    x = np.linspace(-1, 1, 501)
    with pytest.raises(sb.CapabilityError, match="at most 500 points, got 501"):
        sb.sparse_limit(problem(data=sb.Dataset(x, x**2)))
