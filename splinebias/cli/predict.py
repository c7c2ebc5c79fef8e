"""`splinebias predict`: the infinite-width limit of a problem, at points, as a picture or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from splinebias.cli.console import (
    Numbers,
    head_of,
    json_option,
    made,
    picture,
    plot_option,
    print_facts,
    print_json,
    print_table,
    problem_argument,
    root_option,
)

SOLVERS = {
    "banded": "BandedSolver",
    "dual": "DualSolver",
    "kernel": "KernelSolver",
    "power": "PowerSolver",
    "smooth": "SmoothSolver",
    "points": "PointsSolver",
    "grid": "GridSolver",
}


@click.command()
@problem_argument
@click.option("--solver", type=click.Choice(list(SOLVERS)), help="Default: the fastest exact one.")
@click.option(
    "--time",
    type=float,
    default=math.inf,
    show_default=True,
    help="Training time t = n * (sum of learning rates) to stop at.",
)
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at these points.")
@root_option
@plot_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    *,
    problem: Path,
    root: Path | None,
    solver: str | None,
    time: float,
    at: list[float] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Solve for the infinite-width limit: no network is trained.

    \b
    Examples:
        splinebias predict problem.toml --at -1.3,0.5 --plot limit.png
        splinebias predict problem.toml --time 1e3
    """
    from splinebias.data import Dataset
    from splinebias.errors import DataError
    from splinebias.limit.predict import predict as solve
    from splinebias.problem import Problem

    spec = Problem.from_toml(problem, root=root)
    if at and not isinstance(spec.data, Dataset):
        raise DataError("--at takes abscissae of one input; of several evaluate sb.predict(problem).function in Python")
    save = picture(plot)
    limit = solve(spec, made(SOLVERS, solver), time=time)
    values = [] if at is None else limit.function(at).tolist()
    save(limit)
    if as_json:
        print_json(
            head_of(spec, limit.outcome, limit.outcome.value)
            | {"penalty": limit.penalty, "residual": limit.residual, "multipliers": limit.multipliers, "stats": limit.stats}
            | {"at": [{"x": x, "f": f} for x, f in zip(at or [], values, strict=True)]}
        )
    else:
        print_facts(
            problem=spec.describe(),
            solver=_stats(limit.stats),
            outcome=limit.outcome.value,
            penalty=f"{limit.penalty:.12g}",
            residual=f"{limit.residual:.1e}",
        )
        if at:
            print_table({"x": at, "f(x)": values})
    ctx.exit(0 if limit.outcome.ok else 1)


def _stats(stats: Mapping[str, Any]) -> str:
    """The solver's name, then its numbers."""
    named = (f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in stats.items())
    return ", ".join(named).removeprefix("solver ")
