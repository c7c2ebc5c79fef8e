"""`splinebias large-bias`: kernels bias by bias, and networks beside them."""

import json

import pytest
from click.testing import CliRunner

import splinebias as sb
from splinebias.cli.main import main

DATA = sb.Dataset([-0.9, -0.1, 0.45, 0.95], [0.4, 0.6, -0.5, 0.3])


@pytest.fixture
def problem(tmp_path):
    path = tmp_path / "problem.toml"
    sb.Problem(DATA, sb.Initialization.gaussian(1, 1)).to_toml(path)
    return str(path)


def command(*arguments):
    return CliRunner().invoke(main, ["large-bias", *arguments])


def test_kernels_as_a_table_and_as_json(problem):
    table = command(problem, "--bias", "0,2")
    assert (table.exit_code, "unchecked" in table.output) == (0, True)
    found = json.loads(command(problem, "--bias", "0,2", "--json").output)
    for row, bias in zip(found["biases"], (0.0, 2.0), strict=True):
        kernel = sb.bias_generalized_kernel(DATA.x, bias)
        assert (row["B"], row["smallest"], row["exact"]) == (bias, kernel.smallest, kernel.exact_bound)
        assert f"{kernel.smallest:.10g}" in table.output


def test_networks_beside_them(problem, tmp_path):
    picture = tmp_path / "bias.png"
    run = command(
        problem, "--bias", "1", "--width", "4000", "--seed", "2", "--loss", "0.01", "--plot", str(picture), "--json"
    )
    assert run.exit_code == 0, run.output
    (row,) = json.loads(run.output)["biases"]
    same = sb.large_bias(DATA.x, DATA.y, 1.0, width=4000, seed=2, loss_tol=0.01)
    assert (row["steps"], row["distance"]) == (same.steps, same.distance)
    assert row["flips"] == pytest.approx(same.flips[-1].mean())
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_points_of_several_inputs(tmp_path):
    path = tmp_path / "points.toml"
    points = sb.Points([[1.0, 0.0, 0.2], [0.0, 1.0, 0.1], [0.5, 0.5, -1.0]], [1.0, 2.0, 0.0])
    sb.Problem(points, sb.Initialization.gaussian(1, 1, dim=3)).to_toml(path)
    (row,) = json.loads(command(str(path), "--bias", "1", "--json").output)["biases"]
    assert row["smallest"] == sb.bias_generalized_kernel(points.x, 1.0).smallest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bias", "-1"], "`bias` must be a finite real number >= 0"),
        (["--bias", "6", "--width", "100"], "none is on any point; lower B or widen"),
        (["--bias", "1", "--loss", "0.1"], "give --width too"),
        ([], "Missing option '--bias'"),
    ],
)
def test_refusals_are_one_line(problem, arguments, message):
    run = command(problem, *arguments)
    assert run.exit_code == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
