"""Weight decay: optimality, the path in the strength, its largest value, cross-validation."""

import numpy as np
import pytest

import splinebias as sb

C8 = sb.Dataset((-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95), (0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3))
LARGEST = 0.019102404643449
VARIANTS = [("free", True), ("network", True), ("network", False)]


def noisy(size, seed=0):
    """A weighted sine with noise."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, np.sin(6 * x) + 0.3 * rng.normal(size=size), rng.integers(1, 4, size))


def dual(data, f):
    """G of the residuals at the data, by its definition."""
    pull = data.weights * (data.y - f(data.x)) / data.weights.sum()
    return np.maximum(data.x[:, None] - data.x, 0).T @ pull


def test_numbers_of_the_page():
    """Objective, norm and knots at two strengths, biases free and penalized, from prototypes that shared no code."""
    known = {
        (0.01, False): (0.003048720972, 15.519761194, (-0.65, -0.135661, 0.367537, 0.7)),
        (0.01, True): (0.003343824647, 16.947480827, (-0.65, -0.134232, 0.366413, 0.7)),
        (0.1, False): (0.023394207972, 9.048286042, (-0.65, -0.1, 0.420676)),
        (0.1, True): (0.025018818941, 9.672801142, (-0.65, -0.1, 0.415926)),
    }
    for (share, penalize_bias), (objective, norm, knots) in known.items():
        found = sb.minimum_norm(C8, penalize_bias=penalize_bias, strength=share * LARGEST)
        assert found.objective == pytest.approx(objective, abs=1e-12)
        assert found.norm == pytest.approx(norm, abs=1e-9)
        np.testing.assert_allclose(found.sparsest.knots, knots, atol=1e-6)


def test_the_path_of_the_page():
    path = sb.weight_decay_path(C8)
    breaks = (0.019102404643, 0.010250146342, 0.007189280017, 0.00231355847, 1 / 720, 1 / 960)
    np.testing.assert_allclose(path.breaks, breaks, atol=1e-12)
    s = np.array([1e-5, 1e-4, 1e-3])
    np.testing.assert_allclose(path.losses(s), 2304 * s**2, rtol=1e-9)
    np.testing.assert_allclose(path.norms(s), 16.4 - 4608 * s, rtol=1e-12)


@pytest.mark.parametrize("penalize_bias", [False, True])
@pytest.mark.parametrize("x", [(-1.3, 1.0), (-562.4, 82.8), (0.0, 0.1, 0.2, 0.3)])
def test_data_on_a_line_cost_nothing_at_any_strength(x, penalize_bias):
    data = sb.Dataset(x, 3 - 7.1 * np.array(x))
    assert sb.largest_strength(data, penalize_bias=penalize_bias) == 0
    for strength in (1e-15, 1e-12, 1.0):
        assert sb.minimum_norm(data, penalize_bias=penalize_bias, strength=strength).norm == 0


@pytest.mark.parametrize("size", [3, 10, 60, 400])
def test_residuals_are_optimal(size):
    data = noisy(size)
    top = sb.largest_strength(data)
    for share in (1e-4, 1e-2, 0.3):
        found = sb.minimum_norm(data, strength=share * top)
        g = dual(data, found.function) / (share * top)
        assert found.residual <= 1e-9
        assert np.abs(g).max() <= 1 + 1e-8
        at = np.searchsorted(data.x, found.knots)
        np.testing.assert_array_equal(data.x[at], found.knots)
        np.testing.assert_allclose(g[at], np.sign(found.jumps), atol=1e-8)
        assert g[0] == pytest.approx(0, abs=1e-8)


def test_many_points():
    data = noisy(10_000)
    for share in (1e-5, 1e-2):
        found = sb.minimum_norm(data, strength=share * sb.largest_strength(data))
        assert found.residual <= 1e-9
    wide = sb.minimum_norm(data, penalize_bias=True, strength=1e-2 * sb.largest_strength(data, penalize_bias=True))
    assert wide.residual <= 1e-9


def test_little_strength_is_told_from_rounding_by_longer_sums():
    least = sb.minimum_norm(sb.Dataset([9.41, 9.42, 10.23], [-3, 15, 13]), strength=1e-8)
    assert least.residual < 1e-9  # by double sums alone 1.3e-8


def test_nothing_is_left_from_the_largest_strength_on():
    for penalize_bias in (False, True):
        for affine, output_bias in VARIANTS:
            kind = {"penalize_bias": penalize_bias, "affine": affine, "output_bias": output_bias}
            top = sb.largest_strength(C8, **kind)
            above, below = (sb.minimum_norm(C8, **kind, strength=share * top) for share in (1.001, 0.999))
            assert above.norm == pytest.approx(0, abs=1e-12)
            assert below.norm > 1e-6
    line = sb.minimum_norm(C8, strength=1.0).function
    np.testing.assert_allclose(line([0, 1]), np.polyval(np.polyfit(C8.x, C8.y, 1), [0, 1]), atol=1e-12)
    mean = sb.minimum_norm(C8, affine="network", strength=1.0).function
    np.testing.assert_allclose(mean([-3, 3]), C8.y.mean())
    assert sb.minimum_norm(C8, penalize_bias=True, affine="network", output_bias=False, strength=1.0).function(0.3) == 0


@pytest.mark.parametrize("size", [2, 3, 20, 80])
def test_the_path_is_what_single_fits_say(size):
    data = noisy(size, seed=size)
    path = sb.weight_decay_path(data)
    assert np.all(np.diff(path.breaks) < 0)
    assert path.breaks.size == 0 or path.breaks[0] == pytest.approx(sb.largest_strength(data))
    top = sb.largest_strength(data) or 1.0
    for s in top * np.array([3, 0.7, 0.1, 1e-2, 1e-3, 1e-4]):
        found = sb.minimum_norm(data, strength=s)
        np.testing.assert_allclose(path.fitted([s])[0], found.function(data.x), atol=1e-10)
        assert path.losses([s])[0] == pytest.approx(found.loss, abs=1e-10)
        assert path.norms([s])[0] == pytest.approx(found.norm, abs=1e-7)
    np.testing.assert_allclose(path.fitted([0.0])[0], data.y, atol=1e-12)
    assert path.norms([0.0])[0] == pytest.approx(sb.minimum_norm(data).norm)


def test_ties_on_the_path():
    """Symmetric data: knots come in pairs, and breaks are those of either half."""
    x = np.linspace(-1, 1, 21)
    data = sb.Dataset(x, np.abs(x) + np.cos(9 * x))
    path = sb.weight_decay_path(data)
    for s in np.geomspace(1e-6, 1, 40) * path.breaks[0]:
        values = path.fitted([s])[0]
        np.testing.assert_allclose(values, values[::-1], atol=1e-9)
        np.testing.assert_allclose(values, sb.minimum_norm(data, strength=s).function(x), atol=1e-9)


def test_replicates_count_as_often_as_they_were_seen():
    x, y = np.repeat([0.0, 1, 2, 3], [1, 3, 2, 1]), np.array([0, 1, 1.5, 0.5, -1, -1.2, 0])
    data = sb.Dataset.from_replicates(x, y)
    found = sb.minimum_norm(data, strength=0.02)
    repeated = np.repeat(found.function(data.x), data.weights.astype(int))
    spread = np.repeat(data.y, data.weights.astype(int))
    assert found.loss == pytest.approx(np.mean((repeated - spread) ** 2) / 2)
    for move in np.eye(4):  # no move of the fitted values lowers the objective
        for step in (-1e-4, 1e-4):
            moved = sb.Dataset(data.x, found.function(data.x) + step * move)
            loss = np.sum(data.weights * (moved.y - data.y) ** 2) / (2 * data.weights.sum())
            assert loss + 0.02 * sb.minimum_norm(moved).norm >= found.objective - 1e-12


def test_cross_validation_is_the_least_score_of_a_fine_grid():
    data = noisy(40)
    path = sb.weight_decay_path(data)
    strength, score = path.gcv()
    plain, least = path.gcv(inflation=1)
    grid = np.geomspace(1e-6, 1, 4000) * path.breaks[0]
    df = path.degrees_of_freedom[np.searchsorted(-path.breaks, -grid)]
    used = 1.4 * df < 40
    scores = 2 * path.losses(grid)[used] / (1 - 1.4 * df[used] / 40) ** 2
    assert plain <= strength
    assert least <= score
    assert score <= scores.min() * (1 + 1e-12)
    assert score == pytest.approx(scores.min(), rel=0.01)
    assert np.isin(strength, path.breaks)
    assert sb.minimum_norm(data, strength=strength).knots.size < 15


def test_what_is_refused():
    with pytest.raises(sb.DataError, match="`data` must be a Dataset"):
        sb.weight_decay_path([1, 2])
    with pytest.raises(sb.DataError, match="`strengths` must be a finite real number >= 0, got -1"):
        sb.weight_decay_path(C8).fitted([0.1, -1])
    with pytest.raises(sb.DataError, match=r"more than 2\.8 points, got 2"):
        sb.weight_decay_path(sb.Dataset([0, 1], [0, 1])).gcv()
    with pytest.raises(sb.DataError, match="`inflation` must be a finite real number >= 1, got 0"):
        sb.weight_decay_path(C8).gcv(inflation=0)
    for value in (-1, np.nan, None):
        with pytest.raises(sb.DataError, match="`weight_decay` must be a finite real number >= 0"):
            sb.sgd_strength(value)
    assert sb.sgd_strength(0.02) == 0.01
