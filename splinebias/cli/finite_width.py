"""`splinebias band | width | laziness`: what networks of a width do, predicted without training one."""

from __future__ import annotations

import math
from pathlib import Path

import click

from splinebias.cli.console import (
    Numbers,
    interval_option,
    json_option,
    picture,
    plot_option,
    print_facts,
    print_json,
    print_table,
    problem_argument,
    root_option,
)

width_option = click.option("--width", type=int, required=True, help="Number of hidden units.")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of the Monte Carlo.")


@click.command()
@problem_argument
@width_option
@click.option("--time", type=float, default=math.inf, show_default=True, help="Training time, n * (sum of learning rates).")
@click.option("--at", type=Numbers("X,X,..."), help="Print limit and deviation at these points.")
@seed_option
@interval_option
@root_option
@plot_option
@json_option
def band(
    *,
    problem: Path,
    root: Path | None,
    width: int,
    time: float,
    at: list[float] | None,
    seed: int,
    interval: list[float] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Predict how far networks of a width end from their limit.

    \b
    Example:
        splinebias band problem.toml --width 4860 --at 0.5 --plot band.png
    """
    from splinebias.finite_width.band import ErrorBand, error_band
    from splinebias.problem import Problem

    spec, save = Problem.from_toml(problem, root=root), picture(plot)
    where = None if interval is None else (interval[0], interval[1])
    spec.line_data  # noqa: B018 (refuses several inputs, which have no points --at)
    found = error_band(spec, width, interval=where, time=time, seed=seed)
    assert isinstance(found, ErrorBand), "the data are of one input"
    points = at or []
    limits, deviations = (found.prediction(points).tolist(), found.std(points).tolist()) if points else ([], [])
    save(found)
    quantiles = {str(q): found.quantile(q) for q in (0.05, 0.5, 0.95)}
    if as_json:
        print_json(
            {"problem": spec.describe(), "outcome": found.prediction.outcome.name, "advice": found.advice}
            | {"width": width, "time": time, "interval": found.interval}
            | {"expected_sup": found.expected_sup, "quantiles": quantiles}
            | {"at": [{"x": x, "f": f, "std": s} for x, f, s in zip(points, limits, deviations, strict=True)]}
        )
        return
    lo, hi = found.interval
    print_facts(
        problem=spec.describe(),
        networks=f"width {width}, time {time:g}",
        largest_error=f"on [{lo:g}, {hi:g}]: {found.expected_sup:.4g} on average, below "
        + ", ".join(f"{value:.4g} in {float(q):.0%}" for q, value in quantiles.items()),
        advice=found.advice or "none",
    )
    if points:
        print_table({"x": points, "f(x)": limits, "std": deviations})


@click.command()
@problem_argument
@click.option("--error", type=float, required=True, help="Largest distance from the limit, in the units of y.")
@click.option("--probability", type=float, default=0.95, show_default=True, help="Share of networks that stay below it.")
@seed_option
@interval_option
@root_option
@plot_option
@json_option
def width(
    *,
    problem: Path,
    root: Path | None,
    error: float,
    probability: float,
    seed: int,
    interval: list[float] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Predict the width for an error; the picture is its band.

    \b
    Example:
        splinebias width problem.toml --error 0.05
    """
    from splinebias.finite_width.band import error_band
    from splinebias.finite_width.required_width import required_width
    from splinebias.problem import Problem

    spec, save = Problem.from_toml(problem, root=root), picture(plot)
    where = None if interval is None else (interval[0], interval[1])
    found = required_width(spec, error, probability, interval=where, seed=seed)
    if plot is not None:
        save(error_band(spec, found.width, interval=where, seed=seed))
    if as_json:
        print_json({"problem": spec.describe()} | vars(found))
        return
    print_facts(
        problem=spec.describe(),
        width=f"{found.width} (Monte Carlo: {found.low} to {found.high})",
        for_an_error=f"below {found.sup_error:g} in {found.probability:.3g} of networks",
        advice=found.advice or "none",
    )


@click.command()
@problem_argument
@width_option
@seed_option
@root_option
@plot_option
@json_option
def laziness(*, problem: Path, root: Path | None, width: int, seed: int, plot: Path | None, as_json: bool) -> None:
    """Predict how far the hidden weights move.

    \b
    Example:
        splinebias laziness problem.toml --width 1000
    """
    from splinebias.finite_width.movement.laziness import laziness as predicted
    from splinebias.problem import Problem

    spec, save = Problem.from_toml(problem, root=root), picture(plot)
    found = predicted(spec, width, seed=seed)
    if plot is not None:
        save(found)
    numbers = {"overall": found.overall, "median": found.quantile(0.5), "largest": found.largest}
    if as_json:
        print_json(
            {"problem": spec.describe(), "advice": found.advice, "width": width}
            | numbers
            | {"holds": found.holds, "lazy_width": found.lazy_width}
        )
        return
    print_facts(
        problem=spec.describe(),
        hidden_weights=f"at width {width} move by {found.overall:.2e} of their size; half of them by less than "
        f"{numbers['median']:.2e}, 99 % by less than {found.largest:.2e}",
        lazy_width=str(found.lazy_width),
        advice=found.advice or "none",
    )
