"""How long a user waits before anything is computed: fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from benchmarks._timing import duration, paired, table

CODES = {
    "python": "pass",
    "`import splinebias`": "import splinebias",
    "`splinebias --help`": "from splinebias.cli.main import main; main(['--help'], standalone_mode=False)",
    "`splinebias.Problem`": "import splinebias; splinebias.Problem",
    "`splinebias.predict`": "import splinebias; splinebias.predict",
    "`import scipy.interpolate`": "import scipy.interpolate",
    "`splinebias.train`": "import splinebias; splinebias.train",
    "`import torch`": "import torch",
    "`import cvxpy`": "import cvxpy",
}


def start(code):
    """A fresh interpreter that runs `code`."""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", CODES)
def bench_startup(benchmark, name):
    benchmark.pedantic(start, (CODES[name],), rounds=5)


def tabulate(*, full):
    """Median and smallest time of each."""
    seconds = paired(9 if full else 3, *(lambda code=code: start(code) for code in CODES.values()))
    return table(
        ["what", "median", "smallest"],
        [[name, duration(np.median(row)), duration(row.min())] for name, row in zip(CODES, seconds.T, strict=True)],
    )
