"""The published figures: their settings, their files, and what does not depend on training."""

import contextlib
import io
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import splinebias as sb
from experiments import __main__ as command
from experiments import _common as common
from experiments import lm_figure1, lm_figure2

EXPERIMENTS = [lm_figure1, lm_figure2]
WIDTHS, SEEDS = (20, 40), (0, 2)


def tiny(experiment, out):
    """Seconds instead of minutes: small networks, hardly trained."""
    return experiment.Config(widths=WIDTHS, seeds=SEEDS, loss_tol=5e-3, out=out, jobs=1)


class Ran(NamedTuple):
    """An experiment, where it wrote, what it returned and what it printed."""

    experiment: Any
    out: Path
    document: dict[str, Any]
    printed: str


def run_once(experiment, out):
    """Over an old version of its files."""
    (out / f"{experiment.NAME}.json").write_text("old")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        document = experiment.main(tiny(experiment, out))
    return Ran(experiment, out, document, printed.getvalue())


@pytest.fixture(scope="module")
def figure1(tmp_path_factory):
    return run_once(lm_figure1, tmp_path_factory.mktemp("figure1"))


@pytest.fixture(scope="module")
def figure2(tmp_path_factory):
    return run_once(lm_figure2, tmp_path_factory.mktemp("figure2"))


@pytest.fixture(params=["figure1", "figure2"])
def ran(request):
    return request.getfixturevalue(request.param)


def test_three_files_are_written_whole(ran):
    name, out = ran.experiment.NAME, ran.out
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.json", f"{name}.pdf", f"{name}.png"]
    assert json.loads((out / f"{name}.json").read_text(encoding="utf-8")) == ran.document
    png = (out / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 300_000
    assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_numbers_carry_the_settings_and_versions_that_made_them(ran):
    config, versions = ran.document["config"], ran.document["versions"]
    assert ran.document["experiment"] == ran.experiment.NAME
    assert config["widths"] == list(WIDTHS)
    assert config["seeds"] == list(SEEDS)
    assert config["loss_tol"] == 5e-3
    assert config["potentials"][2] == "Power(p=4, quadratic=1)"
    assert config["constants"] == list(ran.experiment.Config().constants)
    assert versions["splinebias"] == sb.__version__
    assert versions["torch"] == version("torch")


def test_every_run_is_recorded_and_the_network_shown_is_one_of_them(ran):
    convergence = ran.document["convergence"]
    assert list(convergence) == ["u^2", "|u|^3 + u^2", "u^4 + u^2"]
    for found in convergence.values():
        assert [(run["width"], run["seed"]) for run in found["runs"]] == [(n, k) for n in WIDTHS for k in SEEDS]
        assert all(run["outcome"] == "CONVERGED" for run in found["runs"])
    for shown, found in zip(ran.document["functions"], convergence.values(), strict=True):
        recorded = found["runs"][2]  # the largest width, the first seed
        assert all(shown[key] == recorded[key] for key in ("run_seed", "sup", "l2", "loss", "steps", "penalty"))
        assert 0 < np.abs(np.subtract(shown["spline"], shown["network"])).max() <= shown["sup"]


def test_the_same_numbers_and_pictures_every_time(ran, tmp_path):
    again = run_once(ran.experiment, tmp_path)
    assert without_seconds(again.document) == without_seconds(ran.document)
    for suffix in (".png", ".pdf"):
        name = ran.experiment.NAME + suffix
        assert (tmp_path / name).read_bytes() == (ran.out / name).read_bytes()


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def test_the_table_puts_the_measured_error_beside_the_predicted_one(ran):
    (line,) = [line for line in ran.printed.splitlines() if line.split()[:1] == ["40"]]
    for constant, found in zip(ran.experiment.Config().constants, ran.document["convergence"].values(), strict=True):
        predicted = "-" if constant is None else f"{constant / math.sqrt(40):.4f}"
        assert f"{found['summary'][1]['mean']:.4f} | {predicted:>6}" in line


def test_figure_1_is_about_the_published_problem(figure1):
    """Theory section 10: minimum values of A, whatever the unscaled potential, and of A - 3.5."""
    assert lm_figure1.Config().shifts == (2.5, 1.0, -0.5, -2.0, -3.5)
    for found in figure1.document["functions"]:
        assert found["penalty"] == pytest.approx(207.804193548, rel=1e-11)
    assert figure1.document["translated"][-1]["penalty"] == pytest.approx(354.397741936, rel=1e-11)


def test_figure_2_is_about_the_published_problem(figure2):
    """Theory section 10 (good to 2e-9): the splines of B for three scaled potentials at x = -0.1, point 28 of 61."""
    functions = figure2.document["functions"]
    assert functions[0]["x"][28] == pytest.approx(-0.1)
    found = [item["spline"][28] for item in functions]
    np.testing.assert_allclose(found, [0.3848849284, 0.4785247474, 0.5519764664], atol=2e-9)


def test_gaussian_biases_bend_where_uniform_ones_cannot(figure2):
    uniform, gaussian = (np.diff(figure2.document[key][0]["spline"], 2)[-9:] for key in ("functions", "gaussian"))
    assert np.abs(uniform).max() < 1e-14  # no breakpoints beyond 1: straight, up to rounding
    assert np.abs(gaussian).min() > 1e-6


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_default_settings_are_the_published_ones(experiment):
    config = experiment.Config()
    assert config.widths == (20, 60, 180, 540, 1620, 4860)
    assert config.seeds == (0, 1, 2, 3, 4)
    assert config.loss_tol < 1e-7
    assert [common.label(phi) for phi in config.potentials] == ["u^2", "|u|^3 + u^2", "u^4 + u^2"]


def test_labels_are_formulas():
    assert common.label(sb.Power(1.5)) == "|u|^1.5"
    assert common.label(sb.Power(3, quadratic=0.5)) == "|u|^3 + 0.5 u^2"
    with pytest.raises(sb.DataError, match="the figures name power potentials only, got Hypentropy"):
        common.label(sb.Hypentropy(1.0))


@pytest.mark.parametrize(("arguments", "widest", "seeds"), [(["--small"], 540, 2), ([], 4860, 5), (["--full"], 4860, 5)])
def test_the_command_runs_every_experiment_at_the_size_asked_for(arguments, widest, seeds, tmp_path, monkeypatch, capsys):
    seen = []
    for experiment in EXPERIMENTS:
        monkeypatch.setattr(experiment, "main", seen.append)
    assert command.main([*arguments, "--out", str(tmp_path)]) == 0
    assert [(type(config), max(config.widths), len(config.seeds)) for config in seen] == [
        (experiment.Config, widest, seeds) for experiment in EXPERIMENTS
    ]
    assert {config.out for config in seen} == {tmp_path}
    printed = capsys.readouterr().out
    assert all(f"wrote {tmp_path / experiment.NAME}.png, .pdf, .json" in printed for experiment in EXPERIMENTS)


def test_an_unusable_folder_is_one_line_and_status_2_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "convergence", None)  # would be a TypeError if it were reached
    (tmp_path / "file").touch()
    assert command.main(["--out", str(tmp_path / "file")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_sizes_exclude_each_other():
    with pytest.raises(SystemExit, match="2"):
        command.main(["--small", "--full"])


def test_data_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert common.load("liang_montufar_b").size == 4
