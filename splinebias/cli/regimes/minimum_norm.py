"""`splinebias minimum-norm`: the function of least norm through data or beside them, at points, as a picture or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from splinebias.cli.console import Answer, Numbers, end, of_problem, rows

if TYPE_CHECKING:
    from splinebias.problem import Problem


@click.command("minimum-norm")
@click.option("--penalize-bias", is_flag=True, help="Count the biases of the hidden layer in the norm.")
@click.option("--no-output-bias", is_flag=True, help="With --penalize-bias and no skip connection: no constant for free.")
@click.option(
    "--strength",
    type=float,
    default=0.0,
    show_default=True,
    help="Of weight decay; 0 interpolates. torch's SGD: half of its own.",
)
@click.option("--gcv", is_flag=True, help='The strength that cross-validation chooses (free biases, affine = "free").')
@click.option("--at", type=Numbers("X,X,..."), help="Print the function at these points.")
@of_problem
def minimum_norm(
    *,
    problem: Problem,
    answer: Answer,
    penalize_bias: bool,
    no_output_bias: bool,
    strength: float,
    gcv: bool,
    at: list[float] | None,
) -> None:
    """Find the function of least norm through the data.

    Weight decay and small starts lead to it. Of the problem its data and its affine part count; the law of the
    initialization does not matter here.

    \b
    Examples:
        splinebias minimum-norm problem.toml --at -1.3,0.5
        splinebias minimum-norm problem.toml --penalize-bias --strength 1e-3 --plot least.png
    """
    from splinebias.regimes.minimum_norm import minimum_norm as solve
    from splinebias.regimes.weight_decay import weight_decay_path

    if gcv and (penalize_bias or strength or not problem.free):
        rule = '--gcv is for free biases and affine = "free", without --strength and --penalize-bias.'
        raise click.UsageError(rule, click.get_current_context())
    if gcv:
        strength, _ = weight_decay_path(problem.line_data).gcv()
    data, constant = problem.line_data, not no_output_bias
    least = solve(data, penalize_bias=penalize_bias, affine=problem.affine, output_bias=constant, strength=strength)
    values = [] if at is None else least.function(at).tolist()
    answer.draw(least)
    answer.show(
        {"outcome": least.outcome.name, "advice": least.outcome.value, "norm": least.norm, "loss": least.loss}
        | {"strength": strength, "residual": least.residual, "unique": least.unique}
        | {"knots": least.knots, "jumps": least.jumps}
        | {"at": rows({"x": at or [], "f": values})},
        {
            "data": repr(data),
            "outcome": least.outcome.value,
            "norm": f"{least.norm:.12g}",
            "loss": f"{least.loss:.6g} at strength {strength:g}",
            "knots": f"{least.knots.size}, {'the only minimizer' if least.unique else 'one of many minimizers'}",
            "residual": f"{least.residual:.1e}",
        },
        {"x": at, "f(x)": values} if at else None,
    )
    end(ok=least.outcome.ok)
