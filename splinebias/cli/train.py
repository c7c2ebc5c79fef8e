"""`splinebias train`: one network of a problem, and how far it ends from the limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from splinebias.cli.console import (
    LOSSES,
    METHODS,
    Answer,
    end,
    head_of,
    interval_option,
    made,
    method_option,
    of_problem,
    where_in,
)

if TYPE_CHECKING:
    from splinebias.problem import Problem


@click.command()
@click.option("--width", type=int, required=True, help="Number of hidden units.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where all randomness comes from.")
@method_option
@click.option(
    "--richness", type=float, metavar="GAMMA", help="Train mean-field networks of this richness, whatever the problem says."
)
@click.option("--loss", type=click.Choice(LOSSES), default="squared", show_default=True, help="What is lowered.")
@click.option("--trainable", default="all", show_default=True, help='"all", "hidden", "output", or some of w,b,a,d.')
@click.option("--loss-tol", type=float, help="Loss to reach; default: 1e-12, or what puts every label on its side.")
@interval_option
@of_problem
def train(
    *,
    problem: Problem,
    answer: Answer,
    width: int,
    seed: int,
    method: str | None,
    richness: float | None,
    loss: str,
    trainable: str,
    loss_tol: float | None,
    interval: tuple[float, float] | None,
) -> None:
    """Train one network and measure its distance to the limit.

    That of mean-field networks is the limit at the time at which training stopped. Losses of labels and frozen output
    weights have none: for them there is no distance.

    \b
    Example:
        splinebias train problem.toml --width 4860 --seed 0 --plot network.png
        splinebias train problem.toml --width 1000 --loss logistic
        splinebias train problem.toml --width 1000 --richness 2
    """
    answer.of_one_input(problem)
    from splinebias._arguments import interval as check_interval
    from splinebias.errors import CapabilityError
    from splinebias.functions.compare import compare
    from splinebias.functions.compare_on_box import place_text
    from splinebias.limit.predict import predict as solve
    from splinebias.loss import loss_named
    from splinebias.parameterization import MeanField
    from splinebias.training.method import checked_trainable

    if richness is not None:
        problem = replace(problem, parameterization=MeanField(richness))
    where: Any = problem.default_place if interval is None else where_in(problem, check_interval(interval))
    moves = checked_trainable(trainable.split(",") if "," in trainable else trainable)
    rich, lazy = isinstance(problem.parameterization, MeanField), loss == "squared" and "a" in moves
    limit = solve(problem) if lazy and not rich else None
    from splinebias.training.train import train as train_network  # torch takes two seconds: bad input is refused before that

    run = train_network(
        problem, width, seed, method=made(METHODS, method), loss=loss_named(loss), trainable=moves, loss_tol=loss_tol
    )
    unknown = "limits are of the squared loss and of trained output weights"
    try:
        if lazy and rich and moves == checked_trainable("all"):
            limit = solve(problem, time=run.time)
        elif limit is not None and not problem.initialization.starts_at_zero:
            limit = solve(problem, start=run.start)
    except CapabilityError as missing:
        if not rich:
            raise
        unknown = str(missing)
    distance = None if limit is None else compare(run.function, limit.function, interval=where)
    answer.draw(run, *filter(None, [limit]))
    labels = {}
    if loss != "squared":
        labels["labels"] = f"{run.stats['wrong']:.0f} on the wrong side, least margin {run.stats['margin']:.4g}"
    answer.show(
        head_of(problem, run.outcome, run.advice)
        | {"width": run.width, "seed": run.seed, "loss": run.loss, "steps": run.steps, "time": run.time}
        | {"seconds": run.seconds, "stats": run.stats}
        | {"prediction": limit and {"penalty": limit.penalty, "outcome": limit.outcome.name}}
        | {
            "distance": distance
            and {name: getattr(distance, name) for name in ("sup", "l2", "argmax")} | {"interval": where}
        },
        {
            "problem": problem.describe(),
            "network": f"width {run.width}, seed {run.seed}",
            "training": f"{run.steps} steps to time {run.time:.6g} in {run.seconds:.2f} s",
            "outcome": run.advice,
            "loss": f"{run.loss:.3e}",
            **labels,
            **({} if limit is None or limit.outcome.ok else {"prediction": limit.outcome.value}),
            "distance": f"unknown: {unknown}"
            if distance is None
            else f"sup {distance.sup:.4g} (at x = {_point(distance.argmax)}), L2 {distance.l2:.4g} "
            f"from the limit{' at this time' if rich else ''} on {place_text(where)}",
        },
    )
    end(ok=run.outcome.ok and (limit is None or limit.outcome.ok))


def _point(x: Any) -> str:
    """A point of one or of several inputs."""
    return f"{x:.4g}" if isinstance(x, float) else f"({', '.join(f'{part:.4g}' for part in x)})"
