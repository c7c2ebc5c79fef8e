r"""Figure 2 of Liang & Montúfar, *Implicit bias of mirror flow for shallow neural networks ...*, ICLR 2025.

Absolute-value networks, W = ±1, scaled potentials. (a) Each potential has a limit of its own: the higher the power, the
more evenly curvature is spread. (b) Networks approach it, at small widths faster than n^(-1/2), while the O(1/n) of moving
features dies out. The five networks of width 4860 happen to be good ones: 100 others have a mean error of 0.0090 for
|u|^3 + u^2, beside 0.0085 predicted. (c) Gaussian instead of uniform biases make curvature cheap near zero and possible
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.limit.predict import predict

NAME = "lm_figure2"


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of figure 2; the defaults are the published ones, `loss_tol` aside.

    Parameters
    ----------
    data : str
        Name of the data set.
    bias_sd : float
        Standard deviation of the Gaussian biases of panel (c).
    """

    data: str = "liang_montufar_b"
    bias_sd: float = 0.5


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print the errors, and return what the JSON file holds."""
    common.prepare(NAME, config)
    uniform = sb.Problem(common.load(config.data), sb.Initialization.rademacher(stats.uniform(-1, 2)), sb.Abs())
    gaussian = replace(uniform, initialization=sb.Initialization.rademacher(stats.norm(0, config.bias_sd)))
    problems = [replace(uniform, potential=sb.Scaled(phi)) for phi in config.potentials]
    others = [replace(gaussian, potential=sb.Scaled(phi)) for phi in config.potentials]
    studies, constants = common.convergence(problems, config), common.predicted_constants(problems, config)
    limits, other_limits = [found.prediction for found in studies], [predict(problem) for problem in others]
    runs = common.showcase(problems + others, config)
    runs, other_runs = runs[: len(problems)], runs[len(problems) :]
    x = np.linspace(*config.interval, 601)
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        panels.draw_functions(left, limits, runs, config)
        left.set_title(f"(a) width {max(config.widths)}, biases uniform on $(-1, 1)$")
        panels.draw_errors(middle, studies, constants)
        for limit in limits:
            (faint,) = right.plot(x, limit.function(x), color="0.7", linewidth=0.8, zorder=1.8)
        faint.set_label("in (c): splines of (a)")
        panels.draw_functions(right, other_limits, other_runs, config)
        right.set_title(f"(c) width {max(config.widths)}, biases $N(0, {config.bias_sd:g}^2)$")
        right.sharey(left)
        *networks, prediction, points = panels.legend_row(config.potentials, constants)
        panels.place_legend(figure, networks, [points, faint, prediction])
        results = {
            "convergence": common.study_record(studies, constants),
            "functions": [common.function_record(*pair, config) for pair in zip(limits, runs, strict=True)],
            "gaussian": [common.function_record(*pair, config) for pair in zip(other_limits, other_runs, strict=True)],
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: absolute-value networks, scaled potentials\n{common.error_table(studies, constants)}")
    return document
