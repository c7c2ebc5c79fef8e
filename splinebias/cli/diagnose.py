"""`splinebias diagnose`: why a network is not its infinite-width limit, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from splinebias.cli.console import METHODS, Answer, interval_option, made, method_option, of_problem, print_json, where_in

if TYPE_CHECKING:
    from splinebias.problem import Problem


@click.command()
@click.option("--width", type=int, help="Train a network of that many hidden units and take it apart.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where all randomness of that network comes from.")
@click.option("--state", type=click.Path(path_type=Path), help="Instead: the torch state_dict of a trained module.")
@click.option("--start", type=click.Path(path_type=Path), help="With --state: the state_dict before training.")
@click.option("--time", type=float, help="With --start: training time, n * (sum of learning rates); twice that for MSELoss.")
@method_option
@click.option("--loss-tol", type=float, default=1e-12, show_default=True, help="Loss to reach, in the units of y squared.")
@interval_option
@of_problem
def diagnose(
    *,
    problem: Problem,
    answer: Answer,
    width: int | None,
    seed: int,
    state: Path | None,
    start: Path | None,
    time: float | None,
    method: str | None,
    loss_tol: float,
    interval: tuple[float, float] | None,
) -> None:
    """Split the gap of a network to its limit into named parts.

    \b
    Examples:
        splinebias diagnose problem.toml --width 1000 --seed 3 --plot parts.png
        splinebias diagnose problem.toml --state trained.pt --start start.pt --time 1e6
    """
    from splinebias.errors import DataError

    if (width is None) == (state is None):
        raise DataError("give either --width, to train a network, or --state, the weights of a trained one")
    if width is not None and (start is not None or time is not None):
        raise DataError("--start and --time belong to --state; a network that is trained here has its own")
    if answer.wants_picture and width is None and (start is None or time is None):
        raise DataError("there is a picture of the parts only, which need --start and --time")
    from splinebias.finite_width.gap.diagnosis import diagnose as take_apart
    from splinebias.networks.state_dict import network_from_state
    from splinebias.training.train import train

    where = where_in(problem, interval)

    if width is not None:
        found = take_apart(train(problem, width, seed, method=made(METHODS, method), loss_tol=loss_tol), interval=where)
    else:
        assert state is not None
        begun = None if start is None else network_from_state(start, problem.activation)
        found = take_apart(network_from_state(state, problem.activation), problem, start=begun, time=time, interval=where)
    answer.draw(found)
    if answer.as_json:
        print_json(found.facts())
    else:
        click.echo(str(found))
