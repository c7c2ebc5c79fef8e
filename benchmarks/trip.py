"""How many files a prediction visits, and how often it goes from one to another: the length of the way through the code.

python -m benchmarks.trip
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import scipy.stats as st

import splinebias as sb

PACKAGE = str(Path(sb.__file__).parent)


def trip(problem: sb.Problem) -> tuple[list[str], int]:
    """Files of the package in the order in which a first prediction enters them, and the number of calls across files."""
    sb.predict(problem)  # imports
    visited: list[str] = []
    changes = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal changes
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(PACKAGE):
            return
        name = file.removeprefix(PACKAGE + "/")
        if name not in visited:
            visited.append(name)
        before = frame.f_back
        while before is not None and not before.f_code.co_filename.startswith(PACKAGE):
            before = before.f_back
        changes += before is None or before.f_code.co_filename != file

    problem = sb.Problem(problem.data, problem.initialization, problem.activation, problem.potential)
    sys.setprofile(watch)
    try:
        sb.predict(problem)
    finally:
        sys.setprofile(None)
    return visited, changes


def main() -> None:
    """Print the trip of a scaled prediction on four points, |u|^4 + u^2, and of a quadratic one on five."""
    law = sb.Initialization.rademacher(st.uniform(-1, 2))
    b = sb.Dataset([-1, 0.35, 0.65, 1], [0.15, 0.15, -0.15, 0.15])
    a = sb.Dataset([-1, -0.2, 0, 0.2, 1], [-0.15, -0.15, 0.15, -0.15, -0.15])
    for name, problem in {
        "quadratic, five points": sb.Problem(a, law),
        "scaled u^4 + u^2, four points": sb.Problem(b, law, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
        "the same, Gaussian law": sb.Problem(b, sb.Initialization.gaussian(), sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
    }.items():
        visited, changes = trip(problem)
        print(f"{name}: {len(visited)} files, {changes} calls from one file into another\n  {' '.join(visited)}")


if __name__ == "__main__":
    main()
