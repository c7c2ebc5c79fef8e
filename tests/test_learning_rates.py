"""Learning rates as training time."""

import math

import numpy as np
import pytest

import splinebias as sb


def test_time_is_width_times_the_sum_of_learning_rates():
    assert sb.training_time(0.01, 500, steps=30) == pytest.approx(150)
    assert sb.training_time([0.01] * 30, 500) == pytest.approx(150)
    assert sb.training_time(lambda s: 0.01, 500, steps=30) == pytest.approx(150)
    assert sb.training_time(np.array([0.5, 0.0, 1.0]), 2) == 3
    assert sb.training_time(0.01, 500, steps=0) == sb.training_time([], 500) == 0
    assert sb.training_time(0.01, 500, steps=30, parameterization=sb.NTK()) == pytest.approx(0.3)


def test_momentum_and_the_mean_squared_error_speed_time_up():
    assert sb.training_time(0.01, 500, steps=30, momentum=0.9) == pytest.approx(1500)
    assert sb.training_time(0.01, 500, steps=30, momentum=0.9, dampening=0.9) == pytest.approx(150)
    assert sb.training_time(0.01, 500, steps=30, mean_squared_error=True) == pytest.approx(300)


def test_schedules_count_step_by_step():
    def cosine(s):
        return 0.01 * (1 + math.cos(math.pi * s / 100)) / 2

    expected = 300 * sum(map(cosine, range(100)))
    assert sb.training_time(cosine, 300, steps=100) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0.1, 0), {"steps": 1}, "`width` must be a whole number >= 1"),
        ((0.1, 10), {}, "`steps` must be a whole number >= 0, got None; give the number of steps"),
        ((0.0, 10), {"steps": 1}, "`learning_rate` must be a finite real number > 0"),
        (([0.1, math.nan], 10), {}, "`learning_rate` must be finite, got nan at index 1"),
        (([[0.1]], 10), {}, "`learning_rate` must be one-dimensional"),
        (([0.1], 10), {"steps": 2}, "left out beside a sequence of 1 learning rates"),
        ((lambda s: -1.0, 10), {"steps": 2}, "what the function says for step 0"),
        ((0.1, 10), {"steps": 1, "momentum": 1.0}, "`momentum` must be a finite real number >= 0 and < 1, got 1.0"),
        ((0.1, 10), {"steps": 1, "dampening": -0.5}, "`dampening` must be a finite real number >= 0"),
        ((0.1, 10), {"steps": 1, "mean_squared_error": "yes"}, "must be True or False"),
        ((0.1, 10), {"steps": 1, "parameterization": sb.NTK}, "must be sb.Standard"),
    ],
)
def test_what_is_refused(arguments, options, words):
    with pytest.raises(sb.DataError, match=words):
        sb.training_time(*arguments, **options)
