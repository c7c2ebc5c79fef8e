r"""From lazy to rich on one data set: both ends with their theory on top, the map between them, and widths of both scalings.

ReLU networks on data whose changes of slope have one sign in places, so that many functions have least :math:`\int |f''|`.
(a) Curvature between the data over the least of an interpolant of the network's own values, on the axes :math:`R_0` and D of
`adaptive_problem`, with the ways that networks of one law of parameters take when they grow: with :math:`\alpha = \sqrt n`
to the kernel end, with :math:`\alpha = \sqrt{50}^{-1} n`, the same at n = 50, nowhere. (b) The widest networks of both, with
their theory on top: the limit of `predict`, and all functions of least curvature through the network's own values. (c) and
(d) Distances of trained networks between the data, over the range of y, mean and one standard deviation: to the limit of
`predict`, to the linear interpolant of the network's own values, and to the set of functions of least curvature. In (c) the
first falls like :math:`n^{-1/2}`; dashed: what the band of the lazy theory expects, more than there is while features move.
In (d) all of them stay, the last at 0.2 % of the range of y: :math:`R_0 = 0.3` is small, not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from experiments.adaptive_map import draw_map, medians
from splinebias._array import Array
from splinebias.plots import BLACK, BLUE, ORANGE, VERMILLION, plot_minimum_norm
from splinebias.regimes.adaptive import AdaptiveMeasures, adaptive_measures, adaptive_problem, lazy_problem
from splinebias.theorems.wide_networks import EIGHT
from splinebias.theorems.williams import LINEAR, SQUARE_ROOT, fixed_scales
from splinebias.training.ensemble import train_ensemble
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "lazy_to_rich"
DATA = EIGHT
SCALINGS = {"sqrt n": SQUARE_ROOT, "n": LINEAR}
_DISTANCES = {
    "to_kernel": ("limit of predict", BLUE, "o"),
    "to_interpolant": ("linear interpolant", ORANGE, "s"),
    "to_minimizers": (r"set of least $\int|f''|$", VERMILLION, "^"),
}
_MEASURES = ("size", "imbalance", "curvature_ratio", *_DISTANCES, "drift", "dead")
_LEAST = 1e-4  # distances below it are drawn there


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    widths, seeds : tuple of int
        Units of the networks of panels (c) and (d), and networks of each; (b) shows the widest of the first seed.
    map_width : int
        Units of the networks of the map.
    sizes, imbalances : tuple of float
        The R0 and D of the map.
    map_seeds : tuple of int
        Networks at each place of the map.
    loss_tol : float
        Loss to train to.
    """

    interval: tuple[float, float] = (-0.95, 1.0)
    widths: tuple[int, ...] = (50, 200, 800, 3200, 12_800, 51_200)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    map_width: int = 300
    sizes: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    imbalances: tuple[float, ...] = (-1000.0, -100.0, -10.0, 0.0, 100.0)
    map_seeds: tuple[int, ...] = (0, 1, 2)
    loss_tol: float = 1e-8


def main(config: Config) -> dict[str, Any]:
    """Train, write NAME.png, NAME.pdf and NAME.json, print a table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    places = [
        [
            _measured(adaptive_problem(DATA, size, imbalance), config.map_width, config.map_seeds, config)
            for size in config.sizes
        ]
        for imbalance in config.imbalances
    ]
    found = {
        name: [_measured(fixed_scales(scaling), width, config.seeds, config) for width in config.widths]
        for name, scaling in SCALINGS.items()
    }
    band = sb.error_band(lazy_problem(fixed_scales(SQUARE_ROOT)), max(config.widths), interval=_hull())
    expected = float(f"{band.constant.value:.3g}") / float(np.ptp(DATA.y))
    ratio = np.log10(medians(places, "curvature_ratio"))
    share = np.array([[np.mean([one.interpolates for one in place]) for place in row] for row in places])
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        axes = figure.subplots(2, 2)
        draw_map(figure, axes[0, 0], ratio, share, config, r"(a) $\log_{10}$ of curvature over least")
        _draw_ways(axes[0, 0], found, config)
        _draw_ends(axes[0, 1], found["n"][-1][0], found["sqrt n"][-1][0], config)
        _draw_widths(axes[1, 0], found["sqrt n"], config, r"(c) $\alpha = \sqrt{n}$: the kernel regime survives")
        _draw_widths(axes[1, 1], found["n"], config, r"(d) $\alpha = n/\sqrt{50}$: the adaptive regime survives")
        n = np.array(config.widths, dtype=float)
        axes[1, 0].plot(n, expected / np.sqrt(n), **panels.DASHED)
        results = {
            "places": [[_record(place) for place in row] for row in places],
            "widths": {name: [_record(row) for row in rows] for name, rows in found.items()},
            "expected_constant": expected,
        }
        document = common.publish(NAME, config, figure, results)
    print(_table(found, config))
    return document


def _hull() -> tuple[float, float]:
    return float(DATA.x[0]), float(DATA.x[-1])


def _measured(problem: sb.Problem, width: int, seeds: Sequence[int], config: Config) -> list[AdaptiveMeasures]:
    """Trained networks of one width with their measures."""
    runs = train_ensemble(problem, width, seeds, method=NeuronFlow(1e-3), loss_tol=config.loss_tol)
    return [adaptive_measures(run) for run in runs]


def _record(networks: list[AdaptiveMeasures]) -> list[dict[str, Any]]:
    """All measures of networks of one kind."""
    return [
        {"width": one.run.width, "loss": one.run.loss, "interpolates": one.interpolates}
        | {name: getattr(one, name) for name in _MEASURES}
        for one in networks
    ]


def _relative(networks: list[AdaptiveMeasures], name: str) -> Array:
    """A distance of every network, over the range of y."""
    return np.array([getattr(one, name) for one in networks]) / float(np.ptp(DATA.y))


def _table(found: dict[str, list[list[AdaptiveMeasures]]], config: Config) -> str:
    """Means for the terminal."""
    lines = [f"{NAME}: means of {len(config.seeds)} networks; distances over the range of y"]
    lines += [
        f"{'alpha':>8}{'width':>8}{'R0':>8}{'D':>9}{'curvature':>11}{'predict':>10}{'dots':>10}{'least':>10}{'fit':>5}"
    ]
    for name, rows in found.items():
        for width, row in zip(config.widths, rows, strict=True):
            size, imbalance, ratio = (
                float(np.mean([getattr(one, key) for one in row])) for key in ("size", "imbalance", "curvature_ratio")
            )
            distances = "".join(f"{_relative(row, key).mean():>10.4f}" for key in _DISTANCES)
            fit = sum(one.interpolates for one in row)
            lines.append(f"{name:>8}{width:>8}{size:>8.3g}{imbalance:>9.3g}{ratio:>11.4f}{distances}{fit:>5}")
    return "\n".join(lines)


def _draw_ways(ax: Axes, found: dict[str, list[list[AdaptiveMeasures]]], config: Config) -> None:
    """Where networks of growing width start, on the cells of the map: between two places by asinh D and log R0."""
    for name, rows in found.items():
        size = np.array([np.mean([one.size for one in row]) for row in rows])
        imbalance = np.array([np.mean([one.imbalance for one in row]) for row in rows])
        x = np.interp(np.log(size), np.log(config.sizes), np.arange(len(config.sizes)))
        y = np.interp(np.arcsinh(imbalance), np.arcsinh(config.imbalances), np.arange(len(config.imbalances)))
        color = BLUE if name == "sqrt n" else VERMILLION
        ax.plot(x, y, color=color, marker="o", markersize=2.5, linewidth=1.2, markeredgecolor="white", markeredgewidth=0.4)
        label = r"$\alpha = \sqrt{n}$" if name == "sqrt n" else r"$\alpha = n/\sqrt{50}$"
        place: dict[str, Any] = {"xytext": (0, 6), "color": "white"} if name == "n" else {"xytext": (0, -11), "color": BLACK}
        ax.annotate(label, (x[-1], y[-1]), textcoords="offset points", ha="center", fontsize=7, **place)


def _draw_ends(ax: Axes, rich: AdaptiveMeasures, lazy: AdaptiveMeasures, config: Config) -> None:
    """The widest networks of both scalings, all minimizers for the values of the first, the limit of the second."""
    from matplotlib.patches import Patch

    x = np.linspace(*config.interval, 1601)
    plot_minimum_norm(rich.fitted, ax, interval=config.interval, linewidth=0.0)
    (rich_line,) = ax.plot(x, rich.run.function(x), color=VERMILLION, linewidth=1.4, label=r"$\alpha = n/\sqrt{50}$")
    (lazy_line,) = ax.plot(x, lazy.run.function(x), color=BLUE, linewidth=1.4, label=r"$\alpha = \sqrt{n}$")
    (limit,) = ax.plot(x, lazy.kernel_limit.function(x), **panels.DASHED | {"label": "limit of predict"})
    panels.draw_data(ax, DATA)
    ax.set(xlabel="$x$", title=f"(b) networks of {lazy.run.width} units and their theory")
    handles = [rich_line, Patch(color=VERMILLION, alpha=0.2, linewidth=0, label="all of least curvature"), lazy_line, limit]
    ax.legend(handles=handles, frameon=False, fontsize=7, loc="upper right")


def _draw_widths(ax: Axes, rows: list[list[AdaptiveMeasures]], config: Config, title: str) -> None:
    """The three distances against the width."""
    for name, (label, color, marker) in _DISTANCES.items():
        values = [np.maximum(_relative(row, name), _LEAST) for row in rows]
        mean, spread = np.array([value.mean() for value in values]), np.array([value.std() for value in values])
        low = np.maximum(mean - spread, _LEAST)
        style: dict[str, Any] = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.0, "capsize": 2}
        ax.errorbar(config.widths, mean, yerr=[mean - low, spread], label=label, **style)
    ax.set(xscale="log", yscale="log", xlabel="width $n$", ylabel="distance / range of $y$", title=title)
    ax.set_ylim(_LEAST / 1.5, 1.0)
    ax.legend(frameon=False, fontsize=7, loc="lower right")


if __name__ == "__main__":
    main(Config())
