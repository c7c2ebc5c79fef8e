"""The mean-field parameterization: units, text, who takes it and who refuses it."""

import json

import numpy as np
import pytest
import scipy.stats as st
from click.testing import CliRunner
from problems import SET_A

import splinebias as sb
from splinebias.cli.main import main
from splinebias.training.default import default_method

LAW = sb.Initialization(st.norm(0, 1), st.norm(0, 1), output=st.norm(0, 1))
RICH = sb.Problem(SET_A, LAW, parameterization=sb.MeanField(2.0))


@pytest.mark.parametrize("richness", [0, -1, np.inf, np.nan, "rich", True])
def test_richness_is_a_number_above_zero(richness):
    with pytest.raises(sb.DataError, match="`richness` must be a finite real number > 0, got"):
        sb.MeanField(richness)


@pytest.mark.parametrize("richness", [1e-300, 1e-101, 1e101, 1e300])
def test_a_richness_whose_square_is_no_number_is_refused(richness):
    with pytest.raises(sb.DataError, match="`richness` must be from 1e-100 to 1e100, got"):
        sb.MeanField(richness)
    for ends in (1e-100, 1e100):
        assert np.isfinite([sb.MeanField(ends).clock(100), sb.MeanField(ends).output_scale(100)]).all()


def test_the_function_moves_at_a_speed_that_knows_neither_width_nor_richness():
    """s^2 / clock = 1/n whatever gamma: the kernel is a mean over neurons; parameters move by gamma."""
    for width in (10, 1000):
        for richness in (0.1, 3.0):
            scale, clock = (getattr(sb.MeanField(richness), name)(width) for name in ("output_scale", "clock"))
            assert scale**2 / clock == pytest.approx(1 / width)
            assert scale / clock == pytest.approx(richness)


def test_early_training_does_not_depend_on_richness():
    """To first order in t, f_t = t K y: the loss falls alike in lazy and in rich networks."""
    falls = []
    for richness in (0.01, 1.0):
        problem = sb.Problem(SET_A, LAW, parameterization=sb.MeanField(richness))
        run = sb.train(problem, 100, method=sb.NeuronFlow(1e-7, time=1e-4), loss_tol=1e-14)
        falls.append(1 - run.loss / run.history.loss[0])
    np.testing.assert_allclose(falls[0], falls[1], rtol=1e-3)


def test_problems_and_studies_keep_it_as_text():
    assert sb.Problem.from_toml(RICH.to_toml()) == RICH
    spec = sb.StudySpec(RICH, [20], [0], methods={"neurons": sb.NeuronFlow(1e-3, weight_decay=0.1, time=2.0)})
    assert sb.StudySpec.from_toml(spec.to_toml()) == spec
    with pytest.raises(sb.DataError, match="mean_field needs richness, got none; add a line such as richness = 1.0"):
        sb.Problem.from_toml(RICH.to_toml().replace("richness = 2.0", ""))


def test_it_is_trained_by_the_flow_of_neurons_unless_told_otherwise():
    assert default_method(RICH) == sb.NeuronFlow()
    assert default_method(sb.Problem(SET_A, LAW)) == sb.MirrorFlow()
    quartic = sb.Problem(SET_A, LAW, potential=sb.Power(4, quadratic=1), parameterization=sb.MeanField(1.0))
    assert default_method(quartic) == default_method(RICH, quartic) == sb.MirrorFlow()
    run = sb.train(RICH, 20, loss_tol=1e-3)
    assert "events" in run.stats
    assert [case.method for case in sb.StudySpec(RICH, [20], [0]).cases] == [sb.NeuronFlow()]


REFUSALS = {
    "solver": lambda: sb.KernelSolver().solve(RICH),
    "kernel": lambda: sb.tangent_kernel(RICH, SET_A.x),
    "start": lambda: sb.start_process(RICH),
    "diagnosis": lambda: sb.diagnose(sb.train(RICH, 20, loss_tol=1e-2)),
    "gcv": lambda: sb.gcv_time(RICH),
    "smoothing": lambda: sb.smoothing_spline(RICH, 0.1),
}


@pytest.mark.parametrize("call", REFUSALS.values(), ids=REFUSALS)
def test_limits_in_closed_form_refuse_it_and_say_what_can_be_done(call):
    with pytest.raises(sb.CapabilityError, match=r"MeanField\(richness=2.0\) networks has no closed form.*sb.NeuronFlow"):
        call()


def test_the_command_line_trains_it_and_says_how_far_it_is_from_the_limit_at_its_time(tmp_path):
    path = tmp_path / "problem.toml"
    sb.Problem(SET_A, sb.Initialization.gaussian()).to_toml(path)
    arguments = ["train", str(path), "--width", "200", "--richness", "2", "--loss-tol", "1e-3"]
    text = CliRunner().invoke(main, arguments)
    assert text.exit_code == 0, text.output
    assert "MeanField(richness=2.0)" in text.output
    assert "from the limit at this time on" in text.output
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert found["prediction"]["outcome"] == "REACHED_TIME"
    assert found["distance"]["sup"] < 0.05
    refused = CliRunner().invoke(main, [*arguments[:-3], "-1"])
    assert refused.exit_code == 2
    assert "`richness` must be a finite real number > 0" in refused.output
    sb.Problem(SET_A, sb.Initialization.gaussian(), sb.ReLUPower(2), parameterization=sb.MeanField(1.0)).to_toml(path)
    text = CliRunner().invoke(main, ["train", str(path), "--width", "20", "--loss-tol", "1e-2"])
    assert text.exit_code == 0, text.output
    assert "unknown: predictions of sb.MeanField networks need a two-slope activation" in text.output
