"""`splinebias large-bias`: kernels of networks whose hidden biases start at -B, and trained networks beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from splinebias.cli.console import Answer, Numbers, end, of_problem, rows

if TYPE_CHECKING:
    from splinebias.problem import Problem

_ADVICE = "lower bounds: `exact` is Phi(-B) - max P_ij; `worst case` and `data` are from memory of the paper, unchecked"


@click.command("large-bias")
@click.option("--bias", "biases", type=Numbers("B,B,..."), required=True, help="How far below zero hidden biases start.")
@click.option("--width", type=int, metavar="M", help="Also train a network of this width for every B.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --width: of its start.")
@click.option("--loss", type=float, metavar="L", help="With --width: mean loss to stop at; default: five e-folds.")
@of_problem
def large_bias(
    *,
    problem: Problem,
    answer: Answer,
    biases: list[float],
    width: int | None,
    seed: int,
    loss: float | None,
) -> None:
    """Find the kernel of networks with large biases.

    Of the problem its data count: inputs are (x, 1), or the points, scaled to length 1. With --width a network of every
    B is trained, with steps from the spectrum, and stands beside what was predicted.

    \b
    Examples:
        splinebias large-bias problem.toml --bias 0,1,2
        splinebias large-bias problem.toml --bias 1,2 --width 100000 --plot large_bias.png
    """
    import splinebias as sb

    if width is None and loss is not None:
        raise click.UsageError("--loss is for networks: give --width too.", click.get_current_context())
    x, y, weights = problem.data.x, problem.data.y, problem.data.weights
    if (weights != weights[0]).any():
        raise sb.CapabilityError("kernels of large biases are about data of equal weights, got others; leave `weights` out")
    kernels = [sb.bias_generalized_kernel(x, bias) for bias in biases]
    columns: dict[str, list[Any]] = {
        "B": biases,
        "active": [kernel.active_fraction for kernel in kernels],
        "smallest": [kernel.smallest for kernel in kernels],
        "largest": [float(kernel.eigenvalues[-1]) for kernel in kernels],
        "exact": [kernel.exact_bound for kernel in kernels],
        "worst case": [kernel.worst_case_bound for kernel in kernels],
        "data": [kernel.data_dependent_bound for kernel in kernels],
    }
    runs = []
    if width is not None:
        runs = [sb.large_bias(x, y, bias, width=width, seed=seed, loss_tol=loss) for bias in biases]
        columns |= {
            "steps": [run.steps for run in runs],
            "loss": [float(run.losses[-1]) for run in runs],
            "distance": [run.distance for run in runs],
            "active after": [float(run.active[-1].mean()) for run in runs],
            "flips": [float(run.flips[-1].mean()) for run in runs],
            "predicted flips": [float(run.predicted_flips[-1].mean()) for run in runs],
        }
    answer.draw(*(runs or kernels))
    outcomes = [run.outcome.name for run in runs]
    answer.show(
        {"bounds": _ADVICE, "outcomes": outcomes, "biases": rows(columns)},
        {"data": repr(problem.data), "bounds": _ADVICE} | ({"outcomes": ", ".join(outcomes)} if runs else {}),
        columns,
    )
    end(ok=all(run.outcome.ok for run in runs))
