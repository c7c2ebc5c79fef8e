r"""Training trajectories and smoothing splines, after Jin & Montúfar, *Implicit bias of gradient descent ...*, JMLR 2023.

ReLU networks of infinite width, W = ±1, B uniform on (-1, 1), gradient descent. (a)-(c) The network at training time t
beside the smoothing spline with regularization 1/t, on three data sets. (d) Their distance: they agree to first order in t,
and again in the limit, which mcycle, with points close together, comes near only after the times shown. (e) Noisy data:
generalized cross-validation of the time, and of the regularization. (f) The function at the chosen time, and a network of
finite width that was stopped there.

Titanium and mcycle are standardized: x mapped to [-1, 1], y to mean 0 and variance 1. Replicates of mcycle enter by their
means, weighted by their number.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.functions.compare import compare
from splinebias.limit.predict import predict, predict_path
from splinebias.limit.trajectory.cross_validation import Selection
from splinebias.limit.trajectory.training_time_gcv import (
    gcv_regularization,
    gcv_score,
    gcv_time,
    smoothing_spline,
)
from splinebias.plots import BLACK, BLUE, GREEN, ORANGE
from splinebias.potential import Potential
from splinebias.studies.study import run_seed
from splinebias.training.train import train

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "jm_trajectory"
_DATA = Path(__file__).parent / "data"
_COLORS = (ORANGE, GREEN, BLUE)
_DOTS: dict[str, Any] = {"color": BLACK, "marker": "o", "markersize": 2, "linestyle": "none", "zorder": 3}
_CORNERS = {"set A": "upper right", "titanium": "upper left", "mcycle": "lower right"}  # free of curves


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the figure; a network of the largest width and first seed is stopped at the chosen time.

    Parameters
    ----------
    potentials : tuple of Potential
        One unscaled potential.
    shown : tuple of tuple of float
        Per data set, three training times whose functions are drawn.
    times : tuple of float
        First and last training time of panel (d).
    search : tuple of float
        First and last training time of panel (e).
    points : int
        Times in panels (d) and (e), logarithmically spaced.
    """

    widths: tuple[int, ...] = (4860,)
    seeds: tuple[int, ...] = (0,)
    potentials: tuple[Potential, ...] = (sb.Quadratic(),)
    interval: tuple[float, float] = (-1.0, 1.0)
    shown: tuple[tuple[float, float, float], ...] = ((1e1, 1e4, 1e5), (1e3, 1e5, 1e7), (1e3, 1e5, 1e8))
    times: tuple[float, float] = (1e-1, 1e11)
    search: tuple[float, float] = (1e3, 1e9)
    points: int = 97


class Case(NamedTuple):
    """A data set and the sup-distances of its two paths at the times of panel (d), relative to that of limit and zero."""

    name: str
    problem: sb.Problem
    distances: Array


class Stopped(NamedTuple):
    """The noisy problem with what cross-validation chose, and a network stopped at the chosen time."""

    problem: sb.Problem
    time: Selection
    regularization: Selection
    limit: sb.Prediction
    spline: sb.Prediction
    run: sb.Training


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    times = np.geomspace(*config.times, config.points)
    cases = [_case(name, data, times, config) for name, data in load().items()]
    stopped = _stop(cases[-1].problem, config)
    with panels.style():
        figure, axes = _new_figure()
        for ax, letter, case, shown in zip(axes[0], "abc", cases, config.shown, strict=True):
            _draw_paths(ax, case.problem, shown, config)
            ax.legend(frameon=False, handlelength=1.2, borderaxespad=0.2, labelspacing=0.2, loc=_CORNERS[case.name])
            ax.set_title(f"({letter}) {case.name}")
        _draw_distances(axes[1, 0], times, cases)
        _draw_scores(axes[1, 1], stopped, config)
        _draw_stopped(axes[1, 2], stopped, config)
        panels.place_legend(figure, *_handles(stopped.run.width))
        results = {
            "paths": [_path_record(case, times, shown, config) for case, shown in zip(cases, config.shown, strict=True)],
            "chosen": {
                "training time": dataclasses.asdict(stopped.time),
                "regularization": dataclasses.asdict(stopped.regularization),
            },
            "stopped": common.function_record(stopped.limit, stopped.run, config),
        }
        document = common.publish(NAME, config, figure, results)
    print(_summary(cases, times, stopped, document["stopped"]["sup"]))
    return document


def load() -> dict[str, sb.Dataset]:
    """The three data sets by the names that the figure gives them."""
    titanium = sb.Dataset.from_csv(_DATA / "titanium.csv", x="temperature", y="property")
    mcycle = sb.Dataset.from_csv(_DATA / "mcycle.csv", x="time", y="acceleration", replicates=True)
    return {
        "set A": common.load("liang_montufar_a"),
        "titanium": standardized(titanium),
        "mcycle": standardized(mcycle),
    }


def standardized(data: sb.Dataset) -> sb.Dataset:
    """x mapped to [-1, 1]; y shifted and scaled to weighted mean 0 and weighted variance 1."""
    lo, hi = data.span
    y = data.y - np.average(data.y, weights=data.weights)
    return sb.Dataset(2 * (data.x - lo) / (hi - lo) - 1, y / math.sqrt(np.average(y**2, weights=data.weights)), data.weights)


def _case(name: str, data: sb.Dataset, times: Array, config: Config) -> Case:
    law = sb.Initialization.rademacher(stats.uniform(-1, 2))
    problem = sb.Problem(data, law, sb.ReLU(), config.potentials[0])
    size = compare(predict(problem).function, np.zeros_like, config.interval).sup
    distances = [
        compare(f, _spline_at(problem, t).function, config.interval).sup / size
        for t, f in zip(times.tolist(), predict_path(problem, times).functions, strict=True)
    ]
    return Case(name, problem, np.array(distances))


def _spline_at(problem: sb.Problem, t: float) -> sb.Prediction:
    """The smoothing spline that training for a time t resembles."""
    return smoothing_spline(problem, problem.phi.hess_at_zero / t)


def _stop(problem: sb.Problem, config: Config) -> Stopped:
    time, regularization = gcv_time(problem), gcv_regularization(problem)
    width = max(config.widths)
    seed = run_seed(config.seeds[0], width)
    run = train(problem, width, seed, method=sb.MirrorFlow(time=time.value), loss_tol=config.loss_tol, progress=False)
    limit, spline = predict(problem, time=time.value), smoothing_spline(problem, regularization.value)
    return Stopped(problem, time, regularization, limit, spline, run)


def _new_figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.7), layout="constrained")
    return figure, figure.subplots(2, 3)


def _draw_paths(ax: Axes, problem: sb.Problem, shown: tuple[float, ...], config: Config) -> None:
    """Networks in colours, the smoothing splines dashed on top, and the data."""
    x = np.linspace(*config.interval, 801)
    ax.plot(problem.data.x, problem.data.y, **_DOTS)
    for t, color in zip(shown, _COLORS, strict=True):
        ax.plot(x, predict(problem, time=t).function(x), color=color, linewidth=1.8, label=f"$t = 10^{{{math.log10(t):g}}}$")
        ax.plot(x, _spline_at(problem, t).function(x), **panels.DASHED)
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f(x)$ (dimensionless)", xlim=config.interval)


def _draw_distances(ax: Axes, times: Array, cases: list[Case]) -> None:
    for case, style in zip(cases, ("-", "--", ":"), strict=True):
        ax.plot(times, case.distances, color=BLACK, linestyle=style, linewidth=1.2, label=case.name)
    early = times[times <= 1]
    ax.plot(early, 0.05 * cases[0].distances[0] * (early / early[0]) ** 2, color="0.5", linewidth=0.8)
    ax.text(early[-1], 0.03 * cases[0].distances[0] * (early[-1] / early[0]) ** 2, r"$\propto t^2$", va="top", color="0.4")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="training time $t$ (dimensionless)",
        ylabel=r"$\sup\,|f_t - s_{1/t}|\;/\;\sup\,|f_\infty|$",
    )
    ax.set_title("(d) distance of the two functions")
    ax.legend(frameon=False, handlelength=1.8, loc="lower center")


def _draw_scores(ax: Axes, stopped: Stopped, config: Config) -> None:
    """The score against time for training and, with regularization 1/t, for smoothing; the chosen points."""
    times = np.geomspace(*config.search, config.points)
    scores = [gcv_score(stopped.problem, times), _smoothing_scores(stopped.problem, times)]
    best = [
        (stopped.time.value, stopped.time),
        (stopped.problem.phi.hess_at_zero / stopped.regularization.value, stopped.regularization),
    ]
    for score, (t, found), style in zip(scores, best, ({"color": BLUE, "linewidth": 1.8}, panels.DASHED), strict=True):
        ax.plot(times, score, **style)
        ax.plot(t, found.score, marker="o", markersize=4, color=style["color"])
        side = "right" if found is stopped.time else "left"
        text = f" {found.degrees_of_freedom:.1f} d.f. "
        ax.text(t, found.score - 0.01, text, color=style["color"], ha=side, va="top")
    ax.set(xscale="log", xlabel="training time $t$ (dimensionless)", ylabel="GCV score (dimensionless)", ylim=(0.1, 0.5))
    ax.set_title("(e) mcycle (d.f.: degrees of freedom)")


def _smoothing_scores(problem: sb.Problem, times: Array) -> Array:
    """Generalized cross-validation of the smoothing splines at 1/t, from their losses and degrees of freedom."""
    found = [_spline_at(problem, t).stats for t in times.tolist()]
    size = problem.data.size
    return np.array([2 * stats["loss"] / (1 - stats["degrees_of_freedom"] / size) ** 2 for stats in found])


def _draw_stopped(ax: Axes, stopped: Stopped, config: Config) -> None:
    x = np.linspace(*config.interval, 801)
    data = stopped.problem.data
    ax.plot(data.x, data.y, **_DOTS)
    ax.plot(x, stopped.run.function(x), color=ORANGE, linewidth=3.2)
    ax.plot(x, stopped.limit.function(x), color=BLUE, linewidth=1.4)
    ax.plot(x, stopped.spline.function(x), **panels.DASHED)
    power = math.floor(math.log10(stopped.time.value))
    ax.set_title(rf"(f) mcycle, stopped at $t = {stopped.time.value / 10**power:.2f} \times 10^{power}$")
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f(x)$ (dimensionless)", xlim=config.interval)


def _handles(width: int) -> list[list[Artist]]:
    """Two rows of the legend."""
    from matplotlib.lines import Line2D

    return [
        [
            Line2D(
                [], [], color=BLUE, linewidth=1.8, label="infinite width, training time $t$ (in (a) to (c): all colours)"
            ),
            Line2D([], [], color=ORANGE, linewidth=3.2, label=f"in (f): network of width {width}"),
        ],
        [
            Line2D([], [], **panels.DASHED | {"label": "smoothing spline, regularization $1/t$ (in (f): chosen)"}),
            Line2D([], [], **_DOTS | {"label": "data"}),
        ],
    ]


def _path_record(case: Case, times: Array, shown: tuple[float, ...], config: Config) -> dict[str, Any]:
    """Distances at all times, and both functions at the times shown at 61 points."""
    x = np.linspace(*config.interval, 61)
    return {
        "data": case.name,
        "points": case.problem.data.size,
        "times": times.tolist(),
        "distance": case.distances.tolist(),
        "x": x.tolist(),
        "functions": [
            {
                "time": t,
                "network": predict(case.problem, time=t).function(x).tolist(),
                "spline": _spline_at(case.problem, t).function(x).tolist(),
            }
            for t in shown
        ],
    }


def _summary(cases: list[Case], times: Array, stopped: Stopped, sup: float) -> str:
    lines = [f"{NAME}: infinite width at time t and smoothing spline at 1/t, sup-distance relative to sup|limit|"]
    for case in cases:
        at = int(case.distances.argmax())
        first = np.log(case.distances[1] / case.distances[0]) / np.log(times[1] / times[0])
        lines.append(
            f"{case.name:>9}: at most {case.distances[at]:.3f}, at t = {times[at]:.2g}; order {first:.3f} at the start"
        )
    for name, found in (("time", stopped.time), ("regularization", stopped.regularization)):
        score = f"GCV score {found.score:.4f}, {found.degrees_of_freedom:.1f} degrees of freedom"
        lines.append(f"mcycle, chosen {name} {found.value:.4g}: {score}")
    lines.append(f"network of width {stopped.run.width} stopped at that time: sup-distance {sup:.4f} to infinite width")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
