"""band, width, laziness and gcv on the command line: the numbers of the functions of those names, pictures, refusals."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import LAW, run, run_json

import splinebias as sb
from splinebias.cli.main import main


@pytest.fixture
def noisy(tmp_path):
    rng = np.random.default_rng(0)
    x = np.linspace(-0.9, 0.9, 30)
    data = f"[data]\nx = {x.tolist()}\ny = {(np.sin(4 * x) + 0.3 * rng.normal(size=30)).tolist()}\n"
    path = tmp_path / "noisy.toml"
    path.write_text(data + LAW)
    return path


def test_band_is_error_band(problem, tmp_path):
    found = run_json("band", problem, "--width", "400", "--at", "0.5", "--interval", "-1,1", "--plot", tmp_path / "band.png")
    band = sb.error_band(sb.Problem.from_toml(problem), 400, interval=(-1, 1))
    assert found["expected_sup"] == band.expected_sup
    assert found["quantiles"]["0.95"] == band.quantile(0.95)
    assert found["at"] == [{"x": 0.5, "f": float(band.prediction(0.5)), "std": float(band.std(0.5))}]
    assert found["advice"] == band.advice
    assert (tmp_path / "band.png").read_bytes().startswith(b"\x89PNG")
    text = run("band", problem, "--width", "400", "--at", "0.5").stdout
    assert "largest error" in text and "std" in text
    assert run_json("band", problem, "--width", "400", "--time", "50")["time"] == 50


def test_width_is_required_width(problem, tmp_path):
    found = run_json("width", problem, "--error", "0.2", "--probability", "0.5", "--plot", tmp_path / "w.svg")
    made = sb.required_width(sb.Problem.from_toml(problem), 0.2, 0.5)
    assert (found["width"], found["low"], found["high"], found["advice"]) == (made.width, made.low, made.high, made.advice)
    assert (tmp_path / "w.svg").stat().st_size > 1000
    assert "Monte Carlo" in run("width", problem, "--error", "0.2").stdout


def test_laziness_is_laziness(problem, tmp_path):
    found = run_json("laziness", problem, "--width", "100", "--plot", tmp_path / "movements.png")
    assert (tmp_path / "movements.png").read_bytes().startswith(b"\x89PNG")
    made = sb.laziness(sb.Problem.from_toml(problem), 100)
    assert (found["overall"], found["lazy_width"], found["holds"]) == (made.overall, made.lazy_width, made.holds)
    assert str(made.lazy_width) in run("laziness", problem, "--width", "100").stdout


def test_gcv_is_gcv_time(noisy, tmp_path):
    found = run_json("gcv", noisy, "--at", "0.5", "--plot", tmp_path / "smooth.pdf")
    spec = sb.Problem.from_toml(noisy)
    made = sb.gcv_time(spec)
    assert (found["time"], found["score"]) == (made.value, made.score)
    assert found["at"][0]["f"] == float(sb.predict(spec, time=made.value)(0.5))
    assert (tmp_path / "smooth.pdf").exists()
    assert "degrees of freedom" in run("gcv", noisy).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("band", "--width", "3"), "`width` must be at least 5 for 5 points, got 3"),
        (("width", "--error", "0"), "`sup_error` must be a finite real number > 0, got 0.0"),
        (("laziness", "--width", "0"), "`width` must be a whole number >= 1, got 0"),
        (("band", "--width", "40", "--plot", "band.xyz"), "the picture's name must end in one of"),
    ],
)
def test_bad_input_is_one_line(problem, arguments, message):
    command, *rest = arguments
    result = run(command, problem, *rest)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert message in line


def test_shells_complete_commands_as_documented():
    """What the script that `_SPLINEBIAS_COMPLETE=bash_source splinebias` prints asks for."""
    asked = {"_SPLINEBIAS_COMPLETE": "bash_complete", "COMP_WORDS": "splinebias ", "COMP_CWORD": "1"}
    code = "from splinebias.cli.main import main; main(prog_name='splinebias')"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False)
    offered = {line.removeprefix("plain,") for line in done.stdout.splitlines()}
    assert {"band", "diagnose", "gcv", "laziness", "predict", "study", "train", "width"} <= offered


def test_the_commands_of_the_guide_exist(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "guide" / "command-line.md"
    lines = re.findall(r"^\| `splinebias ([^`]+)`", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {line.split()[0] for line in lines} == set(main.commands)
    for line in lines:
        if line.startswith("verify"):  # the one that reads no problem
            continue
        result = run(*line.replace("problem.toml", str(tmp_path / "problem.toml")).split())
        assert "cannot read the problem" in result.stderr
