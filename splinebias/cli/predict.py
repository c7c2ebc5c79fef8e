"""`splinebias predict`: the infinite-width limit of a problem, at points, as a picture or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from splinebias.cli.console import Answer, Numbers, end, head_of, made, of_problem, places, rows

if TYPE_CHECKING:
    from splinebias.problem import Problem

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
@click.option("--solver", type=click.Choice(list(SOLVERS)), help="Default: the fastest exact one.")
@click.option(
    "--time",
    type=float,
    default=math.inf,
    show_default=True,
    help="Training time t = n * (sum of learning rates) to stop at.",
)
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at these points, of d inputs d numbers each.")
@of_problem
def predict(
    *,
    problem: Problem,
    answer: Answer,
    solver: str | None,
    time: float,
    at: list[float] | None,
) -> None:
    """Solve for the infinite-width limit: no network is trained.

    \b
    Examples:
        splinebias predict problem.toml --at -1.3,0.5 --plot limit.png
        splinebias predict problem.toml --time 1e3
    """
    answer.of_one_input(problem)
    from splinebias.limit.predict import predict as solve

    points, columns = places(problem, at)
    limit = solve(problem, made(SOLVERS, solver), time=time)
    values = limit.function(points).tolist() if at else []
    answer.draw(limit)
    answer.show(
        head_of(problem, limit.outcome, limit.outcome.value)
        | {"penalty": limit.penalty, "residual": limit.residual, "multipliers": limit.multipliers, "stats": limit.stats}
        | {"at": rows(columns | {"f": values})},
        {
            "problem": problem.describe(),
            "solver": _stats(limit.stats),
            "outcome": limit.outcome.value,
            "penalty": f"{limit.penalty:.12g}",
            "residual": f"{limit.residual:.1e}",
        },
        columns | {"f(x)": values} if at else None,
    )
    end(ok=limit.outcome.ok)


def _stats(stats: Mapping[str, Any]) -> str:
    """The solver's name, then its numbers."""
    named = (f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in stats.items())
    return ", ".join(named).removeprefix("solver ")
