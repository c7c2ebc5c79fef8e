r"""Networks with large biases: what sparsity gives and what it takes, beside the kernel in closed form.

Hidden biases start at -B, so that a share :math:`\Phi(-B)` of the neurons is active on a point. (a) Residuals of one network
each, time in units of the slowest mode; dashed: :math:`e^{-Ht/M} r_0`. At equal width sparse networks leave it, because
neurons move farther and come to rest at their thresholds. (b) Share of active neurons (thick), which stays where it was,
and share of neurons whose activity flipped (dots); dashed: predicted. (c) Eigenvalues of the networks' own kernels at the
start (dots) and at the end of training (crosses) beside those of H (lines). (d) Width at which residuals stay within a
stated distance of the kernel, with a bar from the first tried width at which one network is near enough to the first at
which all are. (e) Steps to equal loss, each network with the step :math:`M/\lambda_{\max}` of its own kernel; crosses:
predicted from the spectrum. (f), (g) Least eigenvalue of H and what lies below it, against B and, for two points at
B = 1, against their separation; "unchecked": from memory of the paper. The bound "data" is negative, and not drawn, for the
larger B. (h) Error on new points beside the sparsity-dependent bound (dashed, unchecked): its factor :math:`e^{-B^2/2}` is
taken back by :math:`H^{-1}`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from splinebias.theorems.wide_networks import EIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "large_bias"
_COLORS = (BLUE, ORANGE, GREEN)


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the panels.

    Parameters
    ----------
    shown : tuple of float
        The B of panels (a), (b), (c), (e) and (h), three at most.
    width : int
        Neurons of the networks of (a), (b) and (c), and of those with B > 0 in (h).
    width_biases : tuple of float
        The B of (d).
    distance : float
        Stated distance of (d).
    seeds : tuple of int
        Networks at each width of (d), and of (e) and (h).
    largest : int
        Width beyond which (d) tries none.
    loss : float
        Mean loss of (e).
    step_widths : tuple of int
        Widths of (e), one for each of `shown`: wide enough that the residual follows the kernel.
    test_sizes : tuple of int
        Numbers M of data of (h).
    """

    shown: tuple[float, ...] = (0.0, 1.0, 2.0)
    width: int = 100_000
    width_biases: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    distance: float = 0.1
    seeds: tuple[int, ...] = (0, 1, 2)
    largest: int = 1 << 21
    loss: float = 0.02
    step_widths: tuple[int, ...] = (30_000, 100_000, 1_000_000)
    test_sizes: tuple[int, ...] = (8, 16, 32, 64)


def main(config: Config) -> dict[str, Any]:
    """Train the networks, write NAME.png, NAME.pdf and NAME.json, print a table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    runs = [sb.large_bias(EIGHT.x, EIGHT.y, bias, width=config.width) for bias in config.shown]
    widths = sb.large_bias_widths(
        EIGHT.x, EIGHT.y, config.width_biases, distance=config.distance, seeds=config.seeds, largest=config.largest
    )
    counts = [_steps(bias, width, config) for bias, width in zip(config.shown, config.step_widths, strict=True)]
    errors = [[_errors(size, bias, config) for size in config.test_sizes] for bias in config.shown]
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 4.5), layout="constrained")
        axes = figure.subplots(2, 4).ravel()
        for run, color in zip(runs, _COLORS, strict=False):
            run.plot(axes[0], color=color, label=f"$B = {run.kernel.bias:g}$")
            _draw_shares(axes[1], run, color)
            _draw_spectrum(axes[2], run, color)
        axes[0].set_title(f"(a) residual, $m = {config.width:,}$")
        axes[0].legend(frameon=False)
        widths.plot(axes[3], markersize=4)
        _draw_spread(axes[3], widths)
        _draw_steps(axes[4], config, counts)
        levels, angles = np.linspace(0, 3, 61), np.geomspace(0.01, 3, 41)
        _draw_bounds(axes[5], levels, [sb.bias_generalized_kernel(EIGHT.x, level) for level in levels])
        axes[5].set(xlabel="bias $B$", title=r"(f) $\lambda_{\min}$, eight points", ylim=(1e-8, 0.1))
        axes[5].legend(frameon=False, fontsize=6.5, loc="lower left")
        pairs = [sb.bias_generalized_kernel([[1, 0], [math.cos(t), math.sin(t)]], 1.0) for t in angles]
        _draw_bounds(axes[6], np.array([pair.separation for pair in pairs]), pairs)
        axes[6].set(xlabel=r"separation $\delta$", xscale="log", title=r"(g) $\lambda_{\min}$, two points, $B = 1$")
        _draw_errors(axes[7], config, errors)
        results = {
            "runs": [_record(run) for run in runs],
            "widths": [
                {"B": bias, "width": width, "tried": {str(m): found for m, found in widths.tried[bias].items()}}
                for bias, width in zip(widths.biases.tolist(), widths.widths.tolist(), strict=True)
            ],
            "steps": counts,
            "errors": errors,
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: {widths}")
    for bias, count in zip(config.shown, counts, strict=True):
        print(f"B = {bias:g}: {count['measured']} steps to a loss of {config.loss:g}, predicted {count['predicted']}")
    return document


def _record(run: sb.LargeBias) -> dict[str, Any]:
    """What (a) and (b) show of a network."""
    return {
        "B": run.kernel.bias,
        "distance": run.distance,
        "distance_until_1000": run.distance_until(1000.0),
        "active": run.active.mean(axis=1).tolist(),
        "flips": run.flips.mean(axis=1).tolist(),
        "predicted_flips": run.predicted_flips.mean(axis=1).tolist(),
        "times": run.times[run.looks].tolist(),
        "least_eigenvalues": [run.kernel.smallest, float(run.start_eigenvalues[0]), float(run.end_eigenvalues[0])],
    }


def _steps(bias: float, width: int, config: Config) -> dict[str, Any]:
    """Steps to the loss, of every seed, and predicted for its start."""
    runs = [sb.large_bias(EIGHT.x, EIGHT.y, bias, width=width, seed=seed, loss_tol=config.loss) for seed in config.seeds]
    return {
        "B": bias,
        "width": width,
        "measured": [run.steps for run in runs],
        "predicted": [run.kernel.steps_to(run.residuals[0], config.loss) for run in runs],
    }


def _errors(size: int, bias: float, config: Config) -> dict[str, Any]:
    """Errors on new points of networks that were trained to a loss of 5e-4, and the bound."""
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, size))
    new = np.linspace(-1, 1, 401)
    width = config.width if bias else max(config.width // 5, 1)
    runs = [
        sb.large_bias(x, _target(x), bias, width=width, seed=seed, loss_tol=5e-4, max_steps=5000) for seed in config.seeds
    ]
    errors = [run.test_error(new, _target(new)) for run in runs]
    return {"B": bias, "M": size, "errors": errors, "bound": runs[0].kernel.generalization_bound(_target(x))}


def _target(x: Array) -> Array:
    return np.asarray(0.5 * np.sin(3 * x))


def _draw_shares(ax: Axes, run: sb.LargeBias, color: str) -> None:
    """Active and flipped shares against the number of the step."""
    at = np.maximum(run.looks, 0.7)
    ax.plot(at, run.active.mean(axis=1), color=color, linewidth=2.2)
    ax.plot(at, np.full(at.size, run.kernel.active_fraction), **panels.DASHED)
    ax.plot(at[1:], run.flips.mean(axis=1)[1:], color=color, linewidth=0.8, marker=".", markersize=3)
    ax.plot(at[1:], run.predicted_flips.mean(axis=1)[1:], **panels.DASHED)
    ax.set(xscale="log", yscale="log", xlabel="step", title="(b) active, flipped", ylabel="share of neurons")


def _draw_spectrum(ax: Axes, run: sb.LargeBias, color: str) -> None:
    """Eigenvalues of H, and of the network's kernel before and after."""
    numbers = np.arange(1, len(run.kernel.matrix) + 1)
    ax.plot(numbers, run.kernel.eigenvalues[::-1], **panels.DASHED)
    ax.plot(numbers, run.start_eigenvalues[::-1], "o", color=color, markersize=3)
    ax.plot(numbers, run.end_eigenvalues[::-1], "x", color=color, markersize=4)
    ax.set(yscale="log", xlabel="number", ylabel="eigenvalue", title="(c) spectrum, before and after")


def _draw_spread(ax: Axes, widths: sb.LargeBiasWidths) -> None:
    """From the width at which the first network is near enough to that at which the last is, where they were tried."""
    ax.set_title("(d) required width")
    for bias, found in widths.tried.items():
        enough = [m for m, each in found.items() if min(each) <= widths.distance]
        all_in = [m for m, each in found.items() if max(each) <= widths.distance]
        if enough and all_in:
            ax.vlines(bias, enough[0], all_in[0], color=BLUE, linewidth=0.8)
    ax.legend(frameon=False)


def _draw_steps(ax: Axes, config: Config, counts: list[dict[str, Any]]) -> None:
    """Measured and predicted steps to equal loss."""
    for count in counts:
        ax.plot([count["B"]] * len(count["measured"]), count["measured"], "o", color=BLUE, markersize=4)
        ax.plot([count["B"]] * len(count["predicted"]), count["predicted"], "x", color=BLACK, markersize=4)
    ax.set(xlabel="bias $B$", ylabel=r"steps of $M/\lambda_{\max}$", title=f"(e) steps to a loss of {config.loss:g}")
    ax.set_ylim(bottom=0)


def _draw_bounds(ax: Axes, at: Array, kernels: list[sb.BiasKernel]) -> None:
    """The least eigenvalue and three bounds, where they are positive."""
    rows = {
        r"$\lambda_{\min}(H)$": ([kernel.smallest for kernel in kernels], BLUE, "-"),
        r"$\Phi(-B) - \max P_{ij}$": ([kernel.exact_bound for kernel in kernels], GREEN, "--"),
        "worst case, unchecked": ([kernel.worst_case_bound for kernel in kernels], VERMILLION, ":"),
        "data, unchecked": ([kernel.data_dependent_bound for kernel in kernels], PURPLE, "-."),
    }
    for label, (values, color, dashes) in rows.items():
        shown = np.where(np.array(values) > 0, values, math.nan)
        ax.plot(at, shown, color=color, linestyle=dashes, linewidth=1.2, label=label)
    ax.set(yscale="log")


def _draw_errors(ax: Axes, config: Config, errors: list[list[dict[str, Any]]]) -> None:
    """Errors on new points, and the bound dashed in the same colour."""
    for row, color in zip(errors, _COLORS, strict=False):
        ax.plot(config.test_sizes, [np.mean(one["errors"]) for one in row], "o-", color=color, markersize=3)
        ax.plot(config.test_sizes, [one["bound"] for one in row], color=color, linestyle="--", linewidth=1.0)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="number of data $M$",
        ylabel="mean of min($|f - y|$, 1)",
        title="(h) error on new points",
    )
    ax.set_xticks(config.test_sizes, [str(size) for size in config.test_sizes])
    ax.minorticks_off()


if __name__ == "__main__":
    main(Config())
