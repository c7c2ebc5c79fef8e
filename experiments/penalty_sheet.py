r"""What the law of the hidden weights and biases does: eight curvature penalties and the functions they lead to.

ReLU networks, quadratic potential, data set A. Above: the curvature penalty :math:`1/\zeta(c)`, with
:math:`\zeta(c) = p_C(c)\, E[W^2 \mid C = c]` and breakpoints c = -b/w (Jin & Montúfar 2023, Theorem 4; theory section 2).
Below: a trained network and the function of least penalty through the data. Curvature goes where it is cheap, and where no
unit has its breakpoint the function is straight. Penalties that differ by a factor only, (c) and (e), have one minimizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.limit.predict import predict
from splinebias.plots import BLUE, ORANGE, plot_curvature_penalty, plot_prediction, plot_training
from splinebias.potential import Potential

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "penalty_sheet"
_COLUMNS = 4
_GREY: dict[str, Any] = {"color": "0.65", "linewidth": 0.8, "linestyle": "-", "zorder": 1.8}


@dataclass(frozen=True)
class Case:
    """A law and the title of its panel.

    Parameters
    ----------
    title : str
        In TeX.
    law : Initialization
        Of the hidden weights and biases.
    """

    title: str
    law: sb.Initialization

    def __str__(self) -> str:
        return self.law.describe()


_CASES = (
    Case(r"$W=\pm 1$, $B$ uniform", sb.Initialization.rademacher(stats.uniform(-1, 2))),
    Case(r"$W=\pm 1$, $B$ Gaussian", sb.Initialization.rademacher(stats.norm(0, 0.5))),
    Case(r"$W$, $B$ Gaussian", sb.Initialization.gaussian()),
    Case(r"$W$, $B$ uniform (PyTorch)", sb.Initialization.pytorch_default()),
    Case(r"$(W,B)$ on unit circle", sb.Initialization.unit_circle()),
    Case(r"$W$ Gaussian, $B=0.2$", sb.Initialization.constant_bias(0.2, stats.norm())),
    Case(r"$W=\pm 1$, $B$ Laplace", sb.Initialization.rademacher(stats.laplace(0, 0.3))),
    Case(
        r"$W\in\{-1,1,2\}$, $B\sim U(0.2,1.2)$",
        sb.Initialization(sb.Discrete((-1, 1, 2), (0.2, 0.3, 0.5)), stats.uniform(0.2, 1)),
    ),
)


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the sheet; networks have the largest width and the first seed.

    Parameters
    ----------
    potentials : tuple of Potential
        One unscaled potential.
    data : str
        Name of the data set.
    cases : tuple of Case
        The laws, two rows of them; the function of the first is drawn in grey with all others.
    penalties : tuple of float
        Ends of the axis of 1/zeta; steeper walls are cut off.
    """

    widths: tuple[int, ...] = (4860,)
    seeds: tuple[int, ...] = (0,)
    potentials: tuple[Potential, ...] = (sb.Quadratic(),)
    data: str = "liang_montufar_a"
    cases: tuple[Case, ...] = _CASES
    penalties: tuple[float, float] = (0.1, 2e3)


def main(config: Config) -> dict[str, Any]:
    """Compute the sheet, write NAME.png, NAME.pdf and NAME.json, print the errors, and return what the JSON file holds."""
    common.prepare(NAME, config)
    data, (potential,) = common.load(config.data), config.potentials
    problems = [sb.Problem(data, case.law, sb.ReLU(), potential) for case in config.cases]
    limits, runs = [predict(problem) for problem in problems], common.showcase(problems, config)
    with panels.style():
        figure, axes = _new_figure(len(problems))
        for number, (limit, run) in enumerate(zip(limits, runs, strict=True)):
            above, below = axes[2 * (number // _COLUMNS) :, number % _COLUMNS][:2]
            above.set_title(f"({chr(ord('a') + number)}) {config.cases[number].title}")
            _draw_penalty(above, limit.problem.initialization, config)
            _draw_function(below, limit, run, limits[0] if number else None, config)
        _label_rows(axes)
        panels.place_legend(figure, *_handles(max(config.widths)))
        records = [_record(*found, config) for found in zip(config.cases, limits, runs, strict=True)]
        document = common.publish(NAME, config, figure, {"laws": records})
    print(_table(records, max(config.widths)))
    return document


def _new_figure(size: int) -> tuple[Any, Any]:
    """Axes in pairs, a penalty above a function; all penalties share their axes, and so do all functions."""
    from matplotlib.figure import Figure

    pairs = -(-size // _COLUMNS)
    figure = Figure(figsize=(7.2, 3.0 * pairs), layout="constrained")
    axes = figure.subplots(2 * pairs, _COLUMNS, sharex=True, squeeze=False, height_ratios=[0.75, 1.0] * pairs)
    for kind in (axes[::2].ravel(), axes[1::2].ravel()):
        for ax in kind[1:]:
            ax.sharey(kind[0])
    return figure, axes


def _draw_penalty(ax: Axes, law: sb.Initialization, config: Config) -> None:
    """1/zeta in blue; grey where it is infinite."""
    plot_curvature_penalty(law, ax, interval=config.interval, color=BLUE, linewidth=1.3)
    ax.set(xlabel="", ylabel="", ylim=config.penalties)
    ax.tick_params(which="minor", left=False)


def _draw_function(ax: Axes, limit: sb.Prediction, run: sb.Training, other: sb.Prediction | None, config: Config) -> None:
    """The network in colour, the predicted spline dashed on top of it, `other` in grey below, and the data."""
    if other is not None:
        plot_prediction(other, ax, interval=config.interval, **_GREY)
    plot_training(run, ax, interval=config.interval, color=ORANGE, linewidth=2.7)
    plot_prediction(limit, ax, interval=config.interval, **panels.DASHED)
    ax.set(xlabel="", ylabel="")


def _label_rows(axes: Any) -> None:
    """Axis labels and tick labels at the left and at the bottom only."""
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    for row, ax in enumerate(axes[:, 0]):
        ax.set_ylabel("$f(x)$" if row % 2 else r"penalty $1/\zeta$")
    for ax in axes[-1]:
        ax.set_xlabel("$x$; breakpoint $c$")


def _handles(width: int) -> list[list[Artist]]:
    """Two rows of the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dots: dict[str, Any] = {"color": "black", "marker": "o", "markersize": 4, "linestyle": "none"}
    return [
        [
            Line2D([], [], color=BLUE, linewidth=1.3, label=r"curvature penalty $1/\zeta(c)$"),
            Line2D([], [], color=ORANGE, linewidth=2.7, label=f"network of width {width}"),
            Line2D([], [], **panels.DASHED, label="predicted spline"),
        ],
        [
            Patch(color="0.85", linewidth=0, label="no breakpoints: straight"),
            Line2D([], [], **_GREY, label="predicted spline of (a)"),
            Line2D([], [], **dots, label="data"),
        ],
    ]


def _record(case: Case, limit: sb.Prediction, run: sb.Training, config: Config) -> dict[str, Any]:
    """The penalty density and both functions at 61 points."""
    found = common.function_record(limit, run, config)
    density = case.law.curvature_penalty(np.array(found["x"])).tolist()
    return {"law": str(case), "solver": limit.stats["solver"]} | found | {"curvature_penalty": density}


def _table(records: Sequence[dict[str, Any]], width: int) -> str:
    lines = [f"{NAME}: ReLU networks of width {width} and their limits, sup-distance and least E[alpha^2]"]
    lines += [f"{found['sup']:8.4f}{found['penalty']:14.6g}  {found['law']} ({found['outcome']})" for found in records]
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
