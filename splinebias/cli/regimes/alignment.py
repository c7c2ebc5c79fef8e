"""`splinebias alignment`: whether labels satisfy the hypothesis of early alignment, and when the neurons of a network do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from splinebias.cli.console import LOSSES, Answer, end, of_problem, print_facts, print_json

if TYPE_CHECKING:
    from splinebias.problem import Problem


@click.command()
@click.option("--width", type=int, help="Also follow a network of so many neurons; default: predict only.")
@click.option("--scale", type=float, default=1e-8, show_default=True, help="Size of every neuron at the start, below 1.")
@click.option("--loss", type=click.Choice(LOSSES), default="exponential", show_default=True, help="What the network lowers.")
@click.option("--loss-tol", type=float, default=1e-2, show_default=True, help="Loss to follow it to.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where its directions and signs come from.")
@click.option("--subset", is_flag=True, help="Where the hypothesis fails, also the largest subset on which it holds.")
@of_problem
def alignment(
    *,
    problem: Problem,
    answer: Answer,
    width: int | None,
    scale: float,
    loss: str,
    loss_tol: float,
    seed: int,
    subset: bool,
) -> None:
    """Check labels for early alignment, and follow a network.

    The y of the problem are the labels, +1 and -1; the network starts small and balanced. Its networks have biases: points
    are (x, 1).

    \b
    Examples:
        splinebias alignment problem.toml
        splinebias alignment problem.toml --width 200 --loss logistic --plot aligned.png
    """
    import splinebias as sb
    from splinebias.loss import loss_named

    margin = sb.alignment_margin(problem)
    run = None
    if width is not None:
        run = sb.alignment(problem, width=width, scale=scale, loss=loss_named(loss), loss_tol=loss_tol, seed=seed)
    answer.draw(margin if run is None else run)
    kept = (
        {"greedy": margin.largest_subset().tolist(), "largest": margin.largest_subset(exact=True).tolist()} if subset else {}
    )
    if answer.as_json:
        print_json(margin.facts() | {"subset": kept or None, "network": run and run.facts() | {"outcome": run.outcome.name}})
    else:
        print_facts(**margin.lines())
        for name, indices in kept.items():
            click.echo(f"{name} subset: {len(indices)} of {margin.labels.size} points: {', '.join(map(str, indices))}")
        if run is not None:
            click.echo()
            click.echo(run)
    end(ok=run is None or run.outcome.ok)
