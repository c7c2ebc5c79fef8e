"""What the figures look like: one style, and the panels they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments._common import Settings, label
from splinebias.data import Dataset, Points
from splinebias.limit.prediction import Prediction
from splinebias.numerics.estimate import Estimate
from splinebias.plots import BLACK, BLUE, GREEN, ORANGE, plot_errors, plot_inverse_root, plot_prediction, plot_training
from splinebias.potential import Potential
from splinebias.studies.results import Study
from splinebias.training.train import Training

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (BLUE, ORANGE, GREEN)
_MARKERS = ("o", "s", "^")
_LINE_WIDTHS = (4.5, 2.7, 1.2)  # nested, so that curves that coincide all show
_STAGGER = 1.2  # ratio of abscissae of markers that belong to one width
_STYLE: Any = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text in the PDF stays text
}
DASHED: dict[str, Any] = {"color": BLACK, "linestyle": (0, (3, 2)), "linewidth": 0.8}


def new_figure() -> tuple[Figure, Any]:
    """A figure at the text width of a paper, and its three axes; to be drawn in `style()`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    return figure, figure.subplots(1, 3)


def style(size: float = 8.0) -> Any:
    """Context in which figures are drawn and saved, with text of `size` points."""
    import matplotlib

    return matplotlib.rc_context(_STYLE | {key: size for key in _STYLE if key.endswith("size")})


def draw_functions(ax: Axes, limits: Sequence[Prediction], runs: Sequence[Training], settings: Settings) -> None:
    """Networks in the colours of the potentials, the predicted splines dashed on top of them, and the data."""
    for run, color, line_width in zip(runs, COLORS, _LINE_WIDTHS, strict=False):
        plot_training(run, ax, interval=settings.interval, color=color, linewidth=line_width)
    for limit in limits:
        plot_prediction(limit, ax, interval=settings.interval, **DASHED)
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f(x)$ (dimensionless)")


def draw_data(ax: Axes, data: Dataset | Points) -> None:
    """The data points, on top of everything."""
    ax.plot(data.x, data.y, color=BLACK, marker="o", markersize=4, linestyle="none", zorder=3)


def draw_errors(ax: Axes, studies: Sequence[Study], constants: Sequence[float]) -> None:
    """Error against width for each potential, its fitted exponent, and the predicted constant / sqrt(n)."""
    from matplotlib.ticker import NullFormatter

    shared = len(set(constants)) == 1
    for number, (found, constant) in enumerate(zip(studies, constants, strict=True)):
        color, offset = COLORS[number], _STAGGER ** (number - (len(studies) - 1) / 2)
        plot_errors(found, ax, offset=offset, color=color, marker=_MARKERS[number], markersize=3, linewidth=0.9)
        if not (shared and number):
            plot_inverse_root(constant, found.table["width"], ax, **DASHED | {"color": BLACK if shared else color})
        ax.text(0.04, 0.02 + 0.075 * number, _slope(found.rate), color=color, transform=ax.transAxes)
    ax.text(0.04, 0.02 + 0.075 * len(studies), "slope [95 % interval]", transform=ax.transAxes)
    seeds = np.unique(studies[0].table["seed"]).size
    ax.set_title(f"(b) mean of {seeds} seeds, bars: 1 std. dev." if seeds > 1 else "(b) one seed")
    ax.set(xlabel="width $n$ (hidden units)", ylabel=r"error $\sup\,|f_n - f|$ (dimensionless)")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(bottom=ax.get_ylim()[0] / 5)  # room for the slopes


def _slope(rate: Estimate) -> str:
    text = f"{rate.value:.2f}"
    if math.isfinite(rate.low):
        text += f" [{rate.low:.2f}, {rate.high:.2f}]"
    return text.replace("-", "\u2212")  # a minus sign, not a hyphen


def legend_row(potentials: Sequence[Potential], constants: Sequence[float]) -> list[Artist]:
    """Handles of what all figures show: a network per potential, the prediction, the data."""
    from matplotlib.lines import Line2D

    rates = ", ".join(rf"${constant:g}/\sqrt{{n}}$" for constant in dict.fromkeys(constants))
    row: list[Artist] = [
        Line2D([], [], color=color, marker=marker, markersize=3.5, linewidth=2.0, label=f"network, ${label(potential)}$")
        for potential, color, marker in zip(potentials, COLORS, _MARKERS, strict=False)
    ]
    row.append(Line2D([], [], **DASHED | {"label": f"predicted: spline; {rates}"}))
    row.append(Line2D([], [], color=BLACK, marker="o", markersize=4, linestyle="none", label="data"))
    return row


def place_legend(figure: Figure, *rows: Sequence[Artist]) -> None:
    """The one legend of a figure, below its panels, in rows; short ones end in nothing."""
    from matplotlib.lines import Line2D

    columns = max(map(len, rows))
    filled = [[*row, *(Line2D([], [], linestyle="none", label=" ") for _ in range(columns - len(row)))] for row in rows]
    handles = [handle for column in zip(*filled, strict=True) for handle in column]  # legends are filled column by column
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, columnspacing=1.5)
