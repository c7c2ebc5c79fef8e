"""The command line as tests call it: in this process, with what it printed and its exit status."""

import json

from click.testing import CliRunner

from splinebias.cli.main import main

LAW = '[initialization]\nweight = {name = "rademacher"}\nbias = {name = "uniform", args = [-1, 2]}\n'
PROBLEM = "[data]\nx = [-1, -0.2, 0, 0.2, 1]\ny = [-0.15, -0.15, 0.15, -0.15, -0.15]\n" + LAW


def run(*arguments):
    """What `splinebias` does with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="splinebias")


def run_json(*arguments):
    """What it prints with --json, where it ends well."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
