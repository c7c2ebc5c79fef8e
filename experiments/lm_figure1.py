r"""Figure 1 of Liang & Montúfar, *Implicit bias of mirror flow for shallow neural networks ...*, ICLR 2025.

ReLU networks, W = ±1, B uniform on (-1, 1), unscaled potentials. (a) All potentials have one limit. (b) Networks approach
it like n^(-1/2), once they are so wide that the O(1/n) of moving features no longer shows. (c) Without a skip connection
the shape of the limit depends on where the data sit: y + s is fitted, and s subtracted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.limit.predict import predict

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "lm_figure1"


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of figure 1; the defaults are the published ones, `loss_tol` aside.

    Parameters
    ----------
    data : str
        Name of the data set.
    shifts : tuple of float
        The s of panel (c).
    """

    data: str = "liang_montufar_a"
    shifts: tuple[float, ...] = (2.5, 1.0, -0.5, -2.0, -3.5)


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print the errors, and return what the JSON file holds."""
    common.prepare(NAME, config)
    data = common.load(config.data)
    problem = sb.Problem(data, sb.Initialization.rademacher(stats.uniform(-1, 2)), sb.ReLU())
    problems = [replace(problem, potential=phi) for phi in config.potentials]
    moved = [replace(problem, data=sb.Dataset(data.x, data.y + shift)) for shift in config.shifts]
    studies, constants = common.convergence(problems, config), common.predicted_constants(problems, config)
    limits, moved_limits = [found.prediction for found in studies], [predict(item) for item in moved]
    runs = common.showcase(problems + moved, config)
    runs, moved_runs = runs[: len(problems)], runs[len(problems) :]
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        panels.draw_functions(left, limits, runs, config)
        left.set_title(f"(a) networks of width {max(config.widths)}")
        panels.draw_errors(middle, studies, constants)
        handles = _draw_translated(right, moved_limits, moved_runs, config)
        right.set_title("(c) $y_i + s$ fitted, $s$ subtracted")
        panels.place_legend(figure, panels.legend_row(config.potentials, constants), handles)
        results = {
            "convergence": common.study_record(studies, constants),
            "functions": [common.function_record(*pair, config) for pair in zip(limits, runs, strict=True)],
            "translated": [common.function_record(*pair, config) for pair in zip(moved_limits, moved_runs, strict=True)],
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: ReLU networks, unscaled potentials\n{common.error_table(studies, constants)}")
    return document


def _draw_translated(ax: Axes, limits: Sequence[sb.Prediction], runs: Sequence[sb.Training], config: Config) -> list[Artist]:
    """Panel (c); returns the handles of its networks."""
    from matplotlib import colormaps

    x = np.linspace(*config.interval, 601)
    handles: list[Artist] = []
    for number, (shift, limit, run) in enumerate(zip(config.shifts, limits, runs, strict=True)):
        color = colormaps["viridis"](0.92 * number / max(len(runs) - 1, 1))
        handles += ax.plot(x, run.function(x) - shift, color=color, linewidth=2.2, label=f"network, $s = {shift:g}$")
        ax.plot(x, limit.function(x) - shift, **panels.DASHED)
    panels.draw_data(ax, common.load(config.data))
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f(x) - s$ (dimensionless)", xlim=config.interval)
    return handles
