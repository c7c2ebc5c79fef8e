r"""Two ways to smooth noisy data: weight decay in the rich regime, early stopping in the lazy one.

Head acceleration after an impact (mcycle, 133 measurements at 94 times), both axes mapped to about one. (a) Weight decay
with free biases and a skip connection: the linear spline :math:`\min L + s \int |f''|` at the strength of least generalized
cross-validation score, biases penalized at the same strength (dashed), and the lazy limit of a network with PyTorch's
default law, stopped at the time that cross-validation chooses. (b) The score along both paths; that of weight decay counts
degrees of freedom 1.4 times, since the plain one (pale) is least next to the interpolant.
(c) Loss and norm along the path in the strength, with
its breaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.limit.trajectory.training_time_gcv import gcv_score
from splinebias.plots import BLUE, VERMILLION

NAME = "weight_decay_mcycle"


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    points : int
        Training times, and strengths, at which scores are computed.
    """

    interval: tuple[float, float] = (-1.1, 1.1)
    points: int = 150


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    data = mapped()
    path = sb.weight_decay_path(data)
    strength, score = path.gcv()
    free = sb.minimum_norm(data, strength=strength)
    biased = sb.minimum_norm(data, penalize_bias=True, strength=strength)
    problem = sb.Problem(data, sb.Initialization.pytorch_default(), affine="free")
    time = sb.gcv_time(problem)
    lazy = sb.predict(problem, time=time.value)
    times = time.value * np.geomspace(1e-3, 1e3, config.points)
    strengths = path.breaks[0] * np.geomspace(1.0, 1e-4, config.points)
    results = {
        "strength": strength,
        "score": score,
        "knots": free.knots.size,
        "knots_with_biases": biased.knots.size,
        "breaks": path.breaks.tolist(),
        "time": time.value,
        "lazy_score": time.score,
        "lazy_degrees_of_freedom": time.degrees_of_freedom,
        "strengths": strengths.tolist(),
        "losses": path.losses(strengths).tolist(),
        "norms": path.norms(strengths).tolist(),
        "scores": scores(path, path.breaks).tolist(),
        "plain_scores": scores(path, path.breaks, 1.0).tolist(),
        "times": times.tolist(),
        "lazy_scores": gcv_score(problem, times).tolist(),
    }
    with panels.style():
        figure, axes = panels.new_figure()
        _draw_functions(axes[0], data, {"free": free.function, "biased": biased.function, "lazy": lazy.function}, config)
        _draw_scores(axes[1], path, results)
        _draw_path(axes[2], results)
        handles = _handles()
        panels.place_legend(figure, handles[:3], handles[3:])
        document = common.publish(NAME, config, figure, results)
    print(
        f"{NAME}: score {score:.5f} with {free.knots.size} knots at strength {strength:.3g} (weight decay); "
        f"{time.score:.5f} with {time.degrees_of_freedom:.1f} degrees of freedom at time {time.value:.3g} (early stopping)"
    )
    return document


def mapped() -> sb.Dataset:
    """The measurements with time on [-1, 1] and acceleration in units of 100 g."""
    path = Path(__file__).parent / "data" / "mcycle.csv"
    raw = sb.Dataset.from_csv(path, x="time", y="acceleration", replicates=True)
    lo, hi = raw.span
    return sb.Dataset((2 * raw.x - lo - hi) / (hi - lo), raw.y / 100, raw.weights)


def scores(path: sb.WeightDecayPath, strengths: Any, inflation: float = 1.4) -> Any:
    """The criterion of `path.gcv` just above breaks; infinite where the fit has too many freedoms for it."""
    size = path.data.size
    left = 1 - inflation * path.degrees_of_freedom[: len(strengths)] / size
    with np.errstate(divide="ignore"):
        return np.where(left > 0, 2 * path.losses(strengths) / np.maximum(left, 0) ** 2, math.inf)


def _draw_functions(ax: Any, data: sb.Dataset, functions: dict[str, Any], config: Config) -> None:
    """The data and the three fits."""
    x = np.linspace(*config.interval, 1501)
    ax.plot(x, functions["lazy"](x), color=BLUE, linewidth=1.6)
    ax.plot(x, functions["free"](x), color=VERMILLION, linewidth=1.6)
    ax.plot(x, functions["biased"](x), **panels.DASHED)
    ax.plot(data.x, data.y, color="0.55", marker="o", markersize=2.2, linestyle="none", zorder=1)
    ax.set(
        xlabel="time (mapped)", ylabel="acceleration (100 g)", xlim=config.interval, title="(a) fits, chosen by their data"
    )


def _draw_scores(ax: Any, path: sb.WeightDecayPath, results: dict[str, Any]) -> None:
    """Scores along both paths, over strength and time relative to the chosen ones."""
    ax.plot(
        results["strength"] / path.breaks, results["scores"], color=VERMILLION, marker=".", markersize=2.5, linewidth=0.8
    )
    ax.plot(results["strength"] / path.breaks, results["plain_scores"], color=VERMILLION, alpha=0.35, linewidth=0.8)
    ax.plot(np.array(results["times"]) / results["time"], results["lazy_scores"], color=BLUE, linewidth=1.6)
    best = min(results["score"], results["lazy_score"])
    ax.axvline(1.0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xscale="log", xlim=(1e-3, 1e3), ylim=(0.7 * best, 2.2 * best), title="(b) generalized cross-validation")
    ax.set(xlabel="1/strength, time (relative to the chosen)", ylabel="score")


def _draw_path(ax: Any, results: dict[str, Any]) -> None:
    """Total curvature over loss."""
    ax.plot(results["losses"], results["norms"], color=VERMILLION, linewidth=1.6)
    at = int(np.argmin(np.abs(np.log(np.array(results["strengths"]) / results["strength"]))))
    ax.plot(results["losses"][at], results["norms"][at], color=VERMILLION, marker="o", markersize=5)
    ax.set(xscale="log", yscale="log", xlabel="loss", ylabel="$\\int\\,|f\\,\u2033|$", title="(c) the path in the strength")
    ax.set_ylim(bottom=1e-1)


def _handles() -> list[Any]:
    """What the lines are."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=VERMILLION, linewidth=1.6, label="weight decay, biases free"),
        Line2D([], [], **panels.DASHED, label="biases penalized, same strength"),
        Line2D([], [], color=BLUE, linewidth=1.6, label="lazy, stopped early"),
        Line2D([], [], color=VERMILLION, alpha=0.35, linewidth=0.8, label="(b) degrees of freedom not inflated"),
        Line2D([], [], color="0.55", marker="o", markersize=2.2, linestyle="none", label="data (means of replicates)"),
        Line2D([], [], color=VERMILLION, marker="o", markersize=5, linestyle="none", label="(c) the chosen strength"),
    ]


if __name__ == "__main__":
    main(Config())
