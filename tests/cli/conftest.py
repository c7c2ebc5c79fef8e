"""A problem file for commands."""

import pytest
from commands import PROBLEM


@pytest.fixture
def problem(tmp_path):
    path = tmp_path / "problem.toml"
    path.write_text(PROBLEM)
    return path
