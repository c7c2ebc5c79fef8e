"""Pictures of studies: errors and penalties against width, measured beside predicted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._array import Array
from splinebias.plots.canvas import drawn_on, has, new_axes
from splinebias.plots.style import BLACK, BLUE, OKABE_ITO, PALE, POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.studies.results import Study, StudyGrid

_ERROR: dict[str, Any] = {"xscale": "log", "yscale": "log", "xlabel": "width $n$", "ylabel": r"error $\sup\,|f_n - f|$"}


def plot_study(study: Study, ax: Axes | None = None, **errorbar: Any) -> Axes:
    """The errors of a study against width and its fitted ``constant / sqrt(n)``, before a band of the predicted errors.

    See `plot_errors` and `plot_predicted`.
    """
    with drawn_on(ax) as axes:
        plot_errors(study, axes, **errorbar)
        plot_predicted(study, axes)
        constant = study.constant.value
        if constant > 0:
            line = {"color": errorbar.get("color", BLUE), "linestyle": "-", "label": rf"fit: ${constant:.3g}\,/\sqrt{{n}}$"}
            plot_inverse_root(constant, study.summary["width"], axes, **line)
    return axes


def plot_predicted(study: Study, ax: Axes | None = None, **fill: Any) -> Axes:
    r"""Where :math:`\sup|f_n - f|` of 90 % of the networks of a study is predicted to be, against width: see `error_band`.

    Where there is no prediction, nothing is drawn and the legend says so; ``study.predicted`` says why. Extra keywords go to
    ``Axes.fill_between``.
    """
    widths, predicted = study.summary["width"], study.predicted
    style: dict[str, Any] = {"color": "0.85", "linewidth": 0, "zorder": 0, "label": "predicted: 90 % of networks"} | fill
    with drawn_on(ax) as axes:
        if not isinstance(predicted, str):
            ends = np.array([widths[0] / 1.15, widths[-1] * 1.15])
            narrow, wide = (predicted.band.quantile(q) * np.sqrt(predicted.band.width / ends) for q in (0.05, 0.95))
            axes.fill_between(ends, narrow, wide, **style)
        elif "label" not in fill:
            axes.plot([], [], linestyle="none", label="no predicted errors: print the study for the reason")
        if ax is None:
            axes.set(**_ERROR)
    return axes


def plot_errors(study: Study, ax: Axes | None = None, *, offset: float = 1.0, **errorbar: Any) -> Axes:
    r"""Mean of :math:`\sup|f_n - f|` over seeds against width, logarithmic.

    Bars are one sample standard deviation over seeds; a lower end that is not positive is cut off at the frame. Failed
    runs are left out, and widths whose error is 0, which has no logarithm; axes without any say so.

    Parameters
    ----------
    study : Study
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where (its axes become logarithmic); None: new axes with a legend.
    offset : float
        Factor on the widths, close to 1, that keeps the bars of several studies apart.
    **errorbar
        Passed to ``Axes.errorbar``.
    """
    rows = study.summary[study.summary["mean"] > 0]  # nan where no run is ok
    seeds = np.unique(study.table["seed"]).size
    label = f"mean over {seeds} seeds; bars: one standard deviation" if seeds > 1 else "one seed"
    style = POINTS | {"label": label} | errorbar
    if not rows.size:
        style["label"] = f"{style['label']} (no error to show)"
    with drawn_on(ax) as axes:
        axes.set(**_ERROR)
        axes.errorbar(offset * rows["width"], rows["mean"], yerr=rows["sd"], **style)
        room = [(offset * row["width"], factor * row["mean"]) for row in rows for factor in (0.8, 1.25)]
        if room:
            axes.update_datalim(room)  # equal errors have no extent of their own
        _mark_widths(axes, study.summary["width"])
    return axes


def plot_grid(grid: StudyGrid, ax: Axes | None = None) -> Axes:
    """The errors of all cases of a grid against width, each with a colour and a marker, before bands of the predicted ones.

    The legend shows the bands side by side.
    See `plot_errors` and `plot_predicted`. A grid of one case is drawn like a `Study`.
    """
    if len(grid.parts) == 1:
        return plot_study(grid.parts[0], ax)
    from matplotlib.legend_handler import HandlerTuple

    ax = new_axes(ax)
    shown = [part for part in grid.parts if part.rows]
    for number, part in enumerate(shown):
        style = {"color": OKABE_ITO[(number + 1) % len(OKABE_ITO)], "marker": "osD^vP*X"[number % 8]}
        offset = 1.04 ** (number - (len(shown) - 1) / 2)  # keeps apart the markers that belong to one width
        plot_predicted(part, ax, color=style["color"], alpha=PALE, label=f"_{part.label}")
        plot_errors(part, ax, offset=offset, label=part.label, linestyle="-", linewidth=0.8, markersize=4, **style)
    if shown:
        handles: list[Any]
        handles, labels = ax.get_legend_handles_labels()
        bands = [fill for fill in ax.collections if fill.get_alpha() == PALE]
        if bands:  # one line for all
            handles, labels = [tuple(bands), *handles], ["predicted: 90 % of networks", *labels]
        ax.legend(handles, labels, handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)})
    return ax


def plot_penalties(study: Study, ax: Axes | None = None, **errorbar: Any) -> Axes:
    """The networks' own curvature penalty over that of the limit against width, with 95 % bootstrap intervals."""
    rows = study.penalties[study.penalties["runs"] > 0]
    reach = np.abs(np.stack([rows["mean_low"], rows["mean_high"]]) - rows["mean"])
    with drawn_on(ax) as axes:
        axes.errorbar(rows["width"], rows["mean"], yerr=reach, **(POINTS | {"label": "mean over seeds"} | errorbar))
        if not has(axes, "limit"):
            axes.axhline(1.0, color=BLACK, linestyle="--", linewidth=1.0, label="limit")
        axes.set(xscale="log", xlabel="width $n$", ylabel="penalty of the network / of the limit")
        _mark_widths(axes, study.summary["width"])
    return axes


def _mark_widths(ax: Axes, widths: Array) -> None:
    """A tick and a number at widths that were trained, as many as there is room for."""
    from matplotlib.ticker import NullLocator

    if not widths.size:
        return
    room = math.log(widths[-1] / widths[0]) / 8  # of so many numbers
    shown = [widths[-1]]
    for width in widths[-2::-1]:
        if math.log(shown[-1] / width) >= room:
            shown.append(width)
    ax.set_xticks(shown, [str(width) for width in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def plot_inverse_root(constant: float, widths: Any, ax: Axes | None = None, **line: Any) -> Axes:
    """The line ``constant / sqrt(n)`` from the smallest to the largest of `widths`, on axes as in `plot_study`."""
    ax = new_axes(ax)
    ends = np.array([np.min(widths), np.max(widths)], dtype=float)
    label = rf"${constant:.3g}\,/\sqrt{{n}}$"
    style: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 1.0, "label": label} | line
    ax.plot(ends, constant / np.sqrt(ends), **style)
    return ax
