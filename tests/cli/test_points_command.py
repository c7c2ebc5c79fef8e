"""Commands on problems of several inputs: columns of a CSV file, points --at, boxes, orientations."""

import csv

import numpy as np
import pytest
from test_finite_width import run, run_json

import splinebias as sb

X = np.array([(-0.8, -0.7), (-0.6, 0.7), (0.0, 0.1), (0.7, -0.5), (0.6, 0.8)])
Y = [0.5, -0.3, 0.6, -0.4, 0.2]


@pytest.fixture
def problem(tmp_path):
    with (tmp_path / "points.csv").open("w") as file:
        csv.writer(file).writerows([("a", "b", "y"), *np.c_[X, Y].tolist()])
    path = tmp_path / "problem.toml"
    path.write_text('[data]\ncsv = "points.csv"\nx = ["a", "b"]\n[initialization]\npreset = "gaussian"\ndim = 2\n')
    return path


def test_predict_takes_points_one_after_the_other(problem):
    found = run_json("predict", problem, "--at", "0,0,0.5,-0.5")
    limit = sb.predict(sb.Problem.from_toml(problem)).function
    assert [(row["x1"], row["x2"]) for row in found["at"]] == [(0, 0), (0.5, -0.5)]
    assert [row["f"] for row in found["at"]] == pytest.approx(limit([(0, 0), (0.5, -0.5)]).tolist(), rel=1e-12)
    refused = run("predict", problem, "--at", "0,0,1")
    assert (
        refused.exit_code == 2 and "points of 2 inputs one after the other, 2 numbers each, got 3 numbers" in refused.stderr
    )
    assert "x1" in run("predict", problem, "--at", "0,0").stdout


@pytest.mark.parametrize("command", [("predict",), ("train", "--width", "100000000")])
def test_pictures_of_functions_of_several_inputs_are_refused_before_anything_is_computed(problem, tmp_path, command):
    refused = run(command[0], problem, *command[1:], "--plot", tmp_path / "f.png")
    assert refused.exit_code == 2
    assert "--plot draws functions of one input, got data of 2" in refused.stderr


def test_band_is_that_of_the_library_on_a_box(problem, tmp_path):
    spec = sb.Problem.from_toml(problem)
    found = run_json(
        "band", problem, "--width", "400", "--at", "0.5,-0.5", "--interval", "-1,1", "--plot", tmp_path / "b.png"
    )
    band = sb.error_band(spec, 400, interval=[(-1, 1)] * 2)
    assert found["expected_sup"] == band.expected_sup and found["interval"] == [[-1, 1]] * 2
    (row,) = found["at"]
    assert row["std"] == pytest.approx(float(band.std((0.5, -0.5))), rel=1e-9) and (row["x1"], row["x2"]) == (0.5, -0.5)
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_networks_are_trained_and_taken_apart_on_a_box(problem):
    found = run_json("train", problem, "--width", "100", "--interval", "-1,1")
    assert found["distance"]["interval"] == [[-1, 1]] * 2 and len(found["distance"]["argmax"]) == 2
    assert "from the limit on [-1.175, 1.075] x [-1.075, 1.175]" in run("train", problem, "--width", "100").stdout
    assert run("diagnose", problem, "--width", "100", "--interval", "-1,1").exit_code == 0
    studied = run_json("study", "run", problem, "--widths", "50,100", "--seeds", "2", "--interval", "-1,1")
    assert studied["interval"] == [[-1, 1]] * 2


def test_orientations_of_several_inputs_are_those_of_the_library(problem):
    data = sb.Problem.from_toml(problem).data
    found = run_json("orientations", problem, "--activation", "xtanh")["orientations"]
    expected = sb.condensed_orientations(data, sb.XTanh())
    assert [[row["w1"], row["w2"], row["b"]] for row in found] == expected.directions.tolist()
    assert [row["strength"] for row in found] == expected.strengths.tolist()
    trained = run_json("orientations", problem, "--activation", "tanh", "--scale", "1e-3", "--width", "20")
    assert sum(row["share"] for row in trained["orientations"]) == pytest.approx(1)
    pictured = run("orientations", problem, "--activation", "tanh", "--plot", "q.png")
    assert pictured.exit_code == 2 and "leave out --plot" in pictured.stderr
    refused = run("orientations", problem, "--activation", "relu")
    assert refused.exit_code == 2 and "of several inputs orientations are known for smooth" in refused.stderr
