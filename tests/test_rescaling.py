"""Data in other units: what is solved there comes back exactly, and what does not depend on units does not change."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb

GAUSSIAN = sb.Initialization.gaussian()
FAR = sb.Problem(sb.datasets.titanium(), GAUSSIAN)
LAWS = {
    "gaussian": GAUSSIAN,
    "uniform": sb.Initialization.pytorch_default(),
    "rademacher": sb.Initialization.rademacher(st.uniform(-1, 2)),
    "heavy": sb.Initialization.rademacher(st.t(2.5)),
    "skewed": sb.Initialization.rademacher(st.gamma(2, -1.5, 0.7)),
    "one bias": sb.Initialization.constant_bias(1.0, st.norm(2, 0.3)),
    "far": sb.Initialization(st.norm(3, 0.1), st.norm(-3000, 30)),
    "circle": sb.Initialization.unit_circle(),
    "samples": sb.Initialization.from_samples(*np.random.default_rng(0).normal([[3.0], [0.0]], 1, size=(2, 500))),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_share_of_breakpoints_lies_among_the_data(name, share):
    lo, hi = sb.rescaled(replace(FAR, initialization=LAWS[name]), share=share).problem.data.span
    w, b = LAWS[name].pair_law.sample(50_000, np.random.default_rng(1))
    c = -b / w
    assert np.mean((lo < c) & (c < hi)) == pytest.approx(share, abs=0.03 if name != "samples" else 0.06)
    assert np.mean(c < lo) == pytest.approx(np.mean(c > hi), abs=0.06)


def test_results_come_back_exactly():
    units = sb.rescaled(FAR)
    limit = sb.predict(units.problem)
    f = units.restored(limit)
    np.testing.assert_allclose(f(FAR.data.x), FAR.data.y, rtol=0, atol=1e-13)
    inner = limit.function
    x = np.linspace(500, 1200, 41)
    np.testing.assert_allclose(f(x), units.y_origin + units.y_unit * inner(units.x(x)), rtol=1e-14)
    slope = (f(x + 1e-4) - f(x - 1e-4)) / 2e-4
    np.testing.assert_allclose(f(x, 1), slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(units.x(f.knots), inner.knots, rtol=0, atol=1e-12)
    assert sb.compare(f, f.function).sup == 0
    assert sb.compare(f, f).interval == FAR.default_interval
    np.testing.assert_array_equal(f.to_frame([600.0])["f"], f(np.array([600.0])))


def test_a_network_comes_back_too():
    units = sb.rescaled(sb.Problem(sb.Dataset([10, 20, 30], [100, 300, 200]), GAUSSIAN))
    run = sb.train(units.problem, 100, loss_tol=1e-6)
    found = units.restored(run)(np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(found, [100, 300, 200], rtol=0, atol=5 * units.y_unit * 1e-3)


def test_y_is_of_order_one_and_of_mean_zero():
    for factor in (1e-12, 1.0, 3e7):
        data = sb.Dataset([0, 1, 2, 3], factor * np.array([5.0, 6.0, 5.0, 9.0]), [1, 2, 1, 1])
        units = sb.rescaled(sb.Problem(data, GAUSSIAN))
        moved = units.problem.data
        assert 0.5 <= np.abs(moved.y).max() <= 1
        assert abs(moved.weights @ moved.y) < 1e-14
        np.testing.assert_array_equal(moved.weights, data.weights)
        assert np.frexp(units.y_unit)[0] == 0.5  # a power of two, so that dividing by it rounds nothing


def test_constant_data_keep_their_unit():
    units = sb.rescaled(sb.Problem(sb.Dataset([0, 1], [3, 3]), GAUSSIAN))
    assert units.y_unit == 1
    np.testing.assert_allclose(units.restored(sb.predict(units.problem))([0, 5]), 3, rtol=1e-14)


def test_with_a_free_line_and_constant_penalty_units_do_not_matter():
    """There the limit is the natural cubic spline, in all units."""
    data = sb.Dataset([0.1, 0.2, 0.3, 0.45], [5.0, 5.2, 4.9, 5.0])
    problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-1, 2)), affine="free")
    units = sb.rescaled(problem)
    assert sb.compare(units.restored(sb.predict(units.problem)), sb.predict(problem)).sup < 1e-11


def test_few_breakpoints_among_the_data_are_advised_on():
    assert "only 0.02% of the breakpoints of this law lie among the data" in sb.predict(FAR).advice
    assert "sb.rescaled(problem)" in str(sb.predict(FAR)) and "rescaled" not in repr(sb.predict(FAR))
    assert "sb.rescaled" in sb.predict(FAR)._repr_html_()
    assert sb.predict(sb.rescaled(FAR).problem).advice == ""
    wide = sb.Problem(sb.Dataset([-1e6, 0, 1e6], [0, 1, 0]), GAUSSIAN)
    assert "breakpoints" not in sb.predict(wide).advice  # all of them do: the data are sparse, which is another matter


@pytest.mark.parametrize("share", [0, 1, 1.5, np.nan, "half"])
def test_shares_are_between_zero_and_one(share):
    with pytest.raises(sb.DataError, match="`share` must be"):
        sb.rescaled(FAR, share=share)


def test_what_belongs_to_other_data_is_refused():
    units = sb.rescaled(FAR)
    with pytest.raises(sb.DataError, match="`result` must be one of the rescaled problem"):
        units.restored(sb.predict(FAR))
    with pytest.raises(sb.DataError, match="`result` must be a function of x"):
        units.restored(3)
    with pytest.raises(sb.DataError, match="`problem` must be an sb.Problem"):
        sb.rescaled(FAR.data)


def test_training_times_are_those_of_the_units():
    """The numbers of the docstring: one smoothness, ten times the time in milliseconds."""
    problem = sb.Problem(sb.datasets.mcycle(), GAUSSIAN)
    there, here = sb.gcv_time(problem).value, sb.gcv_time(sb.rescaled(problem).problem).value
    assert there == pytest.approx(1.46e6, rel=0.01)
    assert here == pytest.approx(1.52e5, rel=0.01)


def test_parts_of_a_problem_are_replaced_by_name():
    other = FAR.replace(potential=sb.Scaled(sb.Hypentropy(0.1)), affine="free")
    assert other == replace(FAR, potential=sb.Scaled(sb.Hypentropy(0.1)), affine="free")
    with pytest.raises(
        sb.DataError, match="`Problem.replace` takes data, initialization, .*, got 'potentail'; did you mean 'potential'"
    ):
        FAR.replace(potentail=sb.Quadratic())
    with pytest.raises(sb.DataError, match="`affine` must be"):
        FAR.replace(affine="none")
