r"""Nine laws of (W, B): the curvature penalty of each, its function, and errors of networks beside the predicted ones.

ReLU networks, gradient flow, data set A. Jin & Montúfar (JMLR 24(137), 2023), Theorems 1 and 4: the limit has the least
curvature penalty :math:`1/\zeta(c)`, :math:`\zeta(c) = p_C(c)\, E[W^2 \mid C = c]`, and a network of width n is
:math:`O(n^{-1/2})` from it, whatever the law. The constant is predicted without training (`error_band`, dashed). Of the
fitted slopes, seven have -1/2 in their 95 % interval; those of the unit circle and of B = 0.2 are steeper, because moving
features make errors at small widths up to 1.8 times the predicted ones. At width 4860 all ratios are between 0.8 and 1.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.plots import BLUE, ORANGE, plot_curvature_penalty, plot_errors, plot_inverse_root, plot_prediction
from splinebias.studies.results import Study, StudyGrid
from splinebias.studies.study import study_grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "jm_rates"

_LAWS: dict[str, sb.Initialization] = {  # titles in TeX
    r"$W=\pm 1$, $B$ uniform": sb.Initialization.rademacher(stats.uniform(-1, 2)),
    r"$W=\pm 1$, $B$ Gaussian": sb.Initialization.rademacher(stats.norm(0, 0.5)),
    r"$W=\pm 1$, $B$ Laplace": sb.Initialization.rademacher(stats.laplace(0, 0.3)),
    r"$W$, $B$ Gaussian": sb.Initialization.gaussian(),
    r"$W$, $B$ uniform (PyTorch)": sb.Initialization.pytorch_default(),
    r"$(W,B)$ on the unit circle": sb.Initialization.unit_circle(),
    r"$(W,B)$ normal, correlation $\frac{1}{2}$": sb.Initialization.joint(
        stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]])
    ),
    r"$W$ Gaussian, $B=0.2$": sb.Initialization.constant_bias(0.2, stats.norm()),
    r"$W\in\{-1,1,2\}$, $B$ Gaussian": sb.Initialization(sb.Discrete((-1, 1, 2), (0.2, 0.3, 0.5)), stats.norm(0.2, 0.5)),
}


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the sheet.

    Parameters
    ----------
    data : str
        Name of the data set.
    penalties : tuple of float
        Ends of the axis of 1/zeta; steeper walls are cut off.
    """

    widths: tuple[int, ...] = (60, 180, 540, 1620, 4860)
    seeds: tuple[int, ...] = tuple(range(8))
    data: str = "liang_montufar_a"
    penalties: tuple[float, float] = (0.1, 2e3)


def main(config: Config) -> dict[str, Any]:
    """Compute the sheet, write NAME.png, NAME.pdf and NAME.json, print the rates, and return what the JSON file holds."""
    common.prepare(NAME, config)
    problem = sb.Problem(common.load(config.data), next(iter(_LAWS.values())))
    spec = sb.StudySpec(
        problem,
        config.widths,
        config.seeds,
        initializations=_LAWS,
        interval=config.interval,
        loss_tol=config.loss_tol,
    )
    grid = study_grid(spec, jobs=config.jobs)
    constants = common.predicted_constants([part.problem for part in grid.parts], config)
    with panels.style(_TEXT):
        figure = _draw(grid, constants, config)
        records = [_record(part) | {"predicted_constant": c} for part, c in zip(grid.parts, constants, strict=True)]
        document = common.publish(NAME, config, figure, {"laws": records})
    print(_table(grid))
    return document


def _draw(grid: StudyGrid, constants: Sequence[float], config: Config) -> Figure:
    """A row per law: penalty, functions, error against width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.98 * len(grid.parts) + 0.7), layout="constrained")
    axes = figure.subplots(len(grid.parts), 3, sharex="col", sharey="col", squeeze=False)
    for row, part, constant in zip(axes, grid.parts, constants, strict=True):
        _draw_penalty(row[0], part, config)
        _draw_functions(row[1], part, config)
        _draw_errors(row[2], part, constant)
    titles = (r"curvature penalty $1/\zeta(c)$", "functions $f(x)$", r"error $\sup\,|f_n - f|$")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    for ax in axes.flat:
        ax.set(xlabel="", ylabel="")
    axes[-1, 0].set_xlabel("breakpoint $c$")
    axes[-1, 1].set_xlabel("$x$")
    axes[-1, 2].set_xlabel("width $n$ (hidden units)")
    panels.place_legend(figure, *_handles(max(config.widths), len(config.seeds)))
    return figure


def _draw_penalty(ax: Axes, part: Study, config: Config) -> None:
    plot_curvature_penalty(part.problem.initialization, ax, interval=config.interval, linewidth=1.3)
    ax.set(ylim=config.penalties)
    ax.tick_params(which="minor", left=False)
    ax.text(0.5, 0.97, part.label, transform=ax.transAxes, ha="center", va="top", bbox=_PAPER)


def _draw_functions(ax: Axes, part: Study, config: Config) -> None:
    """The first network of the largest width, and the limit dashed on top of it."""
    import numpy as np

    network = part.function(max(config.widths), config.seeds[0])
    x = np.linspace(*config.interval, 601)
    ax.plot(x, network(x), color=ORANGE, linewidth=2.7)
    plot_prediction(part.prediction, ax, interval=config.interval, **panels.DASHED)


def _draw_errors(ax: Axes, part: Study, constant: float) -> None:
    """Errors, and the predicted ones dashed."""
    plot_errors(part, ax, color=BLUE, marker="o", markersize=3, linewidth=0.9)
    plot_inverse_root(constant, part.table["width"], ax, **panels.DASHED)
    rate = part.rate
    text = f"slope {rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]".replace("-", "\u2212")
    ax.text(0.03, 0.07, text, transform=ax.transAxes)
    ax.set_ylim(1e-3, 0.6)


_TEXT = 9.5  # points: this figure is tall, and shown smaller than the others
_PAPER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


def _handles(width: int, seeds: int) -> list[list[Artist]]:
    """Two rows of the legend."""
    from matplotlib.lines import Line2D

    dots: dict[str, Any] = {"marker": "o", "linestyle": "none"}
    return [
        [
            Line2D([], [], color=ORANGE, linewidth=2.7, label=f"network, $n={width}$"),
            Line2D([], [], color="black", markersize=4, label="data", **dots),
        ],
        [
            Line2D([], [], **panels.DASHED, label=r"predicted spline; predicted mean error $\propto n^{-1/2}$"),
            Line2D([], [], color=BLUE, markersize=3, label=f"mean of {seeds} seeds, bars: 1 std. dev.", **dots),
        ],
    ]


def _record(part: Study) -> dict[str, Any]:
    """Penalty of the limit, rates and errors of one law."""
    import dataclasses

    return {
        "law": part.problem.initialization.describe(),
        "penalty": part.prediction.penalty,
        "exponent": dataclasses.asdict(part.rate),
        "power_law_pvalue": part.power_law.pvalue,
        "constant": dataclasses.asdict(part.constant),
        "error": [dict(zip(part.statistics.dtype.names or (), row, strict=True)) for row in part.statistics.tolist()],
        "penalty_ratio": [dict(zip(part.penalties.dtype.names or (), row, strict=True)) for row in part.penalties.tolist()],
        "failed": sum(not row.ok for row in part.rows),
    }


def _table(grid: StudyGrid) -> str:
    lines = [f"{NAME}: ReLU networks, exponent of the error and penalty of the widest networks over that of the limit"]
    for part in grid.parts:
        ratio = part.penalties["mean"][-1]
        doubt = f", power law p = {part.power_law.pvalue:.2f}" if not math.isnan(part.power_law.pvalue) else ""
        lines.append(f"  {part.problem.initialization.describe()}: {part.rate}{doubt}, penalty ratio {ratio:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
