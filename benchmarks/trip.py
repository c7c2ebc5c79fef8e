"""How many files a prediction visits, and how often it goes from one to another: the length of the way through the code.

python -m benchmarks.trip [--arrows N]  # also the N pairs of files with most calls from one into the other, and which
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import scipy.stats as st

import splinebias as sb

PACKAGE = str(Path(sb.__file__).parent)


def trip(problem: sb.Problem) -> tuple[list[str], Counter[tuple[str, str, str]]]:
    """Files of the package in the order in which a first prediction enters them, and calls (from, to, name) across files."""
    sb.predict(problem)  # imports
    visited: list[str] = []
    calls: Counter[tuple[str, str, str]] = Counter()

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(PACKAGE):
            return
        name = file.removeprefix(PACKAGE + "/")
        if name not in visited:
            visited.append(name)
        before = frame.f_back
        while before is not None and not before.f_code.co_filename.startswith(PACKAGE):
            before = before.f_back
        if before is None or before.f_code.co_filename != file:
            origin = "" if before is None else before.f_code.co_filename.removeprefix(PACKAGE + "/")
            calls[origin, name, frame.f_code.co_name] += 1

    problem = sb.Problem(problem.data, problem.initialization, problem.activation, problem.potential)
    sys.setprofile(watch)
    try:
        sb.predict(problem)
    finally:
        sys.setprofile(None)
    return visited, calls


def arrows(calls: Counter[tuple[str, str, str]], most: int) -> str:
    """The pairs of files with most calls, a line each, with the functions that are called most."""
    pairs: Counter[tuple[str, str]] = Counter()
    for (origin, name, _), count in calls.items():
        pairs[origin, name] += count
    lines = []
    for pair, total in pairs.most_common(most):
        named = Counter({call[2]: count for call, count in calls.items() if call[:2] == pair}).most_common(5)
        lines.append(f"{total:6d}  {pair[0] or '(outside)'} -> {pair[1]}: {', '.join(f'{n} {c}' for n, c in named)}")
    return "\n".join(lines)


def main() -> None:
    """Print the trip of a scaled prediction on four points, |u|^4 + u^2, and of a quadratic one on five."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--arrows", type=int, default=0, help="pairs of files to print")
    most = options.parse_args().arrows
    law = sb.Initialization.rademacher(st.uniform(-1, 2))
    b = sb.Dataset([-1, 0.35, 0.65, 1], [0.15, 0.15, -0.15, 0.15])
    a = sb.Dataset([-1, -0.2, 0, 0.2, 1], [-0.15, -0.15, 0.15, -0.15, -0.15])
    for name, problem in {
        "quadratic, five points": sb.Problem(a, law),
        "scaled u^4 + u^2, four points": sb.Problem(b, law, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
        "the same, Gaussian law": sb.Problem(b, sb.Initialization.gaussian(), sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
    }.items():
        visited, calls = trip(problem)
        print(f"{name}: {len(visited)} files, {calls.total()} calls from one file into another\n  {' '.join(visited)}")
        if most:
            print(arrows(calls, most))


if __name__ == "__main__":
    main()
