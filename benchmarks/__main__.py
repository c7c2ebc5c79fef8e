"""`python -m benchmarks`: measure, and put the tables into benchmarks/README.md between their markers.

A table stands between the lines ``<!-- NAME -->`` and ``<!-- end of NAME -->``; everything else in the file stays as it is.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

README = Path(__file__).parent / "README.md"
_TABLES = {  # name in README.md: module and function, called with full=True or False
    "published": "bench_published:tabulate",
    "many points": "bench_many_points:tabulate",
    "scaled": "bench_many_points:tabulate_scaled",
    "random weights": "bench_random_weights:tabulate",
    "neighbours": "bench_neighbours:tabulate",
    "second opinion": "bench_second_opinion:tabulate",
    "path": "bench_path:tabulate",
    "precision": "bench_precision:tabulate",
    "flow": "bench_flow:tabulate",
    "flow sizes": "bench_flow:tabulate_sizes",
    "training survey": "survey_training:tabulate",
    "neuron flow": "bench_neuron_flow:tabulate",
    "fluctuations": "bench_fluctuations:tabulate",
    "band": "bench_band:tabulate",
    "least norm": "bench_least_norm:tabulate",
    "several inputs": "bench_several_inputs:tabulate",
    "sparse step": "bench_sparse_step:tabulate",
    "study": "bench_study:tabulate",
    "startup": "bench_startup:tabulate",
}


def main(arguments: list[str] | None = None) -> int:
    """Measure what `arguments` (default: the command line) ask for; 2 if README.md lacks a marker."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and update benchmarks/README.md.")
    parser.add_argument("--short", action="store_true", help="small sizes and few rounds, printed only: under a minute")
    parser.add_argument("--only", choices=list(_TABLES), action="append", help="one table; may be repeated")
    options = parser.parse_args(arguments)
    text = README.read_text(encoding="utf-8")
    for name in options.only or _TABLES:
        began = time.perf_counter()
        table = f"{_function(name)(full=not options.short)}\n\n{machine()}"
        print(f"{name} ({time.perf_counter() - began:.0f} s)\n{table}\n", flush=True)
        try:
            text = placed(text, name, table)
        except ValueError as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return 2
        if not options.short:
            README.write_text(text, encoding="utf-8")
    return 0


def placed(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers of `name`."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{README} must have the lines {start!r} and {end!r}; add them")
    return f"{before}{start}\n{table}\n\n{end}{after}"


def machine() -> str:
    """What the numbers depend on, in one line."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch", "cvxpy"))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"Python {platform.python_version()}, {libraries}; {os.cpu_count()} cores, {threads} used; {_processor()}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _function(name: str) -> Callable[..., str]:
    module, _, function = _TABLES[name].partition(":")
    found: Callable[..., str] = getattr(import_module(f"benchmarks.{module}"), function)
    return found


if __name__ == "__main__":
    sys.exit(main())
