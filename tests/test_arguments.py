"""Numbers as they come: whole floats, numpy numbers, arrays and tensors of no dimension."""

import inspect
import pickle
import re

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb
from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._result import Printed
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
    assert sb.study(problem, np.array(20), [0], loss_tol=1e-2).rows[0].width == 20


def test_one_number_stands_for_a_list_of_it_where_that_is_clear():
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.rademacher(st.uniform(-2, 4)))
    for one in (3, 3.0, np.int64(3), np.array(3.0)):
        assert sb.predict_path(problem, one).times.tolist() == [3.0]
        assert sb.MirrorFlow(saveat=one).saveat == sb.NeuronFlow(saveat=one).saveat == (3.0,)
        assert sb.StudySpec(problem, one, [0]).widths == (3,)
    rich = problem.replace(parameterization=sb.MeanField(1.0))
    found = sb.fluctuations(rich, np.array(0.5), x=np.float32(0.25), particles=np.array(64), tolerance=np.array(1.0))
    assert (found.times.tolist(), found.x.tolist()) == ([0.5], [0.25])
    run = sb.train(problem, 20, loss_tol=1e-2)
    assert run.network.linearized(problem, time=np.array(2.0))(0.3) == run.network.linearized(problem, time=2.0)(0.3)
    with pytest.raises(sb.DataError, match=re.escape("got 3; one seed is [3], so many are range(3)")):
        sb.train_ensemble(problem, 20, 3)
    with pytest.raises(sb.DataError, match="`seeds` must be a sequence of whole numbers, got 3"):
        sb.StudySpec(problem, [20], np.array(3))


# -- unknown keywords -------------------------------------------------------------------------------------------------

NOT_CALLED = {"Ensemble", "Loss", "Outcome", "Potential", "plot"}  # a tuple, abstract classes, an enumeration; **options


def called_by_users(called):
    """Whether a public name is a function, or a class that is no result and no error."""
    return callable(called) and not (inspect.isclass(called) and issubclass(called, Printed | Exception))


CALLED = {name: called for name in sorted({*sb.__all__} - NOT_CALLED) if called_by_users(called := getattr(sb, name))}
CALLED |= {
    f"{name}.{method}": getattr(called, method)
    for name, called in CALLED.items()
    if inspect.isclass(called)
    for method, member in vars(called).items()
    if isinstance(member, classmethod) and not method.startswith("_")
}


@pytest.mark.parametrize("name", CALLED)
def test_unknown_keywords_are_refused_and_the_valid_ones_listed(name):
    with pytest.raises(DataError) as refused:
        CALLED[name](no_such_keyword=1)
    assert isinstance(refused.value, TypeError)
    message = str(refused.value)
    assert message.startswith(f"`{name}` takes ") and "got 'no_such_keyword'" in message
    for part in inspect.signature(CALLED[name]).parameters.values():
        if part.kind in (part.POSITIONAL_OR_KEYWORD, part.KEYWORD_ONLY):
            assert part.name in message


def test_the_verbs_and_nouns_of_every_day_are_among_those_that_list_their_keywords():
    verbs = {"predict", "train", "study", "compare", "error_band", "laziness", "minimum_norm", "fluctuations", "verify"}
    assert verbs | {"Problem", "Initialization", "Initialization.gaussian", "Dataset", "MirrorFlow", "Power"} <= set(CALLED)
    assert {"SplineBiasRegressor", "StudySpec", "Network.sample", "Dataset.from_csv"} <= set(CALLED)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p: sb.predict(p, tiem=1.0),
            "`predict` takes problem, solver, time, start, .*got 'tiem'; did you mean 'time'",
        ),
        (lambda p: p.replace(potentail=1), "`Problem.replace` takes data, .* got 'potentail'; did you mean 'potential'"),
        (lambda p: sb.Initialization.gaussian(sw=1), "takes s_w, s_b, dim, got 'sw'; did you mean 's_w'"),
        (lambda p: sb.predict(p).plot(colour="red"), "the picture of Prediction takes interval, label, color, .*'color'"),
        (lambda p: sb.laziness(p, 50).plot(inteval=1), "the picture of Laziness takes .*got 'inteval'"),
        (
            lambda p: sb.Dataset([0, 1], [0, 1], period=1),
            "periodic data are not supported: a network .*; repeat the data over",
        ),
        (lambda p: sb.Quadratic(beta=1), "`Quadratic` takes no keywords, got 'beta'"),
        (
            lambda p: sb.Initialization.xavier(),
            "`Initialization.xavier` takes width, bias; missing a required argument: 'width'",
        ),
        (
            lambda p: sb.Initialization.constant_bias(1, st.norm(), 3),
            "takes beta, weight_law; too many positional arguments",
        ),
        (
            lambda p: sb.minimum_norm([0, 1], [0, 1]),
            "`minimum_norm` takes data, .*; too many positional arguments",
        ),
        (lambda p: sb.predict(p, problem=p), "takes problem, solver, .*; multiple values for argument 'problem'"),
    ],
    ids=[
        "verb",
        "replace",
        "preset",
        "plot",
        "plot of another",
        "period",
        "none",
        "missing",
        "too many",
        "by name",
        "twice",
    ],
)
def test_arguments_that_are_not_taken_are_refused_in_words(call, message):
    problem = sb.Problem(sb.Dataset([0, 1, 2], [0, 1, 0]), sb.Initialization.gaussian())
    with pytest.raises(DataError, match=message):
        call(problem)


def test_what_checks_its_keywords_is_otherwise_as_it_was():
    assert pickle.loads(pickle.dumps(sb.predict)) is sb.predict
    assert list(inspect.signature(sb.Problem).parameters)[:2] == ["data", "initialization"]
    with pytest.raises(TypeError, match="missing a required argument: 'problem'"):
        sb.predict()
    with pytest.raises(TypeError, match="inner"):  # errors of the body are left alone
        known_keywords(body_that_fails)(value=1)


def body_that_fails(value):
    raise TypeError(f"inner {value}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sb.gcv_time(5), "`problem` must be an sb.Problem, got 5"),
        (lambda: sb.gcv_regularization(None), "`problem` must be an sb.Problem, got None"),
        (lambda: sb.smoothing_spline("p", 1.0), "`problem` must be an sb.Problem, got 'p'"),
        (lambda: sb.verify(["W"]), "`papers` must be among"),
        (lambda: sb.agreement(3), "`study` must be what sb.study or sb.study_grid hands back"),
        (lambda: sb.alignment_measures(3), "`run` must be what sb.train hands back"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_words(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: sb.verify("W", fast=3),
        lambda: sb.Initialization.pytorch_default(both_layers="yes"),
        lambda: sb.Initialization(st.norm(), st.norm(), antisymmetric=1),
        lambda: sb.Dataset.from_csv("data.csv", replicates="no"),
        lambda: sb.minimum_norm(sb.Dataset([0, 1], [0, 1]), penalize_bias=1),
        lambda: sb.study(
            sb.Problem(sb.Dataset([0, 1], [0, 1]), sb.Initialization.gaussian()), [2], [0], extend=None, store="none"
        ),
    ],
)
def test_what_is_neither_true_nor_false_is_refused(call):
    with pytest.raises(DataError, match="must be True or False, got"):
        call()
