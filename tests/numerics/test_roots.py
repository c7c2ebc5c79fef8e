"""Many monotone equations at once, harmless and nasty."""

import numpy as np
import pytest

from splinebias.numerics.roots import increasing_roots

SHAPES = {
    "line": (lambda t: 2 * t, lambda t: np.full_like(t, 2.0)),
    "cube": (lambda t: t**3, lambda t: 3 * t**2),
    "cube root": (np.cbrt, lambda t: 1 / (3 * np.cbrt(t) ** 2)),
    "sinh": (np.sinh, np.cosh),
    "steep": (lambda t: t * 1e12 + np.tanh(t), lambda t: 1e12 + 1 / np.cosh(t) ** 2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("start", [0.0, 1.0, -40.0])
def test_roots_are_found_from_anywhere(shape, start):
    value, slope = SHAPES[shape]
    root = np.array([-300.0, -1.0, -1e-9, 0.0, 1e-40, 1.0, 2.5, 600.0])
    wanted = value(root)

    def function(t, subset):
        with np.errstate(all="ignore"):
            now, rise = value(t), slope(t)
        return now - wanted[subset], np.where(np.isfinite(rise), rise, 0.0), np.abs(now) + np.abs(wanted[subset])

    found = increasing_roots(function, np.full(root.size, start))
    np.testing.assert_allclose(value(found), wanted, rtol=3e-14, atol=1e-100)


def test_solved_entries_are_not_evaluated_again():
    sizes = []

    def function(t, subset):
        sizes.append(subset.size)
        return t**3 - np.where(subset == 0, 0.0, 8.0), 3 * t**2, np.abs(t) ** 3 + 8

    found = increasing_roots(function, np.array([0.0, 2.0, 3.0, 1e6]))
    np.testing.assert_allclose(found, [0, 2, 2, 2], rtol=1e-14)
    assert sizes[0] == 4
    assert sizes[1] == 2
    assert sizes == sorted(sizes, reverse=True)
