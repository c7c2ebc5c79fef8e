"""`splinebias gcv`: the training time that generalized cross-validation chooses for noisy data, and the function then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from splinebias.cli.console import Answer, Numbers, end, head_of, of_problem, rows

if TYPE_CHECKING:
    from splinebias.problem import Problem


@click.command()
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at that time at these points.")
@of_problem
def gcv(*, problem: Problem, answer: Answer, at: list[float] | None) -> None:
    """Choose the training time for noisy data by cross-validation.

    \b
    Example:
        splinebias gcv problem.toml --at 0.5 --plot smooth.png
    """
    from splinebias.limit.predict import predict
    from splinebias.limit.trajectory.training_time_gcv import gcv_time

    found = gcv_time(problem)
    points, values = at or [], []
    if points or answer.wants_picture:
        smooth = predict(problem, time=found.value)
        values = smooth(points).tolist()
        answer.draw(smooth)
    answer.show(
        head_of(problem, found.outcome, found.advice)
        | {"time": found.value, "score": found.score, "degrees_of_freedom": found.degrees_of_freedom}
        | {"at": rows({"x": points, "f": values})},
        {
            "problem": problem.describe(),
            "time": f"{found.value:.6g}",
            "score": f"{found.score:.4g}",
            "degrees_of_freedom": f"{found.degrees_of_freedom:.4g} of {problem.data.size}",
            "outcome": found.outcome.value,
            "advice": found.advice or "none",
        },
        {"x": points, "f(x)": values} if points else None,
    )
    end(ok=found.outcome.ok)
