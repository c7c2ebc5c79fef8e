r"""Trained networks on the trajectory of infinite width.

ReLU networks, W = ±1, B uniform on (-1, 1), gradient flow, data set A (a)-(c), and absolute-value networks with a scaled
potential, data set B (d)-(f). (a), (d) Functions at some training times, the widest network and the limit
(`predict_path`). (b), (e) Values at the data against time for all widths, which differ by less than the width of the lines
but in the middle of (e). (c), (f) Distance of the two functions at every time, mean over three seeds: about
:math:`n^{-1/2}` apart from width to width, with exponents from -0.41 to -0.68, where late in (c) the networks of width 1000
are furthest away, because their features move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.limit.predict import predict_path
from splinebias.limit.trajectory.path import Path as Trajectory
from splinebias.plots import BLUE, GREEN, ORANGE
from splinebias.potential import Potential, Power
from splinebias.studies.study import run_seed
from splinebias.training.ensemble import train_ensemble
from splinebias.training.train import Training

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "flow_trajectories"
_SAMPLES = 1201  # abscissae of a sup-distance
_COLORS = (ORANGE, GREEN, BLUE)


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the figure.

    Parameters
    ----------
    widths : tuple of int
        Three widths.
    seeds : tuple of int
        Seeds per width; functions and values are of the first.
    potentials : tuple of Potential
        Of data set A and, scaled, of data set B.
    times : tuple of tuple of float
        Per data set, first and last training time.
    shown : tuple of tuple of float
        Per data set, three training times whose functions are drawn.
    points : int
        Times, logarithmically spaced.
    rtol : float
        Tolerance of the flow.
    """

    widths: tuple[int, ...] = (1000, 10_000, 100_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    potentials: tuple[Potential, ...] = (Power(2), Power(4, quadratic=1))
    times: tuple[tuple[float, float], ...] = ((1e0, 1e6), (1e0, 1e8))
    shown: tuple[tuple[float, float, float], ...] = ((1e1, 1e3, 1e5), (1e1, 1e4, 1e7))
    points: int = 25
    rtol: float = 1e-4


class Case(NamedTuple):
    """A problem with its trajectory at infinite width and those of networks, one list per width."""

    name: str
    problem: sb.Problem
    path: Trajectory
    runs: list[list[Training]]
    distances: Array
    """Largest distances at 1201 abscissae, shape (widths, seeds, times)"""


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    cases = [
        _case(name, problem, span, config)
        for (name, problem), span in zip(_problems(config).items(), config.times, strict=True)
    ]
    with panels.style():
        figure, axes = _new_figure()
        for row, letters, case, shown in zip(axes, ("abc", "def"), cases, config.shown, strict=True):
            _draw_functions(row[0], case, shown, config)
            row[0].set_title(f"({letters[0]}) {case.name}: functions")
            _draw_values(row[1], case)
            row[1].set_title(f"({letters[1]}) values at the data")
            _draw_distances(row[2], case, config)
            row[2].set_title(f"({letters[2]}) distance, mean of {len(config.seeds)} seeds")
        panels.place_legend(figure, _handles(config))
        document = common.publish(NAME, config, figure, {"trajectories": [_record(case, config) for case in cases]})
    print(_summary(cases, config))
    return document


def _problems(config: Config) -> dict[str, sb.Problem]:
    """The two problems by the names that the figure gives them."""
    a, b = common.published_pair(config.potentials)
    return {f"A, ${common.label(a.phi)}$": a, f"B, scaled ${common.label(b.phi)}$": b}


def _case(name: str, problem: sb.Problem, span: tuple[float, float], config: Config) -> Case:
    times = np.geomspace(*span, config.points)
    path = predict_path(problem, times)
    method = sb.MirrorFlow(config.rtol, time=times[-1], saveat=times.tolist())
    runs = [
        list(train_ensemble(problem, n, [run_seed(seed, n) for seed in config.seeds], method=method, loss_tol=1e-24))
        for n in config.widths
    ]
    distances = [[_distances(run, path, config) for run in row] for row in runs]
    return Case(name, problem, path, runs, np.array(distances))


def _distances(run: Training, path: Trajectory, config: Config) -> list[float]:
    x = np.linspace(*config.interval, _SAMPLES)
    limits = path(x)
    return [float(np.abs(snapshot.function(x) - f).max()) for snapshot, f in zip(run.snapshots, limits, strict=True)]


def _new_figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.7), layout="constrained")
    return figure, figure.subplots(2, 3)


def _nearest(times: Array, t: float) -> int:
    return int(np.abs(np.log(times / t)).argmin())


def _draw_functions(ax: Axes, case: Case, shown: Sequence[float], config: Config) -> None:
    """The widest network in grey, from light to dark with time, and the limits dashed on top of it."""
    x = np.linspace(*config.interval, 601)
    for t, grey in zip(shown, ("0.8", "0.6", "0.4"), strict=True):
        k = _nearest(case.path.times, t)
        function = case.runs[-1][0].snapshots[k].function
        ax.plot(x, function(x), color=grey, linewidth=2.2)
        ax.plot(x, case.path.functions[k](x), **panels.DASHED)
    panels.draw_data(ax, case.problem.data)
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f_t(x)$ (dimensionless)", xlim=config.interval)


def _draw_values(ax: Axes, case: Case) -> None:
    """One family of curves per data point; points with equal values by symmetry coincide."""
    times, x = case.path.times, case.problem.data.x
    for row, color, line_width in zip(case.runs, _COLORS, (1.0, 1.6, 2.2), strict=True):
        values = np.array([snapshot.function(x) for snapshot in row[0].snapshots])
        ax.plot(times, values, color=color, linewidth=line_width, zorder=2 - line_width / 10)
    ax.plot(times, np.array([function(x) for function in case.path.functions]), **panels.DASHED | {"zorder": 3})
    ax.set(xscale="log", xlabel="training time $t$ (dimensionless)", ylabel="$f_t(x_i)$ (dimensionless)")


def _draw_distances(ax: Axes, case: Case, config: Config) -> None:
    for rows, color in zip(case.distances, _COLORS, strict=True):
        ax.plot(case.path.times, rows.mean(axis=0), color=color, linewidth=1.4)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="training time $t$ (dimensionless)",
        ylabel=r"$\sup\,|f_{n,t} - f_t|$ (dimensionless)",
    )


def _handles(config: Config) -> list[Artist]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=color, linewidth=1.6, label=rf"$n = 10^{{{math.log10(n):.3g}}}$")
        for n, color in zip(config.widths, _COLORS, strict=True)
    ]
    handles.append(Line2D([], [], color="0.6", linewidth=2.2, label="widest, later: darker"))
    handles.append(Line2D([], [], **panels.DASHED | {"label": "infinite width"}))
    return handles


def _record(case: Case, config: Config) -> dict[str, Any]:
    return {
        "problem": case.name,
        "times": case.path.times.tolist(),
        "run_seeds": {str(n): [run.seed for run in row] for n, row in zip(config.widths, case.runs, strict=True)},
        "steps": {str(n): [run.steps for run in row] for n, row in zip(config.widths, case.runs, strict=True)},
        "sup": {str(n): rows.tolist() for n, rows in zip(config.widths, case.distances, strict=True)},
        "exponents": _exponents(case, config).tolist(),
    }


def _exponents(case: Case, config: Config) -> Array:
    """Of the distance in the width, at every time: least-squares slope of the logarithms of the means."""
    mean = case.distances.mean(axis=1)
    slopes: Array = np.polyfit(np.log(config.widths), np.log(mean), 1)[0]
    return slopes


def _summary(cases: list[Case], config: Config) -> str:
    lines = [f"{NAME}: largest sup-distance along the trajectory, mean over seeds; exponent in the width over all times"]
    for case in cases:
        worst = case.distances.mean(axis=1).max(axis=1)
        told = ", ".join(f"n = {n}: {value:.1e}" for n, value in zip(config.widths, worst, strict=True))
        slopes = _exponents(case, config)
        lines.append(f"{case.name}: {told}; exponent {slopes.min():.2f} to {slopes.max():.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
