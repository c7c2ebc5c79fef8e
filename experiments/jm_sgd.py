r"""Stochastic against full gradient descent: batches of one point end at the function that all points lead to.

ReLU networks, PyTorch's default initialization, data set A, one point per step, drawn at random. The data can be fitted
exactly, so the noise of the batches dies out with the loss. At infinite width every step stays in the span of the features
of the data, and both methods end at the interpolant of least norm (Jin & Montúfar, JMLR 24(137), 2023). (a) Functions.
(b) Distances against width: two networks that start alike end 20 to 140 times nearer to one another than to the limit, and
both approach the limit alike.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.functions.compare import compare
from splinebias.plots import BLUE, GREEN, ORANGE, plot_prediction
from splinebias.studies.results import StudyGrid
from splinebias.studies.same_limit import LimitComparison, compare_limits
from splinebias.studies.study import study_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "jm_sgd"
_GD, _SGD = "gradient descent", "stochastic, batches of 1"
_STYLES: dict[str, dict[str, Any]] = {_GD: {"color": ORANGE, "marker": "o"}, _SGD: {"color": BLUE, "marker": "s"}}


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the figure.

    Parameters
    ----------
    data : str
        Name of the data set.
    """

    widths: tuple[int, ...] = (50, 200, 800, 3200)
    seeds: tuple[int, ...] = tuple(range(8))
    loss_tol: float = 1e-5
    data: str = "liang_montufar_a"


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print the distances, return what the JSON file holds."""
    common.prepare(NAME, config)
    problem = sb.Problem(common.load(config.data), sb.Initialization.pytorch_default())
    methods = {_GD: sb.MirrorDescent(), _SGD: sb.StochasticMirrorDescent()}
    spec = sb.StudySpec(
        problem, config.widths, config.seeds, methods=methods, interval=config.interval, loss_tol=config.loss_tol
    )
    grid = study_grid(spec, jobs=config.jobs)
    apart = _apart(grid, config)
    test = compare_limits(*grid.parts) if apart.size >= 8 and len(config.widths) > 1 else None
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_functions(left, grid, config)
        _draw_distances(right, grid, apart)
        results = {
            "methods": {part.names["method"]: _rows(part.rows) for part in grid.parts},
            "apart": apart.tolist(),
            "one_limit": None if test is None else dataclasses.asdict(test),
        }
        document = common.publish(NAME, config, figure, results)
    print(_summary(grid, apart, test))
    return document


def _apart(grid: StudyGrid, config: Config) -> Array:
    """sup-distance between the networks that either method made of one start, shape (widths, seeds)."""
    first, second = grid.parts
    return np.array(
        [
            [compare(first.function(n, k), second.function(n, k), config.interval).sup for k in config.seeds]
            for n in config.widths
        ]
    )


def _draw_functions(ax: Axes, grid: StudyGrid, config: Config) -> None:
    x, width = np.linspace(*config.interval, 601), max(config.widths)
    for part, line_width in zip(grid.parts, (4.0, 1.6), strict=True):
        name = part.names["method"]
        f = part.function(width, config.seeds[0])
        ax.plot(x, f(x), color=_STYLES[name]["color"], linewidth=line_width, label=name)
    plot_prediction(grid.parts[0].prediction, ax, interval=config.interval, **panels.DASHED | {"label": "infinite width"})
    ax.set(title=f"(a) one network of width {width}, trained twice")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _draw_distances(ax: Axes, grid: StudyGrid, apart: Array) -> None:
    style: dict[str, Any] = {"markersize": 3.5, "capsize": 2.0, "linewidth": 0.9, "linestyle": "-"}
    widths = np.unique(grid.parts[0].table["width"])
    for factor, part in zip((0.95, 1.05), grid.parts, strict=True):
        rows, name = part.summary, part.names["method"]
        look = style | _STYLES[name]
        ax.errorbar(factor * widths, rows["mean"], yerr=rows["sd"], label=f"{name}, to the limit", **look)
    spread = apart.std(axis=1, ddof=1) if apart.shape[1] > 1 else None
    ax.errorbar(widths, apart.mean(axis=1), yerr=spread, color=GREEN, marker="^", label="from one another", **style)
    ax.set(xscale="log", yscale="log", xlabel="width $n$ (hidden units)", ylabel="sup-distance")
    ax.set_title(f"(b) mean of {apart.shape[1]} seeds, bars: 1 std. dev.")
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.minorticks_off()
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _rows(rows: Any) -> list[dict[str, Any]]:
    """All runs, without their wall times."""
    return [{name: value for name, value in row._asdict().items() if name != "seconds"} for row in rows]


def _summary(grid: StudyGrid, apart: Array, test: LimitComparison | None) -> str:
    lines = [f"{NAME}: mean sup-distances by width"]
    lines += [f"  {part.label} to the limit: {np.round(part.summary['mean'], 4).tolist()}" for part in grid.parts]
    return "\n".join([*lines, f"  from one another: {np.round(apart.mean(axis=1), 4).tolist()}", f"  {test}"])


if __name__ == "__main__":
    main(Config())
