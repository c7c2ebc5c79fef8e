"""`splinebias minimum-norm`: the function of least norm through data or beside them, at points, as a picture or as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from splinebias.cli.console import (
    Numbers,
    json_option,
    picture,
    plot_option,
    print_facts,
    print_json,
    print_table,
    problem_argument,
    root_option,
)


@click.command("minimum-norm")
@problem_argument
@root_option
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
@plot_option
@json_option
@click.pass_context
def minimum_norm(
    ctx: click.Context,
    *,
    problem: Path,
    root: Path | None,
    penalize_bias: bool,
    no_output_bias: bool,
    strength: float,
    gcv: bool,
    at: list[float] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Find the function of least norm through the data.

    Weight decay and small starts lead to it. Of the problem its data and its affine part count; the law of the
    initialization does not matter here.

    \b
    Examples:
        splinebias minimum-norm problem.toml --at -1.3,0.5
        splinebias minimum-norm problem.toml --penalize-bias --strength 1e-3 --plot least.png
    """
    from splinebias.problem import Problem
    from splinebias.regimes.minimum_norm import minimum_norm as solve
    from splinebias.regimes.weight_decay import weight_decay_path

    spec = Problem.from_toml(problem, root=root)
    if gcv and (penalize_bias or strength or not spec.free):
        raise click.UsageError('--gcv is for free biases and affine = "free", without --strength and --penalize-bias.', ctx)
    save = picture(plot)
    if gcv:
        strength, _ = weight_decay_path(spec.line_data).gcv()
    least = solve(
        spec.line_data, penalize_bias=penalize_bias, affine=spec.affine, output_bias=not no_output_bias, strength=strength
    )
    values = [] if at is None else least.function(at).tolist()
    save(least)
    if as_json:
        print_json(
            {"outcome": least.outcome.name, "advice": least.outcome.value, "norm": least.norm, "loss": least.loss}
            | {"strength": strength, "residual": least.residual, "unique": least.unique}
            | {"knots": least.knots, "jumps": least.jumps}
            | {"at": [{"x": x, "f": f} for x, f in zip(at or [], values, strict=True)]}
        )
    else:
        print_facts(
            data=repr(spec.line_data),
            outcome=least.outcome.value,
            norm=f"{least.norm:.12g}",
            loss=f"{least.loss:.6g} at strength {strength:g}",
            knots=f"{least.knots.size}, {'the only minimizer' if least.unique else 'one of many minimizers'}",
            residual=f"{least.residual:.1e}",
        )
        if at:
            print_table({"x": at, "f(x)": values})
    ctx.exit(0 if least.outcome.ok else 1)
