"""Settings of the whole test run: one thread per worker, no display, the same random examples every time."""

import os
import re
from pathlib import Path

# Before numpy or torch is imported: two workers with two threads each would fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("splinebias", derandomize=True, deadline=None, database=None, max_examples=30)
settings.load_profile("splinebias")


@pytest.hookimpl(tryfirst=True)  # before the nightly ones are left out
def pytest_collection_modifyitems(items):
    """A test is nightly only if the table in CONTRIBUTING.md names it, beside the fast test of the same law."""
    table = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    nightly = {item.originalname for item in items if item.get_closest_marker("nightly")}
    if unnamed := sorted(nightly - set(re.findall(r"test_\w+", table))):
        raise pytest.UsageError(
            f"CONTRIBUTING.md must name a fast test beside each nightly one, and has no row for {unnamed}"
        )
