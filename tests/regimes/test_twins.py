"""All variants of minimum_norm beside convex programs that share nothing with them."""

import numpy as np
import pytest
from regimes.twins import free_biases, penalized_biases

import splinebias as sb

CONVEX = sb.Dataset([-2, -1.1, -0.2, 0.4, 1.3, 1.9], [3.9, 1.2, 0, 0.3, 1.6, 3.7], [1, 2, 1, 3, 1, 1])
SMALL = {
    "D7": sb.Dataset([-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1], [0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1]),
    "convex, weighted, wide": CONVEX,
    "steep": sb.Dataset([0.5, 1, 2.5, 3], [1, 3, 7, 8.4]),
    "two points": sb.Dataset([-1, 2], [0.3, 1.1]),
}
STRENGTHS = [0.0, 0.003, 0.05, 0.4]
VARIANTS = [("free", True), ("network", True), ("network", False)]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("affine", ["free", "network"])
def test_free_biases(name, affine):
    for strength in STRENGTHS:
        found = sb.minimum_norm(SMALL[name], affine=affine, strength=strength)
        twin = free_biases(SMALL[name], affine, strength)
        assert found.outcome.ok
        assert found.objective == pytest.approx(twin, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("affine", "output_bias"), VARIANTS)
def test_penalized_biases(name, affine, output_bias):
    for strength in STRENGTHS[::2] + STRENGTHS[1:2]:
        kind = {"penalize_bias": True, "affine": affine, "output_bias": output_bias}
        found = sb.minimum_norm(SMALL[name], **kind, strength=strength)
        twin = penalized_biases(SMALL[name], affine, output_bias, strength)
        assert found.residual <= 1e-9
        assert found.objective == pytest.approx(twin, rel=1e-7, abs=1e-8)


def test_exchange_and_shortest_paths_agree():
    """With an output bias and bends enough to share, the network needs no more than with a skip connection."""
    from splinebias.regimes.least_norm.exchange import exchange
    from splinebias.regimes.least_norm.sectors import Sectors

    rng = np.random.default_rng(1)
    for size in (4, 9, 16):
        x, y = np.sort(rng.uniform(-2, 2, size)), rng.normal(size=size)
        paths = sb.minimum_norm(sb.Dataset(x, y), penalize_bias=True)
        for free in (True, False):
            found = exchange(Sectors.of(x, y, np.ones(size), free=free, constant=True), 0.0)
            assert found.residual <= 1e-9
            assert found.atoms.norm == pytest.approx(paths.norm, rel=1e-9)


def test_far_from_zero_and_on_every_scale():
    for kind in ({"affine": "free"}, {"affine": "network"}):
        x, y = np.array([-1, -0.6, 0.1, 0.2, 0.8]), np.array([0.1, 0.9, -0.3, 0.5, 0])
        for strength in (0.0, 0.02):
            base = sb.minimum_norm(sb.Dataset(x, y), penalize_bias=True, **kind, strength=strength)
            big = sb.minimum_norm(sb.Dataset(x, 1e12 * y), penalize_bias=True, **kind, strength=1e12 * strength)
            small = sb.minimum_norm(sb.Dataset(x, 1e-12 * y), penalize_bias=True, **kind, strength=1e-12 * strength)
            far = sb.minimum_norm(sb.Dataset(2457000.5 + x, y), penalize_bias=True, **kind, strength=strength / 2457000.5)
            near = sb.minimum_norm(sb.Dataset(x, y), **kind, strength=strength)
            assert big.norm == pytest.approx(1e12 * base.norm, rel=1e-9)
            assert small.norm == pytest.approx(1e-12 * base.norm, rel=1e-9)
            if kind["affine"] == "free":  # far from zero all bends cost alike
                assert far.norm / 2457000.5 == pytest.approx(near.norm, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_extreme_units(scale):
    """With a skip connection every scale of x is solved; without one, what is not says so."""
    x, y = scale * np.array([-1, -0.6, 0.1, 0.2, 0.8]), np.array([0.1, 0.9, -0.3, 0.5, 0])
    data = sb.Dataset(x, y)
    for penalize_bias in (False, True):
        top = sb.largest_strength(data, penalize_bias=penalize_bias)
        for share in (0.0, 0.1):
            found = sb.minimum_norm(data, penalize_bias=penalize_bias, strength=share * top)
            assert found.outcome.ok
            if not share:
                np.testing.assert_allclose(found.function(x), y, atol=1e-9)
    kind = {"penalize_bias": True, "affine": "network"}
    assert sb.minimum_norm(data, **kind, strength=0.1 * sb.largest_strength(data, **kind)).outcome.ok
    for output_bias in (True, False):
        found = sb.minimum_norm(data, penalize_bias=True, affine="network", output_bias=output_bias)
        misfit = np.abs(found.function(x) - y).max()
        assert misfit < 1e-6 or found.outcome is sb.Outcome.INACCURATE


def test_symmetric_data_have_symmetric_minimizers():
    x = np.linspace(-1, 1, 9)
    data = sb.Dataset(x, np.abs(x) ** 1.5 - np.cos(4 * x))
    for strength in (0.0, 0.001, 0.01, 0.1):
        for affine, output_bias in VARIANTS:
            for penalize_bias in (False, True):
                kind = {"penalize_bias": penalize_bias, "affine": affine, "output_bias": output_bias}
                f = sb.minimum_norm(data, **kind, strength=strength).function
                np.testing.assert_allclose(f(x), f(-x), atol=1e-8)


def test_many_points_are_refused_where_directions_are_exchanged():
    x = np.linspace(0, 1, 100_000)
    data = sb.Dataset(x, x + np.sin(x))
    kind = {"penalize_bias": True, "affine": "network", "output_bias": False}
    with pytest.raises(
        sb.CapabilityError, match=r"at most 200 points here, got 100000; affine='free' .* a small strength, up to"
    ):
        sb.minimum_norm(data, **kind)
    with pytest.raises(sb.CapabilityError, match=r"at most 10000 points here, got 100000; affine='free' takes any number"):
        sb.minimum_norm(data, **kind, strength=0.1)
    assert sb.minimum_norm(data, penalize_bias=True).outcome.ok


@pytest.mark.parametrize("output_bias", [True, False])
def test_two_thousand_points_beside_a_network_without_skip_connection(output_bias):
    """The certificate by its definition: no unit of a fine grid of directions, data among them, is worth its price."""
    rng = np.random.default_rng(8)
    x = np.sort(rng.uniform(-1, 1, 2000))
    data = sb.Dataset(x, np.sin(6 * x) + 0.3 * rng.normal(size=2000))
    kind = {"penalize_bias": True, "affine": "network", "output_bias": output_bias}
    strength = 0.01 * sb.largest_strength(data, **kind)
    found = sb.minimum_norm(data, **kind, strength=strength)
    assert found.residual <= 1e-10
    pull = (data.y - found.function(x)) / (2000 * strength)
    angle = np.r_[np.linspace(0, 2 * np.pi, 1001), np.arctan(x[::4]), np.arctan(x[::4]) + np.pi]
    g = pull @ np.maximum(np.cos(angle) * x[:, None] - np.sin(angle), 0)
    assert 0.999 < np.abs(g).max() <= 1 + 1e-9
    assert found.norm == pytest.approx(
        pull @ (found.function(x) - (found.function(x).mean() if output_bias else 0)), rel=1e-9
    )
    if output_bias:
        assert pull.sum() == pytest.approx(0, abs=1e-7 * np.abs(pull).sum())
