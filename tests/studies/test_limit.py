"""What networks of a study are compared with where features are learned; and that it is a study like all others."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from click.testing import CliRunner
from problems import SET_A

import splinebias as sb
from splinebias.cli.main import main
from splinebias.studies.limit import stopping_time

RICH = sb.Problem(SET_A, sb.Initialization.gaussian(), parameterization=sb.MeanField(3.0))
FLOW = sb.NeuronFlow(1e-3, time=3.0)


@pytest.mark.parametrize(
    ("method", "time"),
    [
        (sb.NeuronFlow(), math.inf),
        (sb.NeuronFlow(time=2.5e-7), 2.5e-7),
        (sb.NeuronFlow(time=1e22, saveat=(1.0, 3.0)), 1e22),
        (sb.MirrorFlow(time=30.0), 30.0),
        (sb.MirrorDescent(0.1), math.inf),
    ],
    ids=str,
)
def test_the_time_at_which_a_method_stops_is_read_from_it_and_from_its_text(method, time):
    assert stopping_time(method) == stopping_time(repr(method)) == time


def test_networks_that_learn_features_are_compared_with_their_limit_at_their_time(tmp_path):
    found = sb.study(RICH, [50, 3200], range(4), method=FLOW, store=tmp_path / "rich.sqlite")
    limit = sb.predict(RICH, time=3.0)
    x = np.linspace(*found.interval, 50)
    np.testing.assert_array_equal(found.prediction.function(x), limit.function(x))
    assert found.time == 3.0
    assert set(found.table["outcome"]) == {"REACHED_TIME"}
    lazy = sb.predict(replace(RICH, parameterization=sb.Standard()), time=3.0)
    means = [found.table["sup"][found.table["width"] == n].mean() for n in (50, 3200)]
    assert means[1] < means[0] / 4
    wide = [sb.compare(found.function(3200, seed), lazy.function, found.interval).sup for seed in range(4)]
    assert np.mean(wide) > 2 * means[1]


def test_it_goes_on_where_it_stopped(tmp_path):
    begun = tmp_path / "rich.sqlite"
    sb.study(RICH, [20, 60], [0], method=FLOW, store=begun)
    spec = sb.StudySpec(RICH, [20, 60], range(3), methods={"": FLOW})
    found = sb.study_grid(spec, store=begun, extend=True).parts[0]
    again = sb.Study.load(begun)
    for name in found.table.dtype.names:
        np.testing.assert_array_equal(found.table[name], again.table[name], err_msg=name)
    assert again.time == 3.0
    assert (found.table["penalty"] > 0).all()
    assert np.isnan(found.table["network_penalty"]).all()


@pytest.mark.nightly
def test_it_has_the_same_bits_in_other_processes():
    here, elsewhere = (sb.study(RICH, [20, 60], range(3), method=FLOW, jobs=jobs) for jobs in (1, 2))
    for name in ("width", "seed", "sup", "l2", "penalty", "loss", "steps"):
        np.testing.assert_array_equal(here.table[name], elsewhere.table[name], err_msg=name)


def test_starts_count_among_the_errors_where_networks_do_not_start_at_zero():
    law = sb.Initialization(st.norm(), st.norm(), output=st.norm(), antisymmetric=False)
    problem = replace(RICH, initialization=law)
    found = sb.study(problem, [100, 1600], range(4), method=sb.NeuronFlow(1e-3, time=0.1))
    narrow, wide = (found.table["sup"][found.table["width"] == n].mean() for n in (100, 1600))
    assert narrow / wide == pytest.approx(4, rel=0.6)


def test_the_adaptive_problem_is_a_study_in_text_and_on_the_command_line(tmp_path):
    data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    problem = sb.adaptive_problem(data, 1.0, -3.0)
    path = tmp_path / "adaptive.toml"
    sb.StudySpec(problem, [20, 40], range(2), methods={"flow": sb.NeuronFlow(1e-3, time=0.5)}).to_toml(path)
    assert next(iter(sb.StudySpec.from_toml(path).problems.values())) == problem
    run = CliRunner().invoke(main, ["study", str(path), "--json"])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.output)["cases"][0]["rows"]
    assert {row["outcome"] for row in rows} == {"REACHED_TIME"}
    refused = CliRunner().invoke(main, ["study", str(path), "--richness", "1"])
    assert refused.exit_code == 2
    assert "fixes the whole grid, got --richness as well" in refused.output


def test_the_command_line_studies_a_problem_at_a_richness(tmp_path):
    path = tmp_path / "problem.toml"
    sb.Problem(SET_A, sb.Initialization.gaussian()).to_toml(path)
    options = ["--widths", "20", "--seeds", "1", "--loss-tol", "1e-2", "--json", "--richness"]
    run = CliRunner().invoke(main, ["study", str(path), *options, "0.5"])
    assert run.exit_code == 0, run.output
    assert "MeanField(richness=0.5)" in json.loads(run.output)["problem"]
    refused = CliRunner().invoke(main, ["study", str(path), *options, "0"])
    assert refused.exit_code == 2
    assert "`richness` must be a finite real number > 0" in refused.output
