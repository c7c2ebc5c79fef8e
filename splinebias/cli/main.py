"""The command line: `splinebias predict | train | study`, each a thin reading of the function of the same name.

Exit status: 0 if the computation reached what was asked for, 1 if it ended with another `Outcome`, 2 for bad input (one
line on stderr, before any work starts). numpy and whatever needs it are imported when a command runs, so that help is quick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splinebias import __version__
from splinebias.cli.console import (
    METHODS,
    Commands,
    Numbers,
    interval_option,
    json_option,
    made,
    method_option,
    picture,
    plot_option,
    print_facts,
    print_json,
    print_table,
)
from splinebias.cli.study import study
from splinebias.errors import Outcome

if TYPE_CHECKING:
    from splinebias.problem import Problem

_SOLVERS = {
    "banded": "BandedSolver",
    "dual": "DualSolver",
    "kernel": "KernelSolver",
    "power": "PowerSolver",
    "grid": "GridSolver",
}

_problem = click.argument("problem", metavar="PROBLEM.toml", type=click.Path(path_type=Path))
_loss_tol = click.option(
    "--loss-tol", type=float, default=1e-12, show_default=True, help="Loss to reach, in the units of y squared."
)


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="splinebias")
def main() -> None:
    """What a wide shallow network on the line converges to, and how far a real one is from it.

    Every command reads a problem from a TOML file:

    \b
        [data]
        x = [-1, -0.2, 0, 0.2, 1]
        y = [-0.15, -0.15, 0.15, -0.15, -0.15]
    \b
        [initialization]
        weight = {name = "rademacher"}
        bias = {name = "uniform", args = [-1, 2]}

    Exit status: 0 done, 1 the computation ended early (the outcome says why), 2 bad input.
    """


@main.command()
@_problem
@click.option("--solver", type=click.Choice(list(_SOLVERS)), help="Default: the fastest exact one.")
@click.option(
    "--time",
    type=float,
    default=math.inf,
    show_default=True,
    help="Training time t = n * (sum of learning rates) to stop at.",
)
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at these points.")
@plot_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    *,
    problem: Path,
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
    from splinebias.limit.predict import predict as solve
    from splinebias.problem import Problem

    spec = Problem.from_toml(problem)
    save = picture(plot)
    limit = solve(spec, made(_SOLVERS, solver), time=time)
    values = [] if at is None else limit.function(at).tolist()
    if save is not None:
        save(limit)
    if as_json:
        print_json(
            _head(spec, limit.outcome, limit.outcome.value)
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


@main.command()
@_problem
@click.option("--width", type=int, required=True, help="Number of hidden units.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where all randomness comes from.")
@method_option
@_loss_tol
@interval_option
@plot_option
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    *,
    problem: Path,
    width: int,
    seed: int,
    method: str | None,
    loss_tol: float,
    interval: list[float] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Train one network and measure how far it ends from the limit.

    \b
    Example:
        splinebias train problem.toml --width 4860 --seed 0 --plot network.png
    """
    from splinebias._arguments import interval as check_interval
    from splinebias.functions.compare import compare
    from splinebias.limit.predict import predict as solve
    from splinebias.problem import Problem

    spec = Problem.from_toml(problem)
    save = picture(plot)
    where = spec.default_interval if interval is None else check_interval(interval)
    limit = solve(spec)
    from splinebias.training.train import train as train_network  # torch takes two seconds: bad input is refused before that

    run = train_network(spec, width, seed, method=made(METHODS, method), loss_tol=loss_tol)
    distance = compare(run.function, limit.function, interval=where)
    if save is not None:
        save(run, limit)
    if as_json:
        print_json(
            _head(spec, run.outcome, run.advice)
            | {"width": run.width, "seed": run.seed, "loss": run.loss, "steps": run.steps, "time": run.time}
            | {"seconds": run.seconds, "stats": run.stats}
            | {"prediction": {"penalty": limit.penalty, "outcome": limit.outcome.name}}
            | {"distance": {"sup": distance.sup, "l2": distance.l2, "argmax": distance.argmax, "interval": where}}
        )
    else:
        print_facts(
            problem=spec.describe(),
            network=f"width {run.width}, seed {run.seed}",
            training=f"{run.steps} steps to time {run.time:.6g} in {run.seconds:.2f} s",
            outcome=run.advice,
            loss=f"{run.loss:.3e}",
            distance=f"sup {distance.sup:.4g} (at x = {distance.argmax:.4g}), L2 {distance.l2:.4g} "
            f"from the limit on [{where[0]:g}, {where[1]:g}]",
        )
    ctx.exit(0 if run.outcome.ok and limit.outcome.ok else 1)


main.add_command(study)


def _head(problem: Problem, outcome: Outcome, advice: str) -> dict[str, Any]:
    """What every JSON object starts with."""
    return {"problem": problem.describe(), "outcome": outcome.name, "advice": advice}


def _stats(stats: Mapping[str, Any]) -> str:
    """The solver's name, then its numbers."""
    named = (f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in stats.items())
    return ", ".join(named).removeprefix("solver ")
