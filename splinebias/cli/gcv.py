"""`splinebias gcv`: the training time that generalized cross-validation chooses for noisy data, and the function then."""

from __future__ import annotations

from pathlib import Path

import click

from splinebias.cli.console import (
    Numbers,
    head_of,
    json_option,
    picture,
    plot_option,
    print_facts,
    print_json,
    print_table,
    problem_argument,
    root_option,
)


@click.command()
@problem_argument
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at that time at these points.")
@root_option
@plot_option
@json_option
@click.pass_context
def gcv(
    ctx: click.Context, *, problem: Path, root: Path | None, at: list[float] | None, plot: Path | None, as_json: bool
) -> None:
    """Choose the training time for noisy data by cross-validation.

    \b
    Example:
        splinebias gcv problem.toml --at 0.5 --plot smooth.png
    """
    from splinebias.limit.predict import predict
    from splinebias.limit.trajectory.training_time_gcv import gcv_time
    from splinebias.problem import Problem

    spec, save = Problem.from_toml(problem, root=root), picture(plot)
    found = gcv_time(spec)
    points, values = at or [], []
    if points or plot is not None:
        smooth = predict(spec, time=found.value)
        values = smooth(points).tolist()
        save(smooth)
    if as_json:
        print_json(
            head_of(spec, found.outcome, "" if found.outcome.ok else found.outcome.value)
            | {"time": found.value, "score": found.score, "degrees_of_freedom": found.degrees_of_freedom}
            | {"at": [{"x": x, "f": f} for x, f in zip(points, values, strict=True)]}
        )
    else:
        print_facts(
            problem=spec.describe(),
            time=f"{found.value:.6g}",
            score=f"{found.score:.4g}",
            degrees_of_freedom=f"{found.degrees_of_freedom:.4g} of {spec.data.size}",
            outcome=found.outcome.value,
        )
        if points:
            print_table({"x": points, "f(x)": values})
    ctx.exit(0 if found.outcome.ok else 1)
