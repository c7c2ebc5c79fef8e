"""Studies of several inputs: rate and constant, stores that go on, TOML with several columns, refusals."""

import math
import sqlite3

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.studies.store.packing import pack, unpack

X = np.array([(-0.8, -0.6), (-0.7, 0.5), (-0.1, -0.2), (0.4, 0.3), (0.7, -0.4)])
POINTS = sb.Points(X, [0.2, -0.1, 0.3, 0.2, 0.1])
SPHERE = sb.Initialization.sphere(st.uniform(-2, 4), dim=2)  # biases reach the corners of the box
PROBLEM = sb.Problem(POINTS, SPHERE, affine="free")
AT = np.random.default_rng(0).uniform(-1, 1, (50, 2))
METHOD = sb.MirrorFlow(rtol=1e-3)


@pytest.fixture(scope="module")
def study():
    return sb.study(PROBLEM, [60, 240], range(3), method=METHOD, loss_tol=1e-7, progress=False)


def test_errors_are_those_of_the_networks_and_near_the_prediction(study):
    assert study.interval == tuple(map(tuple, PROBLEM.default_box.tolist()))
    for row in study.rows:
        assert row.ok
        assert math.isnan(row.argmax)
        assert math.isnan(row.network_penalty)
        again = sb.compare(study.function(row.width, row.seed), study.prediction.function, study.interval)
        assert (again.sup, again.l2) == (row.sup, row.l2)
    assert study.rate.low < -0.5 < study.rate.high
    assert 0.3 < study.predicted.ratio.value < 2
    assert "measured/predicted" in str(study)
    assert "on [-1.175, 1.075] x [" in str(study)
    shift, error = study.mean_shift(240, AT)
    assert shift.shape == error.shape == (50,)
    assert np.abs(shift).max() < 0.2
    with pytest.raises(sb.CapabilityError, match="one input"):
        study.places  # noqa: B018
    labels = study.plot().get_legend_handles_labels()[1]
    assert any(label.startswith("predicted") for label in labels)


def test_a_store_is_gone_on_with_and_holds_the_same_networks(study, tmp_path):
    path, half = tmp_path / "study.sqlite", {"method": METHOD, "loss_tol": 1e-7, "progress": False}
    sb.study(PROBLEM, [60], range(3), store=path, **half)
    with pytest.raises(sb.DataError, match="smaller grid"):
        sb.study(PROBLEM, [60, 240], range(3), store=path, **half)
    found = sb.study(PROBLEM, [60, 240], range(3), store=path, extend=True, **half)
    loaded = sb.Study.load(path)
    for other in (found, loaded):
        assert other.interval == study.interval
        for one, two in zip(other.rows, study.rows, strict=True):
            np.testing.assert_equal(one._replace(seconds=0)._asdict(), two._replace(seconds=0)._asdict())
        np.testing.assert_array_equal(other.function(240, 2)(AT), study.function(240, 2)(AT))
        np.testing.assert_array_equal(other.function(240, 2).gradient(AT), study.function(240, 2).gradient(AT))


def test_a_specification_with_several_columns_is_read_from_toml(tmp_path):
    (tmp_path / "points.csv").write_text(
        "u,v,z\n" + "\n".join(f"{a},{b},{y}" for (a, b), y in zip(X, POINTS.y, strict=True))
    )
    text = """
[study]
widths = [20, 40]
seeds = 2
interval = [[-1, 1], [-1.0, 0.5]]
[problems.own.data]
csv = "points.csv"
x = ["u", "v"]
y = "z"
[problems.own.initialization.joint]
name = "sphere"
dim = 2
bias = {name = "uniform", args = [-1.5, 3.0]}
[problems.given.data]
x = [[0, 1], [1, 0], [1, 1]]
y = [0, 1, 2]
[problems.given.initialization.joint]
name = "coordinates"
dim = 2
weight = {name = "norm"}
bias = {name = "norm"}
"""
    (tmp_path / "study.toml").write_text(text)
    spec = sb.StudySpec.from_toml(tmp_path / "study.toml")
    own = spec.cases[0]
    np.testing.assert_array_equal(own.problem.data.x, POINTS.x)
    assert own.interval == ((-1.0, 1.0), (-1.0, 0.5))
    assert sb.StudySpec.from_toml(spec.to_toml()) == spec
    found = sb.study_grid(
        sb.StudySpec(dict(spec.problems), [20], [0], interval=spec.interval, loss_tol=1e-3), progress=False
    )
    assert [part.rows[0].ok for part in found.parts] == [True, True]


def test_two_studies_of_one_limit_are_found_to_have_one():
    hyper = PROBLEM.replace(potential=sb.Hypentropy(0.5))
    both = [sb.study(p, [60, 240], range(4), method=METHOD, loss_tol=1e-7, progress=False) for p in (PROBLEM, hyper)]
    assert sb.compare_limits(*both).pvalue > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": (-1, 1)}, "a box of 2 pairs"),
        ({"interval": [(-1, 1)] * 3}, "a box of 2 pairs"),
        ({"interval": [(1, -1)] * 2}, "low < high"),
        ({"interval": [(1, 2), (1, 2, 3)]}, "`interval` must be"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(sb.DataError, match=message):
        sb.study(PROBLEM, [20], [0], **change)


def test_points_of_one_input_and_a_box_for_one_input_are_refused():
    line = sb.Problem(sb.Points([[0], [1]], [0, 1]), sb.Initialization.gaussian())
    with pytest.raises(sb.CapabilityError, match="sb.Dataset"):
        sb.study(line, [20], [0])
    with pytest.raises(sb.DataError, match=r"must be \(low, high\) for Dataset"):
        sb.study(sb.Problem(sb.Dataset([0, 1], [0, 1]), sb.Initialization.gaussian()), [20], [0], interval=[(0, 1)] * 2)


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.LeakyReLU(0.2), sb.ReLUPower(2)], ids=str)
def test_networks_of_several_inputs_are_packed_exactly(activation):
    function = sb.Network.sample(sb.Problem(POINTS, SPHERE, activation), 7, 3).function()
    again = unpack(pack(function))
    np.testing.assert_array_equal(again(AT), function(AT))
    assert again.activation == function.activation


def test_damaged_networks_and_boxes_are_refused(tmp_path):
    content = pack(sb.Network.sample(PROBLEM, 7, 3).function())
    fewer, other = content.replace(b'"inputs": 2', b'"inputs": 1'), content.replace(b'"relu"', b'"rolu"')
    for wrong in (content[:-3], content[:-8], fewer, other, b"U{}\n", b"U[\n" + bytes(64)):
        with pytest.raises(sb.DataError, match="bytes are no packed function"):
            unpack(wrong)
    path = tmp_path / "study.sqlite"
    sb.study(PROBLEM, [10], [0], store=path, loss_tol=1e-1, progress=False)
    for lo in ("[1", "[1, 2, 3]", "[5, 5]"):
        with sqlite3.connect(path) as file:
            file.execute("UPDATE cases SET lo = ?", (lo,))
        file.close()
        with pytest.raises(sb.DataError, match="is damaged"):
            sb.Study.load(path)
