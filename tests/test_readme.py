"""README and CONTRIBUTING keep their word: the example runs, the problem file loads, commands, pictures and tests exist."""

import doctest
import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import splinebias as sb
from splinebias.cli.main import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """Bodies of the fenced blocks of one language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
    return [body for name, body in fenced if name == language]


def lines(command):
    """Shell lines that start with a command."""
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith(f"{command} ")]


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("README.md", 8),
        ("docs/extending.md", 15),
        ("docs/guide/results.md", 12),
        ("docs/guide/limits.md", 15),
        ("docs/guide/training.md", 10),
        ("docs/guide/finite-width.md", 7),
        ("docs/guide/several-inputs.md", 10),
        ("docs/guide/data.md", 10),
        ("docs/guide/estimator.md", 8),
        ("docs/guide/learning-features.md", 10),
        ("docs/early-alignment.md", 6),
    ],
)
def test_the_examples_print_what_they_say(page, least):
    failed, attempted = doctest.testfile(str(ROOT / page), module_relative=False, encoding="utf-8")
    assert attempted >= least
    assert failed == 0


def test_the_problem_file_is_one():
    (toml,) = blocks("toml")
    problem = sb.Problem.from_toml(toml)
    assert problem.potential == sb.Scaled(sb.Power(4, quadratic=1))
    assert sb.predict(problem).outcome is sb.Outcome.CONVERGED


def test_the_set_up_free_commands_are_targets_of_the_makefile():
    commands = [line.split()[1] for line in lines("make")]
    assert commands == ["reproduce", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in commands:
        assert re.search(rf"^{target}: \$\(READY\)", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("line", lines("splinebias"))
def test_the_command_lines_parse(line):
    """With a missing file each gets as far as reading it: every option on the line exists."""
    result = CliRunner().invoke(main, shlex.split(line)[1:])
    assert result.exit_code == 2
    assert re.search(r"cannot read the problem (or study )?file problem\.toml", result.stderr)


def test_pictures_and_files_exist():
    for path in (*re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT), "CITATION.cff", "LICENSE"):
        assert (ROOT / path).is_file()


def test_the_tests_that_contributing_names_exist():
    named = set(re.findall(r"\b(test_\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 50
    assert named <= {name for source in sources for name in re.findall(r"def (test_\w+)", source)}


def test_the_tree_of_the_architecture_is_that_of_the_package():
    tree = runpy.run_path(str(ROOT / "docs" / "tree.py"))
    assert tree["PAGE"].read_text(encoding="utf-8") == tree["page"](), "run: python docs/tree.py"


def test_the_architecture_answers_questions_by_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\| [^|]+\? \| `([^`]+)` \|$", text, flags=re.MULTILINE)
    assert len(answers) == 30
    for answer in answers:
        assert (ROOT / "splinebias" / f"{answer}.py").is_file(), answer
