"""How long a user waits before anything is computed: fresh interpreters, the smallest of the rounds is the one to read."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "import splinebias",
        "import splinebias; splinebias.Problem",
        "import splinebias; splinebias.predict",
        "import splinebias; splinebias.train",
        "from splinebias.cli import main; main(['--help'], standalone_mode=False)",
    ],
)
def bench_startup(benchmark, code):
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", code],), {"check": True, "capture_output": True}, rounds=5)
