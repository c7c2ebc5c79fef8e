r"""From the adaptive to the kernel regime: a map on the two scale-free axes, and a network of either end.

ReLU networks in mean-field scaling on data whose changes of slope have one sign in places, so that many functions have least
:math:`\int |f''|`. Axes: :math:`R_0`, the norm of the start over the least norm of a network through the data, and D, how
much larger output weights are than hidden ones (`adaptive_problem`). (a) :math:`\int |f''|` between the data over the least
of an interpolant of the network's own values, median of the seeds: 1 at the adaptive end. D = -1000 is lazy at every
:math:`R_0`: output weights start, and stay, too small to turn the hidden ones. (b) Distance to the kernel limit of the
same start, over the range of y: 0 at the kernel end, up to what the width leaves. Crosses: networks that do not
interpolate. (c) A network of either end with its theory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.plots import BLACK, BLUE, GREEN, VERMILLION, plot_minimum_norm
from splinebias.regimes.adaptive import AdaptiveMeasures, adaptive_measures, adaptive_problem
from splinebias.training.ensemble import train_ensemble
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "adaptive_map"
DATA = sb.Dataset(np.array([-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1]), np.array([0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1]))
_MEASURES = ("curvature_ratio", "to_kernel", "to_interpolant", "to_minimizers", "knot_distance", "drift", "dead")


class Places(Protocol):
    """The R0 and D of a map."""

    @property
    def sizes(self) -> tuple[float, ...]: ...

    @property
    def imbalances(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the map.

    Parameters
    ----------
    width : int
        Units of a network.
    sizes, imbalances : tuple of float
        The R0 and D above.
    seeds : tuple of int
        Networks at each place; functions are shown for the first.
    loss_tol : float
        Loss to train to.
    """

    interval: tuple[float, float] = (-1.1, 1.1)
    width: int = 300
    sizes: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    imbalances: tuple[float, ...] = (-1000.0, -100.0, -10.0, 0.0, 100.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    loss_tol: float = 1e-7


def main(config: Config) -> dict[str, Any]:
    """Compute the map, write NAME.png, NAME.pdf and NAME.json, print a table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    places = [[measured(size, imbalance, config) for size in config.sizes] for imbalance in config.imbalances]
    ratio = medians(places, "curvature_ratio")
    kernel = medians(places, "to_kernel") / float(np.ptp(DATA.y))
    share = np.array([[np.mean([one.interpolates for one in place]) for place in row] for row in places])
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        axes = figure.subplots(1, 3)
        draw_map(figure, axes[0], np.log10(ratio), share, config, r"(a) $\log_{10}$ of curvature over least")
        draw_map(figure, axes[1], np.log10(kernel), share, config, r"(b) $\log_{10}$ of distance to kernel limit")
        _draw_ends(axes[2], places[config.imbalances.index(0.0)][0][0], places[0][-1][0], config)
        results = {"places": [[_record(place) for place in row] for row in places]}
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: int |f''| over the least of the network's own values, rows D, columns R0")
    print("\n".join(f"{d:>8g}  {row}" for d, row in zip(config.imbalances, ratio.round(4), strict=True)))
    return document


def measured(size: float, imbalance: float, config: Config) -> list[AdaptiveMeasures]:
    """The networks at one place of the map."""
    problem = adaptive_problem(DATA, size, imbalance)
    runs = train_ensemble(problem, config.width, config.seeds, method=NeuronFlow(1e-3), loss_tol=config.loss_tol)
    return [adaptive_measures(run) for run in runs]


def medians(places: list[list[list[AdaptiveMeasures]]], name: str) -> Array:
    """The median over seeds of a measure, shape (D, R0)."""
    return np.array([[np.median([getattr(one, name) for one in place]) for place in row] for row in places])


def _record(place: list[AdaptiveMeasures]) -> list[dict[str, Any]]:
    """All measures of the networks at one place."""
    return [
        {"R0": one.size, "D": one.imbalance, "loss": one.run.loss, "interpolates": one.interpolates}
        | {name: getattr(one, name) for name in _MEASURES}
        for one in place
    ]


def draw_map(figure: Figure, ax: Axes, values: Array, share: Array, config: Places, title: str) -> None:
    """One number a place, in colour and in digits; a cross where most networks do not interpolate."""
    image = ax.imshow(values, origin="lower", cmap="viridis", aspect="auto")
    figure.colorbar(image, ax=ax)
    for (row, column), value in np.ndenumerate(values):
        dark = value < (values.min() + values.max()) / 2
        ax.text(column, row, f"{value:.2f}", color="white" if dark else BLACK, ha="center", va="center", fontsize=6)
        if share[row, column] < 0.5:
            ax.plot(column - 0.35, row + 0.3, "x", color="white" if dark else BLACK, markersize=3)
    ax.set_xticks(range(len(config.sizes)), [f"{size:g}" for size in config.sizes])
    ax.set_yticks(range(len(config.imbalances)), [f"{imbalance:g}" for imbalance in config.imbalances])
    ax.set(xlabel="$R_0$", ylabel="$D$", title=title)


def _draw_ends(ax: Axes, rich: AdaptiveMeasures, lazy: AdaptiveMeasures, config: Config) -> None:
    """Networks of both ends, all minimizers for the values of the first, the kernel limit of the second."""
    from matplotlib.patches import Patch

    x = np.linspace(*config.interval, 801)
    plot_minimum_norm(rich.fitted, ax, interval=config.interval, linewidth=0.0)
    (rich_line,) = ax.plot(x, rich.run.function(x), color=BLUE, linewidth=1.6, label="adaptive end")
    (lazy_line,) = ax.plot(x, lazy.run.function(x), color=GREEN, linewidth=1.6, label="kernel end")
    (limit,) = ax.plot(x, lazy.kernel_limit.function(x), **panels.DASHED | {"label": "kernel limit"})
    ax.set(xlabel="$x$", title="(c) networks of both ends")
    handles = [Patch(color=VERMILLION, alpha=0.2, linewidth=0, label="all of least curvature"), rich_line, lazy_line, limit]
    ax.legend(handles=handles, frameon=False, fontsize=6)


if __name__ == "__main__":
    main(Config())
