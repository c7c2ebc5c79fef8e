"""Distances on a box: known maxima and integrals, kinks, and refusals."""

import numpy as np
import pytest

import splinebias as sb

BOX = [(-1.0, 2.0), (0.0, 3.0)]


def zero(x):
    return np.zeros(x.shape[:-1])


def test_smooth_functions_have_their_maximum_and_integral():
    def bump(x):
        return np.exp(-((x[..., 0] - 0.3) ** 2) - 2 * (x[..., 1] - 1.7) ** 2)

    found = sb.compare_on_box(bump, zero, BOX)
    assert found.sup == pytest.approx(1.0, rel=1e-10)
    np.testing.assert_allclose(found.argmax, [0.3, 1.7], atol=1e-6)
    from scipy.special import erf

    def along(low, high, scale):  # the integral of exp(-scale x^2)
        return np.sqrt(np.pi / scale) / 2 * (erf(np.sqrt(scale) * high) - erf(np.sqrt(scale) * low))

    exact = np.sqrt(along(-1.3, 1.7, 2.0) * along(-1.7, 1.3, 4.0))
    assert abs(found.l2 - exact) <= 5 * found.l2_error + 1e-12
    assert found.l2_error < 1e-3


def test_kinks_and_corners_are_found():
    def tent(x):
        return 5 - np.abs(x[..., 0] - 0.123) - 3 * np.abs(x[..., 1] - 0.456)

    assert sb.compare_on_box(tent, zero, BOX).sup == pytest.approx(5.0, abs=1e-6)

    def ridge(x):
        return -np.abs(x[..., 0] + x[..., 1] - 1.1) - 0.1 * np.abs(x[..., 0] - x[..., 1] + 0.7) + 5

    assert sb.compare_on_box(ridge, zero, BOX).sup == pytest.approx(5.0, abs=1e-4)
    found = sb.compare(lambda x: x @ [1.0, -2.0], zero, BOX)
    assert found.sup == pytest.approx(7.0, rel=1e-12)
    np.testing.assert_array_equal(found.argmax, [-1.0, 3.0])


def test_the_seed_decides_and_signs_do_not():
    def wave(x):
        return np.sin(9 * x[..., 0]) * np.cos(7 * x[..., 1])

    one, two = sb.compare_on_box(wave, zero, BOX, seed=1), sb.compare_on_box(zero, wave, BOX, seed=1)
    assert (one.sup, one.l2) == (two.sup, two.l2)
    assert sb.compare_on_box(wave, zero, BOX, seed=2).l2 != one.l2
    assert sb.compare_on_box(wave, wave, BOX).sup == 0


def test_what_is_no_box_or_no_function_is_refused():
    for box in ([(0, 1), (1, 1)], (0, 1), [(0, np.inf)], "box", [(0, 1, 2)]):
        with pytest.raises(sb.DataError, match="a row \\(low, high\\)"):
            sb.compare_on_box(zero, zero, box)
    with pytest.raises(sb.DataError, match="callable"):
        sb.compare_on_box(zero, 3.0, BOX)
    with pytest.raises(sb.DataError, match="finite"):
        sb.compare_on_box(zero, lambda x: np.where(x[..., 0] > 0, np.nan, 1.0), BOX)


def test_the_default_box_is_that_of_the_problem():
    points = sb.Points([(0.0, 0.0), (1.0, 0.0), (0.0, 2.0)], [0.0, 1.0, 2.0])
    limit = sb.predict(sb.Problem(points, sb.Initialization.gaussian(dim=2)))
    by_default, on_box = (sb.compare(limit, lambda x: x[..., 0], *box) for box in ((), (limit.problem.default_box,)))
    assert by_default.sup == on_box.sup > 0
