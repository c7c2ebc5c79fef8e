"""Numbers as they come: whole floats, numpy numbers, arrays and tensors of no dimension."""

import numpy as np
import pytest
import torch

import splinebias as sb
from splinebias._arguments import real_number, whole_number
from splinebias.errors import DataError


@pytest.mark.parametrize(
    "value", [1000, 1e3, np.int64(1000), np.float32(1000), np.array(1000), np.array(1e3), torch.tensor(1000)]
)
def test_whole_numbers_are_whole_whatever_their_type(value):
    found = whole_number(value, "width", at_least=1)
    assert (found, type(found)) == (1000, int)
    assert real_number(value, "time") == 1000.0


@pytest.mark.parametrize(
    "value", [1.5, np.nan, np.inf, True, np.True_, np.array(True), np.array([3]), "3", None, 3j, -1, -1.0]
)
def test_what_is_no_whole_number_is_refused_as_it_was_given(value):
    with pytest.raises(DataError, match="`width` must be a whole number >= 0, got ") as refused:
        whole_number(value, "width")
    assert repr(value) in str(refused.value)


def test_huge_floats_are_whole_and_huge_integers_are_no_floats():
    assert whole_number(1e300, "seed") == int(1e300)
    with pytest.raises(DataError, match="`a` must be a finite real number, got 1000"):
        real_number(10**400, "a")


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (lambda n: sb.Power(n(4), quadratic=n(1)), sb.Power(4, quadratic=1)),
        (lambda n: sb.Hypentropy(n(2)), sb.Hypentropy(2)),
        (lambda n: sb.LeakyReLU(n(3)), sb.LeakyReLU(3)),
        (lambda n: sb.ReLUPower(n(2)), sb.ReLUPower(2)),
        (lambda n: sb.MirrorFlow(rtol=n(1), max_steps=n(9)), sb.MirrorFlow(rtol=1, max_steps=9)),
        (lambda n: sb.NeuronFlow(max_steps=n(9)), sb.NeuronFlow(max_steps=9)),
        (lambda n: sb.MirrorDescent(learning_rate=n(1), max_steps=n(9)), sb.MirrorDescent(learning_rate=1, max_steps=9)),
        (
            lambda n: sb.StochasticMirrorDescent(max_steps=n(9), batch_size=n(2)),
            sb.StochasticMirrorDescent(max_steps=9, batch_size=2),
        ),
    ],
    ids=["power", "hypentropy", "leaky", "relu power", "flow", "neurons", "descent", "stochastic"],
)
@pytest.mark.parametrize("number", [np.array, np.int64, lambda n: np.array(float(n))], ids=["0-d", "int64", "0-d float"])
def test_numbers_of_numpy_are_numbers(given, plain, number):
    """They print, compare and hash like Python's."""
    made = given(number)
    assert made == plain
    assert hash(made) == hash(plain)
    assert "array" not in repr(made) and "np." not in repr(made)


def test_times_seeds_and_widths_may_be_numbers_of_numpy():
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.pytorch_default())
    assert sb.predict(problem, time=np.array(3)).function(0.3) == sb.predict(problem, time=3.0).function(0.3)
    assert sb.predict_path(problem, [np.array(1), np.float32(2)]).times.tolist() == [1, 2]
    runs = sb.train_ensemble(problem, np.array(20.0), np.array([0.0, 1.0]), loss_tol=1e-2)
    assert [run.seed for run in runs] == [0, 1]
    with pytest.raises(sb.DataError, match="`widths` must be a sequence of whole numbers"):
        sb.study(problem, np.array(20), [0])
