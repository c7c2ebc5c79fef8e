"""alignment on the command line: the numbers of the functions of that name, a picture, refusals."""

import json

import pytest
from click.testing import CliRunner

import splinebias as sb
from splinebias.cli.main import main

LAW = '[initialization]\nweight = {name = "norm"}\nbias = {name = "norm"}\n'
GOOD = f"[data]\nx = [-4, -3, -2, 2, 3, 4]\ny = [-1, -1, -1, 1, 1, 1]\n{LAW}"
BAD = f"[data]\nx = [-4, -3, -2, 2, 3, 4]\ny = [-1, 1, -1, 1, 1, 1]\n{LAW}"


@pytest.fixture
def problem(tmp_path):
    """A function that writes a problem file."""

    def write(text):
        path = tmp_path / "problem.toml"
        path.write_text(text)
        return path

    return write


def run(*arguments):
    return CliRunner().invoke(main, ["alignment", *map(str, arguments)], prog_name="splinebias")


def test_margins_are_those_of_the_function(problem):
    path = problem(GOOD)
    found = json.loads(run(path, "--json").stdout)
    margin = sb.alignment_margin(sb.Problem.from_toml(path))
    assert (found["holds"], found["margin"], found["worst_pair"]) == (True, margin.margin, list(margin.worst_pair))
    assert found["network"] is None
    text = run(path).stdout
    assert "holds: mu = 0.6 at points 2 and 3" in text
    assert "unknown constant" in text


def test_networks_are_followed_and_drawn(problem, tmp_path):
    path = problem(GOOD)
    options = ("--width", 20, "--scale", 1e-6, "--loss", "logistic", "--loss-tol", 0.4, "--seed", 3)
    found = json.loads(run(path, *options, "--plot", tmp_path / "a.png", "--json").stdout)
    made = sb.alignment(sb.Problem.from_toml(path), width=20, scale=1e-6, loss=sb.Logistic(), loss_tol=0.4, seed=3)
    assert found["network"]["alignment_time"] == made.alignment_time
    assert found["network"]["outcome"] == "CONVERGED"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert f"at {made.alignment_time:.4g}" in run(path, *options).stdout


def test_a_violated_hypothesis_is_said_and_the_subset_named(problem):
    found = run(problem(BAD), "--subset")
    assert found.exit_code == 0
    assert "violated: mu = -0.9971 at points 0 and 1" in found.stdout
    assert "none: the hypothesis fails" in found.stdout
    assert "greedy subset: 5 of 6 points: 0, 2, 3, 4, 5" in found.stdout
    assert "largest subset: 5 of 6 points" in found.stdout


def test_without_a_network_the_margin_is_drawn(problem, tmp_path):
    assert run(problem(BAD), "--plot", str(tmp_path / "margin.png")).exit_code == 0
    assert (tmp_path / "margin.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (GOOD, ("--width", "3", "--scale", "0"), "`scale` must be a finite real number > 0"),
        (GOOD.replace("[-1, -1, -1, 1, 1, 1]", "[1, 1, 1, 1, 1, 1]"), (), "must name two classes"),
        (GOOD.replace("[-1, -1, -1, 1, 1, 1]", "[0, 0, 0, 1, 1, 1]"), (), "must be +1 or -1, got 0 at index 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(problem, text, options, message):
    found = run(problem(text), *options)
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_labels_are_trained_on_without_a_distance_to_a_limit(problem):
    options = ("--width", "40", "--loss", "logistic", "--method", "neuron_flow")
    found = CliRunner().invoke(main, ["train", str(problem(GOOD)), *options])
    assert found.exit_code == 0
    assert "0 on the wrong side, least margin" in found.stdout
    assert "unknown: limits are of the squared loss" in found.stdout
    output = GOOD + 'output = {name = "norm"}\n'
    frozen = CliRunner().invoke(main, ["train", str(problem(output)), "--width", "40", "--trainable", "w,b", "--json"])
    assert json.loads(frozen.stdout)["distance"] is None
    refused = CliRunner().invoke(main, ["train", str(problem(GOOD)), "--width", "40", "--trainable", "w,c"])
    assert refused.exit_code == 2
    assert "`trainable` must be" in refused.stderr
