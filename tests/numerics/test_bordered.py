"""Newton systems: a tridiagonal block with a border of two, beside dense algebra."""

import numpy as np
import pytest

from splinebias.numerics.bordered import BorderedTridiagonal


def dense(system):
    """The whole matrix."""
    inner = np.diag(system.diagonal) + np.diag(system.off, 1) + np.diag(system.off, -1)
    return np.block([[system.corner, system.border], [system.border.T, inner]])


def random_system(seed, m, units=(1.0, 1.0)):
    """A Gram matrix of hats and of two functions of any size in every interval."""
    rng = np.random.default_rng(seed)
    hats = np.zeros((m + 2, 4 * m + 8))
    for row in range(m):
        hats[row + 2, 4 * row : 4 * row + 8] = rng.uniform(0.1, 1, 8)
    hats[:2] = rng.normal(size=(2, hats.shape[1])) * np.array(units)[:, None]
    gram = hats @ hats.T
    inner = gram[2:, 2:]
    return BorderedTridiagonal(np.diag(inner).copy(), np.diag(inner, 1).copy(), gram[:2, 2:], gram[:2, :2])


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e-30, 1e20)])
@pytest.mark.parametrize("m", [0, 1, 2, 40])
def test_solution_is_that_of_the_dense_system(m, units):
    system = random_system(m, m, units)
    scale = np.r_[units, np.ones(m)]
    solution = np.random.default_rng(99).normal(size=m + 2) / scale
    np.testing.assert_array_equal(system.dense(), dense(system))
    found = system.solve(dense(system) @ solution)
    np.testing.assert_allclose(found * scale, solution * scale, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dead", [0, 1])
def test_a_direction_without_curvature_gets_zero(dead):
    corner = np.diag([4.0, 4.0])
    corner[dead, dead] = 0.0
    system = BorderedTridiagonal(np.empty(0), np.empty(0), np.zeros((2, 0)), corner)
    np.testing.assert_array_equal(system.solve(np.array([8.0, 8.0])), np.where(np.arange(2) == dead, 0.0, 2.0))


@pytest.mark.parametrize("sign", [1, -1])
def test_two_directions_that_are_one_get_the_least_norm(sign):
    corner = np.array([[1.0, sign], [sign, 1.0]])
    system = BorderedTridiagonal(np.empty(0), np.empty(0), np.zeros((2, 0)), corner)
    np.testing.assert_allclose(system.solve(np.array([3.0, 3.0 * sign])), [1.5, 1.5 * sign], rtol=1e-15)


def test_nothing_to_solve_for():
    nothing = np.empty(0)
    assert BorderedTridiagonal(nothing, nothing, np.zeros((0, 0)), np.zeros((0, 0))).solve(nothing).size == 0
