"""`splinebias band | width | laziness`: what networks of a width do, predicted without training one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from splinebias.cli.console import Answer, Numbers, head_of, interval_option, of_problem, places, rows, where_in

if TYPE_CHECKING:
    from splinebias.problem import Problem

width_option = click.option("--width", type=int, required=True, help="Number of hidden units.")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of the Monte Carlo.")


@click.command()
@width_option
@click.option("--time", type=float, default=math.inf, show_default=True, help="Training time, n * (sum of learning rates).")
@click.option("--at", type=Numbers("X,X,..."), help="Print limit and deviation at these points, of d inputs d numbers each.")
@seed_option
@interval_option
@of_problem
def band(
    *,
    problem: Problem,
    answer: Answer,
    width: int,
    time: float,
    at: list[float] | None,
    seed: int,
    interval: tuple[float, float] | None,
) -> None:
    """Predict how far networks of a width end from their limit.

    \b
    Example:
        splinebias band problem.toml --width 4860 --at 0.5 --plot band.png
    """
    from splinebias.finite_width.band import ErrorBand, error_band
    from splinebias.functions.compare_on_box import place_text

    points, columns = places(problem, at)
    found = error_band(problem, width, interval=where_in(problem, interval), time=time, seed=seed)
    limits, deviations = (found.prediction(points).tolist(), found.std(points).tolist()) if at else ([], [])
    answer.draw(found)
    quantiles = {str(q): found.quantile(q) for q in (0.05, 0.5, 0.95)}
    ends = found.interval if isinstance(found, ErrorBand) else found.box.tolist()
    answer.show(
        head_of(problem, found.prediction.outcome, found.advice)
        | {"width": width, "time": time, "interval": ends}
        | {"expected_sup": found.expected_sup, "quantiles": quantiles}
        | {"at": rows(columns | {"f": limits, "std": deviations})},
        {
            "problem": problem.describe(),
            "networks": f"width {width}, time {time:g}",
            "largest_error": f"on {place_text(ends)}: {found.expected_sup:.4g} on average, below "
            + ", ".join(f"{value:.4g} in {float(q):.0%}" for q, value in quantiles.items()),
            "advice": found.advice or "none",
        },
        columns | {"f(x)": limits, "std": deviations} if at else None,
    )


@click.command()
@click.option("--error", type=float, required=True, help="Largest distance from the limit, in the units of y.")
@click.option("--probability", type=float, default=0.95, show_default=True, help="Share of networks that stay below it.")
@seed_option
@interval_option
@of_problem
def width(
    *,
    problem: Problem,
    answer: Answer,
    error: float,
    probability: float,
    seed: int,
    interval: tuple[float, float] | None,
) -> None:
    """Predict the width for an error; the picture is its band.

    \b
    Example:
        splinebias width problem.toml --error 0.05
    """
    from splinebias.finite_width.band import error_band
    from splinebias.finite_width.required_width import required_width

    where = where_in(problem, interval)
    found = required_width(problem, error, probability, interval=where, seed=seed)
    if answer.wants_picture:
        answer.draw(error_band(problem, found.width, interval=where, seed=seed))
    answer.show(
        {"problem": problem.describe()} | vars(found),
        {
            "problem": problem.describe(),
            "width": f"{found.width} (Monte Carlo: {found.low} to {found.high})",
            "for_an_error": f"below {found.sup_error:g} in {found.probability:.3g} of networks",
            "advice": found.advice or "none",
        },
    )


@click.command()
@width_option
@seed_option
@of_problem
def laziness(*, problem: Problem, answer: Answer, width: int, seed: int) -> None:
    """Predict how far the hidden weights move.

    \b
    Example:
        splinebias laziness problem.toml --width 1000
    """
    from splinebias.finite_width.movement.laziness import laziness as predicted

    found = predicted(problem, width, seed=seed)
    answer.draw(found)
    numbers = {"overall": found.overall, "median": found.quantile(0.5), "largest": found.largest}
    answer.show(
        {"problem": problem.describe(), "advice": found.advice, "width": width}
        | numbers
        | {"holds": found.holds, "lazy_width": found.lazy_width},
        {
            "problem": problem.describe(),
            "hidden_weights": f"at width {width} move by {found.overall:.2e} of their size; half of them by less than "
            f"{numbers['median']:.2e}, 99 % by less than {found.largest:.2e}",
            "lazy_width": str(found.lazy_width),
            "advice": found.advice or "none",
        },
    )
