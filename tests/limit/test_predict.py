"""predict and predict_path: what they refuse, in one line and before any work, and what their numbers count."""

import time

import numpy as np
import pytest
from problems import PUBLISHED, UNIFORM

import splinebias as sb

PROBLEM = PUBLISHED["A"][0]


def refusal(call):
    """The message of a DataError, which has to be one line."""
    with pytest.raises(sb.DataError) as error:
        call()
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (-1, "-1"),
        (np.nan, "nan"),
        ("a", "'a'"),
        (None, "None"),
        (1j, "1j"),
        (True, "True"),
        (np.ones(3000), "an array of shape (3000,)"),
        ([1.0], "[1.0]"),
    ],
)
def test_times_are_numbers_from_zero_to_infinity(value, got):
    assert refusal(lambda: sb.predict(PROBLEM, time=value)) == (
        f"`time` must be a number >= 0, got {got}; inf stands for the limit"
    )
    if got not in ("None", "'a'"):
        assert f"`times[1]` must be a number >= 0, got {got}" in refusal(lambda: sb.predict_path(PROBLEM, [0, value]))


@pytest.mark.parametrize("times", [[], np.array([]), None, "123", b"1"])
def test_a_path_needs_a_vector_of_times(times):
    message = refusal(lambda: sb.predict_path(PROBLEM, times))
    assert message.startswith("`times` must be one number >= 0 or a vector of such numbers, got ")


def test_times_beyond_double_precision_are_refused():
    assert "`time` must be at most 1.8e+308" in refusal(lambda: sb.predict(PROBLEM, time=10**400))


def test_times_come_back_in_the_order_asked_for():
    path, again = sb.predict_path(PROBLEM, [100, 0, np.inf, 10]), sb.predict_path(PROBLEM, [0, 10, 100, np.inf])
    x = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(path(x), again(x)[[2, 0, 3, 1]])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, 1e-320], [0, 1], "predictions need neighbouring x at least 1e-50 apart, got 9.99989e-321; rescale or merge"),
        ([0, 1e-60, 1], [0, 1, 0], "predictions need neighbouring x at least 1e-50 apart, got 1e-60"),
        ([-1e308, 1e308], [0, 1], "predictions need |x| <= 1e+50, got 1e+308; rescale the data"),
        ([0, 1], [0, -1e51], "predictions need |y| <= 1e+50, got 1e+51; rescale the data"),
    ],
)
def test_squares_of_slopes_have_to_be_doubles(x, y, message):
    problem = sb.Problem(sb.Dataset(x, y), sb.Initialization.gaussian())
    for call in (lambda: sb.predict(problem), lambda: sb.predict_path(problem, [1.0])):
        assert message in refusal(call)


@pytest.mark.parametrize("size", [1e50, 1e-50])
@pytest.mark.parametrize("law", [sb.Initialization.gaussian(), sb.Initialization.pytorch_default(), UNIFORM])
@pytest.mark.parametrize("affine", ["network", "free"])
def test_nothing_at_the_edge_of_the_range_is_called_converged_and_is_not_a_number(size, law, affine):
    extremes = [([0, size], [0, 1]), ([0, 1], [0, size])]
    if size > 1:
        extremes.append(([0, 1e-50, size], [size, 0, 1]))
    bent = ([-size, 0, size], [1, -1, 1])
    if law is UNIFORM and size > 1:
        with pytest.raises(sb.DataError, match="no neuron can bend the function near x = 0"):
            sb.predict(sb.Problem(sb.Dataset(*bent), law, affine=affine))
    else:
        extremes.append(bent)
    for x, y in extremes:
        with np.errstate(all="ignore"):
            found = sb.predict(sb.Problem(sb.Dataset(x, y), law, affine=affine))
        values = [found.penalty, found.residual, *found.function(found.problem.data.x)]
        assert np.isfinite(values).all() or found.outcome is sb.Outcome.INACCURATE


@pytest.mark.parametrize("arguments", [{}, {"solver": sb.KernelSolver()}, {"time": 10.0}])
def test_seconds_are_those_of_the_whole_call(arguments, monkeypatch):
    """Preparations outside the solver count: here, slow checks."""
    check = sb.Problem.two_slopes.fget

    def slow(problem):
        time.sleep(0.01)
        return check(problem)

    monkeypatch.setattr(sb.Problem, "two_slopes", property(slow))
    began = time.perf_counter()
    found = sb.predict(PROBLEM, **arguments)
    assert 0.01 <= found.stats["seconds"] <= time.perf_counter() - began
