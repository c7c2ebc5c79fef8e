"""`splinebias orientations`: where neurons turn to from a start at almost zero, and what a trained network shows of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from splinebias.cli.console import Answer, end, of_problem, rows

if TYPE_CHECKING:
    from splinebias.problem import Problem
    from splinebias.regimes.small_starts.small_start import SmallStart

ACTIVATIONS = {
    "relu": "ReLU",
    "abs": "Abs",
    "tanh": "Tanh",
    "xtanh": "XTanh",
    "x2tanh": "X2Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
}


@click.command("orientations")
@click.option("--activation", type=click.Choice(list(ACTIVATIONS)), help="Default: that of the problem.")
@click.option("--centred", is_flag=True, help="Take sigma - sigma(0), of sigmoid and softplus.")
@click.option("--output-bias", is_flag=True, help="Of networks with an output bias, which fits the mean of y first.")
@click.option("--scale", type=float, metavar="EPS", help="Also train a network from parameters EPS N(0, 1).")
@click.option("--width", type=int, default=300, show_default=True, help="With --scale: its neurons.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --scale: of its start.")
@click.option(
    "--stop", type=float, default=0.02, show_default=True, help="With --scale: max |f| over max |y| at which it stops."
)
@of_problem
def orientations(
    *,
    problem: Problem,
    answer: Answer,
    activation: str | None,
    centred: bool,
    output_bias: bool,
    scale: float | None,
    width: int,
    seed: int,
    stop: float,
) -> None:
    """Find where neurons turn to from a small start.

    Of the problem its data and its activation count. Angles are those of (w, b) in degrees, signs those of the output
    weight, basins shares of balanced starts; of several inputs (w, b) itself is printed, of length 1. With --scale also
    which share of the mass of a trained network is where.

    \b
    Examples:
        splinebias orientations problem.toml --activation xtanh
        splinebias orientations problem.toml --activation relu --scale 1e-5 --plot orientations.png
    """
    import splinebias as sb

    act: Any = problem.activation if activation is None else getattr(sb, ACTIVATIONS[activation])()
    act = sb.Centred(act) if centred else act
    data = problem.data
    if output_bias:
        data = data.with_ordinates(data.y - data.weights @ data.y / data.weights.sum())
    if answer.wants_picture and problem.beyond_one_input is not None:
        raise sb.DataError("the picture is that of the plane of (w, b), of one input; leave out --plot")
    found, run = sb.condensed_orientations(data, act), None
    if scale is not None:
        options: dict[str, Any] = {"width": width, "scale": scale, "seed": seed, "stop": stop, "output_bias": output_bias}
        run = sb.train_from_small_start(problem.data, act, **options)
    answer.draw(found)
    columns = _columns(found) | ({} if run is None else {"share": run.shares})
    facts = {} if run is None else _facts(run)
    shown = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in facts.items()}
    answer.show(
        {"activation": repr(act), "orientations": rows(columns)} | ({} if run is None else {"trained": facts}),
        {"data": repr(data), "activation": repr(act)} | shown,
        {name: column.tolist() for name, column in columns.items()},
    )
    end(ok=run is None or run.outcome.ok)


def _columns(found: Any) -> dict[str, Any]:
    """Orientations, a column for each of their numbers: angles of one input, of several the parts of unit vectors (w, b)."""
    rest = {"sign": found.signs, "strength": found.strengths}
    if hasattr(found, "angles"):
        return {"angle": found.angles} | rest | {"basin": found.basins}
    *weights, bias = found.directions.T
    return {f"w{k + 1}": part for k, part in enumerate(weights)} | {"b": bias} | rest


def _facts(run: SmallStart) -> dict[str, Any]:
    """What a trained network shows, by name."""
    measured = {"directions": len(run.directions()), "participation": run.participation, "angle_error": run.angle_error}
    return {"outcome": run.outcome.name} | measured
