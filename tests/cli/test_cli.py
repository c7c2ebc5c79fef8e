"""The command line: tables, JSON, exit codes, one-line errors; outputs checked before work and written whole."""

import json
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from commands import PROBLEM, run, run_json

import splinebias as sb
from splinebias.cli.predict import SOLVERS

REQUIRED = {
    "predict": [],
    "train": ["--width", "40"],
    "study": ["--widths", "20,40", "--seeds", "2"],
    "band": ["--width", "40"],
    "width": ["--error", "0.1"],
    "laziness": ["--width", "40"],
    "gcv": [],
    "minimum-norm": [],
    "alignment": [],
    "orientations": [],
}
COMMANDS = [*REQUIRED, "study run", "study status", "study show"]


def refused(*arguments):
    """The one line on stderr of a refused call."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    return line


def test_version_and_help():
    assert run("--version").stdout == f"splinebias, version {sb.__version__}\n"
    text = run("--help").stdout
    assert all(command.split()[0] in text for command in COMMANDS)


def test_help_is_not_cut_off():
    assert "..." not in run("--help").stdout.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_that_parses(command, tmp_path):
    text = run(*command.split(), "--help").stdout
    examples = [line.split()[1:] for line in text.splitlines() if line.strip().startswith("splinebias ")]
    assert examples
    for example in examples:
        files = (str(tmp_path / a) if a.endswith((".toml", ".sqlite")) else a for a in example)
        assert re.search("cannot read the problem (or study )?file|there is no study at", refused(*files))


def test_predict_prints_the_published_values(problem):
    """Theory section 10, data set A: ReLU, quadratic, W = +-1, B ~ U(-1, 1)."""
    result = run("predict", problem, "--at", "-1.3,-0.6,0.5")
    assert result.exit_code == 0
    assert "207.804193548" in result.stdout
    assert "converged" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()[-3:]]
    np.testing.assert_allclose(np.array(rows, dtype=float)[:, 1], [0.00677419, -0.38748387, -0.40380544], atol=5e-9)


def test_predict_json_holds_the_same_to_the_last_bit(problem):
    found = run_json("predict", problem, "--at", "-1.3,0.5")
    made = sb.predict(sb.Problem.from_toml(problem))
    assert found["outcome"] == "CONVERGED"
    assert found["penalty"] == made.penalty
    assert found["multipliers"] == made.multipliers.tolist()
    assert found["at"] == [{"x": x, "f": float(made.function(x))} for x in (-1.3, 0.5)]


@pytest.mark.parametrize("solver", ["banded", "dual", "kernel", "grid"])
def test_every_solver_can_be_asked_for(problem, solver):
    found = run_json("predict", problem, "--solver", solver)
    assert found["stats"]["solver"].lower().startswith(solver) or solver == "dual"
    assert found["penalty"] == pytest.approx(207.804193548, rel=1e-4)


def test_every_public_solver_has_a_name():
    assert set(SOLVERS.values()) == {name for name in sb.__all__ if name.endswith("Solver")}


def test_powers_of_relu_have_a_solver_to_ask_for(problem):
    problem.write_text(PROBLEM + '[activation]\nname = "relu_power"\npower = 2\n')
    assert run_json("predict", problem, "--solver", "power")["stats"]["solver"] == "PowerSolver"
    assert "BandedSolver cannot" in refused("predict", problem, "--solver", "banded")


def test_predict_stops_at_a_time(problem):
    found = run_json("predict", problem, "--time", "1e3", "--at", "0.5")
    made = sb.predict(sb.Problem.from_toml(problem), time=1e3)
    assert found["outcome"] == "REACHED_TIME"
    assert found["at"] == [{"x": 0.5, "f": float(made.function(0.5))}]
    assert "time 1e+03" in run("predict", problem, "--time", "1e3").stdout
    assert run_json("predict", problem, "--time", "inf")["outcome"] == "CONVERGED"
    assert "`time` must be a number >= 0, got -1.0" in refused("predict", problem, "--time", "-1")
    assert "leave `solver` out" in refused("predict", problem, "--time", "1", "--solver", "dual")


def test_predict_draws_a_picture(problem, tmp_path):
    for name, start in (("limit.png", b"\x89PNG"), ("limit.svg", b"<?xml"), ("LIMIT.PDF", b"%PDF")):
        path = tmp_path / name
        assert run("predict", problem, "--plot", path).exit_code == 0
        assert path.read_bytes().startswith(start)
    assert {path.name for path in tmp_path.iterdir()} == {"problem.toml", "limit.png", "limit.svg", "LIMIT.PDF"}


def test_train_says_how_far_it_is_from_the_limit(problem):
    """Theory section 7: the sup-distance is about 1.16 / sqrt(width)."""
    found = run_json("train", problem, "--width", 400, "--seed", 3)
    assert found["outcome"] == "CONVERGED"
    assert found["loss"] <= 1e-12
    assert 0 < found["distance"]["sup"] < 3 * 1.164 / np.sqrt(400)
    assert found["distance"]["interval"] == [-1.5, 1.5]
    table = run("train", problem, "--width", 400, "--seed", 3).stdout
    assert f"sup {found['distance']['sup']:.4g}" in table


def test_train_draws_the_network_and_the_limit(problem, tmp_path):
    path = tmp_path / "network.svg"
    found = run_json("train", problem, "--width", 100, "--plot", path)
    assert found["outcome"] == "CONVERGED"
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):  # text as text
        assert run("train", problem, "--width", 100, "--plot", path).exit_code == 0
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))
    assert {"network, width 100", "infinite-width limit", "data"} <= set(texts)
    assert texts.count("data") == 1


def test_train_with_one_seed_is_reproducible(problem):
    first, second, other = (run_json("train", problem, "--width", 200, "--seed", seed) for seed in (1, 1, 2))
    assert first["distance"] == second["distance"] != other["distance"]


@pytest.mark.parametrize("method", ["flow", "descent"])
def test_every_method_can_be_asked_for(problem, method):
    found = run_json("train", problem, "--width", 200, "--method", method, "--loss-tol", "1e-4")
    assert found["outcome"] == "CONVERGED"
    assert found["loss"] <= 1e-4


def test_train_compares_where_it_is_told(problem):
    found = run_json("train", problem, "--width", 200, "--interval", "-1,1")
    assert found["distance"]["interval"] == [-1, 1]
    assert -1 <= found["distance"]["argmax"] <= 1


def test_an_early_end_is_exit_code_one_with_advice(problem):
    """One unit cannot pass through five points: no method can reach the loss that was asked for."""
    for arguments in (["train", problem, "--width", 1], ["study", problem, "--widths", "1", "--seeds", "1"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr == ""
    found = json.loads(run("train", problem, "--width", 1, "--json").stdout)
    assert not sb.Outcome[found["outcome"]].ok
    assert found["advice"]
    assert found["loss"] > 1e-12


def test_study_prints_and_writes_every_network(problem, tmp_path):
    arguments = ["study", problem, "--widths", "50,200", "--seeds", "3", "--loss-tol", "1e-6"]
    table = tmp_path / "study.csv"
    found = run_json(*arguments, "--csv", table, "--plot", tmp_path / "study.png")
    assert [(row["width"], row["seed"]) for row in found["rows"]] == [(n, seed) for n in (50, 200) for seed in range(3)]
    assert found["rate"]["low"] < found["rate"]["value"] < min(0, found["rate"]["high"])
    assert found["interval"] == [-1.5, 1.5]
    assert [ratio["width"] for ratio in found["predicted"]["ratios"]] == [50, 200]
    assert found["predicted"]["constant"]["value"] > 0
    header, *lines = table.read_text().splitlines()
    assert header.split(",") == list(found["rows"][0])
    assert [float(line.split(",")[2]) for line in lines] == [row["sup"] for row in found["rows"]]
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


STUDY = """
[study]
widths = [20, 80]
seeds = 2
loss_tol = 1e-3

[problems.A]
file = "problem.toml"

[potentials.u2]
name = "quadratic"

[potentials.u4]
name = "power"
p = 4
quadratic = 1
"""


@pytest.fixture
def spec(problem):
    path = problem.with_name("study.toml")
    path.write_text(STUDY)
    return path


def test_a_store_that_ends_in_a_slash_is_a_folder(problem, tmp_path):
    folder = tmp_path / "runs"
    assert run("study", problem, "--widths", "20,40", "--seeds", "1", "--store", f"{folder}/").exit_code == 0
    assert [path.suffix for path in folder.iterdir() if path.suffix != ".lock"] == [".sqlite"]


def test_a_study_file_keeps_its_runs_beside_it_and_goes_on(spec, tmp_path):
    table = tmp_path / "study.csv"
    first = run("study", spec, "--csv", table)
    assert first.exit_code == 0
    store = tmp_path / "study.sqlite"
    assert json.loads(run("study", "status", store, "--json").stdout)["done"] == 8
    assert run("study", spec).stdout == first.stdout == run("study", "show", store).stdout
    assert "A / u4" in first.stdout
    again = tmp_path / "again.csv"
    assert run("study", "show", store, "--csv", again, "--plot", tmp_path / "study.png").exit_code == 0
    assert again.read_text() == table.read_text()
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    assert "done" in (text := run("study", "status", store).stdout)
    assert "8 of 8 runs, 0 of them failed" in text
    assert "nobody: finished" in text
    cases = run_json("study", "show", store)["cases"]
    assert [case["names"] for case in cases] == [{"problem": "A", "potential": "u2"}, {"problem": "A", "potential": "u4"}]
    assert len(cases[0]["rows"]) == 4


def test_a_store_in_place_of_a_study_file_is_told_from_one(spec):
    store = spec.with_suffix(".sqlite")
    sb.study_grid(sb.StudySpec.from_toml(spec), store=store)
    assert f"look into it with splinebias study show {store}" in refused("study", store)


def test_a_study_file_fixes_the_whole_grid(spec):
    for option, value in (
        ("--widths", "20"),
        ("--seeds", "3"),
        ("--loss-tol", "1"),
        ("--interval", "0,1"),
        ("--method", "flow"),
    ):
        assert f"fixes the whole grid, got {option} as well" in refused("study", spec, option, value)


def test_a_changed_study_file_is_refused_with_the_difference(spec):
    assert run("study", spec).exit_code == 0
    spec.write_text(STUDY.replace("1e-3", "1e-2"))
    assert "study.loss_tol 0.001 -> 0.01; use another store" in refused("study", spec)
    spec.write_text(STUDY.replace("80]", "80, 160]"))
    assert "got widths also [160]; pass extend=True (--extend)" in refused("study", spec)
    assert run("study", spec, "--extend").exit_code == 0


def test_a_problem_keeps_its_runs_if_it_is_told_where(problem, tmp_path):
    arguments = ["study", problem, "--widths", "20,40", "--seeds", "2", "--loss-tol", "1e-3"]
    first = run(*arguments, "--store", tmp_path / "runs.sqlite")
    assert first.exit_code == 0
    assert run(*arguments).stdout == first.stdout
    assert run("study", "show", tmp_path / "runs.sqlite").stdout == first.stdout


def test_an_interrupt_before_the_first_run_is_said_to_be_one(spec, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("splinebias.studies.study"), "study_grid", interrupted)
    result = run("study", spec)
    assert result.exit_code == 130
    assert result.stderr == "Stopped before the first run; the same command begins again.\n"


def test_stores_that_are_none_are_refused(tmp_path):
    for command in ("status", "show"):
        assert "there is no study at" in refused("study", command, tmp_path / "missing.sqlite")
        assert not (tmp_path / "missing.sqlite").exists()


@pytest.mark.parametrize("command", REQUIRED)
def test_bad_problem_files_are_refused(command, tmp_path):
    path = tmp_path / "problem.toml"
    for text, message in (
        ("[data", "is not valid TOML"),
        ("[data]\nx = [0, 1]\ny = [0, nan]\n[initialization]\npreset = 'pytorch_default'\n", "`y` must be finite"),
        ("[data]\nx = [0, 1]\ny = [0, 1]\n", "a problem has tables [data], [initialization]"),
    ):
        path.write_text(text)
        assert message in refused(command, path, *REQUIRED[command])
    line = refused(command, tmp_path / "missing.toml", *REQUIRED[command])
    assert line.endswith("file " + str(tmp_path / "missing.toml") + ": No such file or directory; check the path")
    for missing in (tmp_path / "missing.toml", tmp_path):
        assert re.search("cannot read the problem (or study )?file", refused(command, missing, *REQUIRED[command]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict"], "Missing argument 'PROBLEM.toml'. Try 'splinebias predict --help'."),
        (["predict", "P", "--sover", "dual"], "No such option '--sover'"),
        (["predict", "P", "--solver", "magic"], "Invalid value for '--solver': 'magic' is not one of"),
        (["predict", "P", "--at", "1,x"], "Invalid value for '--at': must be some finite numbers X,X,..., got '1,x'"),
        (["predict", "P", "--at", "nan"], "Invalid value for '--at'"),
        (["predict", "P", "--at", ""], "Invalid value for '--at'"),
        (["train", "P"], "Missing option '--width'"),
        (["train", "P", "--width", "many"], "Invalid value for '--width'"),
        (["train", "P", "--width", "0"], "`width` must be a whole number >= 1, got 0"),
        (["train", "P", "--width", "9", "--seed", "-1"], "`seed` must be a whole number >= 0, got -1"),
        (["train", "P", "--width", "9", "--loss-tol", "0"], "`loss_tol` must be a finite real number > 0, got 0"),
        (
            ["train", "P", "--width", "9", "--interval", "1"],
            "Invalid value for '--interval': must be 2 finite numbers LO,HI",
        ),
        (["train", "P", "--width", "9", "--interval", "1,0"], "`interval` must be a pair of finite numbers"),
        (["study", "P"], "Missing option '--widths'"),
        (["study"], "Missing argument 'FILE.toml'. Try 'splinebias study run --help'."),
        (["study", "P", "--widths", "20,1.5"], "Invalid value for '--widths': must be some whole numbers"),
        (["study", "P", "--widths", "20,40", "--seeds", "0"], "--seeds"),
        (["forecast"], "No such command 'forecast'"),
    ],
)
def test_bad_arguments_are_refused(problem, arguments, message):
    assert message in refused(*(problem if a == "P" else a for a in arguments))


def test_output_paths_are_refused_before_work_starts(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("splinebias.limit.predict"), "predict", None)  # a TypeError if it were reached
    assert "existing writable folder" in refused("predict", problem, "--plot", tmp_path / "missing" / "limit.png")
    assert "existing writable folder" in refused("predict", problem, "--plot", tmp_path)
    assert "must end in one of" in refused("predict", problem, "--plot", tmp_path / "limit.exe")
    assert "must end in one of" in refused("predict", problem, "--plot", tmp_path / "limit")
    assert "must end in one of" in refused("train", problem, "--width", "20", "--plot", tmp_path / "network")


def test_a_solver_that_cannot_take_the_problem_names_one_that_can(problem):
    problem.write_text(PROBLEM + '[potential]\nname = "power"\np = 4\nscaled = true\n')
    assert "DualSolver takes it" in refused("predict", problem, "--solver", "banded")


def test_as_a_program_it_exits_without_a_traceback(tmp_path):
    code = "from splinebias.cli.main import main; main(prog_name='splinebias')"
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", str(tmp_path / "missing.toml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: cannot read the problem file")
    assert "Traceback" not in done.stderr


def test_the_package_is_a_command_too(problem):
    called = [sys.executable, "-m", "splinebias", "predict", str(problem), "--json"]
    found = json.loads(subprocess.run(called, capture_output=True, text=True, check=True).stdout)
    assert found["outcome"] == run_json("predict", problem)["outcome"] == "CONVERGED"


def test_files_outside_the_folder_of_a_problem_are_read_if_that_is_said(tmp_path):
    (tmp_path / "points.csv").write_text("x,y\n0,1\n1,2\n")
    (tmp_path / "home").mkdir()
    problem = tmp_path / "home" / "problem.toml"
    problem.write_text('[data]\ncsv = "../points.csv"\n[initialization]\npreset = "pytorch_default"\n')
    refused = run("predict", problem)
    assert refused.exit_code == 2
    assert "which leads out of it" in refused.stderr
    assert "--root FOLDER" in refused.stderr
    assert run("predict", problem, "--root", tmp_path).exit_code == 0


def test_orientations_are_those_of_the_library_and_of_a_network(problem, tmp_path):
    data = sb.Problem.from_toml(problem).line_data
    found = run_json("orientations", problem, "--activation", "xtanh")
    expected = sb.condensed_orientations(data, sb.XTanh())
    assert [row["angle"] for row in found["orientations"]] == expected.angles.tolist()
    assert [row["basin"] for row in found["orientations"]] == expected.basins.tolist()
    centred = run_json("orientations", problem, "--activation", "sigmoid", "--centred")
    assert [row["sign"] for row in centred["orientations"]] == [-1, 1]
    options = ["--activation", "xtanh", "--scale", "1e-3", "--width", "20"]
    trained = run_json("orientations", problem, *options, "--plot", tmp_path / "q.png")
    assert trained["trained"]["outcome"] == "CONVERGED" and sum(
        row["share"] for row in trained["orientations"]
    ) == pytest.approx(1)
    assert (tmp_path / "q.png").stat().st_size > 1000
    shown = run("orientations", problem, "--activation", "relu", "--output-bias", "--scale", "1e-4", "--width", "20")
    assert shown.exit_code == 0 and "participation" in shown.stdout and "share" in shown.stdout
    assert "only if the mean of y is 0, got -0.09" in refused("orientations", problem, "--activation", "softplus")
    assert "`scale` must be a finite real number > 0" in refused(
        "orientations", problem, "--activation", "tanh", "--scale", "0"
    )
