r"""Pictures of results: one function per kind of result, and `plot` that knows which.

Every function draws on `ax` (on new axes if that is None), labels what it draws, returns the axes and shows nothing. A
legend is added on new axes only: whoever brings axes combines drawings and places one legend for all of them. Extra
keywords go to matplotlib and override color, label and so on. What is predicted is black and dashed, or a pale band; what
is measured is coloured and solid. Colours are those of Okabe & Ito (2008), told apart with
every kind of colour blindness; text and lines of a figure are dimensionless unless the data have units.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._arguments import whole_number
from splinebias._array import Array
from splinebias._files import check_writable, write_atomically
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.finite_width.diagnosis import Diagnosis
from splinebias.initialization.initialization import Initialization
from splinebias.limit.prediction import Prediction
from splinebias.limit.start_process import StartProcess
from splinebias.regimes.fluctuations import Fluctuations
from splinebias.regimes.minimum_norm import MinimumNorm
from splinebias.studies.results import Study, StudyGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from splinebias.training.train import Training

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = OKABE_ITO = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)

_SAMPLES = 601  # points of a curve, besides its knots
_PALE = 0.2  # opacity of predicted bands that are coloured
_POINTS: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "none", "capsize": 2.0}
_ERROR: dict[str, Any] = {"xscale": "log", "yscale": "log", "xlabel": "width $n$", "ylabel": r"error $\sup\,|f_n - f|$"}


def plot(result: Any, ax: Axes | None = None) -> Axes:
    """The picture of a prediction, start process, training, diagnosis, least norm, fluctuations, study or initialization.

    Those, and more, are in `splinebias.plots`.

    Raises
    ------
    DataError
        For anything else.
    """
    pictures: dict[type, Callable[..., Axes]] = {
        Prediction: plot_prediction,
        StartProcess: plot_start_process,
        Diagnosis: plot_diagnosis,
        MinimumNorm: plot_minimum_norm,
        Fluctuations: plot_fluctuations,
        Study: plot_study,
        StudyGrid: plot_grid,
        Initialization: plot_curvature_penalty,
    }
    training = sys.modules.get("splinebias.training.train")  # a Training exists only if this is loaded; it would load torch
    if training is not None:
        pictures[training.Training] = plot_training
    for kind, picture in pictures.items():
        if isinstance(result, kind):
            return picture(result, ax)
    names = ", ".join(sorted(kind.__name__ for kind in pictures))
    raise DataError(f"`result` must have a picture, as these have: Training, {names}; got {type(result).__name__}")


def plot_prediction(
    prediction: Prediction, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The infinite-width limit, or the function at the finite time that was asked for, and the data.

    Parameters
    ----------
    prediction : Prediction
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    interval : (float, float), optional
        Abscissae; None: the span of the data and a quarter of it more on either side.
    **line
        Passed to ``Axes.plot`` for the curve.
    """
    time = prediction.stats.get("time", np.inf)
    label = "infinite-width limit" if np.isinf(time) else f"infinite width, time {time:.4g}"
    style: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 1.2, "label": label} | line
    ends = prediction.problem.default_interval if interval is None else check_interval(interval)
    return _curve_and_data(prediction.function, prediction.problem.data, ax, ends, style)


def plot_training(
    run: Training, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The trained network, exact between its breakpoints, and the data; arguments as in `plot_prediction`.

    It is thick and lies below predictions, so that both show where they coincide.
    """
    style: dict[str, Any] = {"color": BLUE, "linewidth": 2.5, "zorder": 1.9, "label": f"network, width {run.width}"} | line
    ends = run.problem.default_interval if interval is None else check_interval(interval)
    return _curve_and_data(run.function, run.problem.data, ax, ends, style)


def plot_minimum_norm(
    least: MinimumNorm, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The function of least norm and the data; with free biases, a pale area that all minimizers lie in.

    Arguments are as in `plot_prediction`.
    """
    lo, hi = least.data.span
    ends = (lo - 0.25 * (hi - lo), hi + 0.25 * (hi - lo)) if interval is None else check_interval(interval)
    label = "least norm" if least.strength == 0 else f"weight decay, strength {least.strength:.3g}"
    style: dict[str, Any] = {"color": VERMILLION, "linewidth": 1.2, "label": label} | line
    with _drawn_on(ax) as axes:
        if not (least.penalize_bias or least.unique):
            knots = np.union1d(least.lower.knots, least.upper.knots)
            x = np.unique(np.r_[np.linspace(*ends, _SAMPLES), knots[(knots > ends[0]) & (knots < ends[1])]])
            area: dict[str, Any] = {"color": style["color"], "alpha": _PALE, "linewidth": 0, "label": "all minimizers"}
            axes.fill_between(x, least.lower(x), least.upper(x), **area)
        _curve_and_data(least.function, least.data, axes, ends, style)
    return axes


def plot_fluctuations(found: Fluctuations, ax: Axes | None = None, *, width: int = 400, **line: Any) -> Axes:
    """The limit of networks that learn features at each time, and two standard deviations of those of a width around it.

    Parameters
    ----------
    found : Fluctuations
        What to draw, at its points.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    width : int
        The n of the bands.
    **line
        Passed to ``Axes.plot`` for the curves.
    """
    spread = 2 * found.std / math.sqrt(whole_number(width, "width", at_least=1))
    order = np.argsort(found.x)
    x, data = found.x[order], found.problem.data
    with _drawn_on(ax) as axes:
        for number, (time, mean, two) in enumerate(zip(found.times, found.mean[:, order], spread[:, order], strict=True)):
            color = OKABE_ITO[1:][number % 7]
            style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": f"infinite width, time {time:.4g}"} | line
            axes.fill_between(x, mean - two, mean + two, color=style["color"], alpha=_PALE, linewidth=0)
            axes.plot(x, mean, **style)
        axes.plot(data.x, data.y, "o", color=BLACK, markersize=3, label="data")
        axes.set(xlabel="$x$", ylabel=rf"$f$, and 2 std at $n = {width}$")
    return axes


def plot_start_process(
    law: StartProcess, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The mean of a start process and two standard deviations on either side; arguments as in `plot_prediction`."""
    lo, hi = law.problem.default_interval if interval is None else check_interval(interval)
    x = np.unique(np.r_[np.linspace(lo, hi, 401), law.problem.data.x])
    x = x[(x >= lo) & (x <= hi)]
    mean, deviation = law.mean(x), law.std(x)
    with _drawn_on(ax) as axes:
        band: dict[str, Any] = {
            "color": GREEN,
            "alpha": 0.25,
            "linewidth": 0,
            "label": "random starts: 2 standard deviations",
        }
        axes.fill_between(x, mean - 2 * deviation, mean + 2 * deviation, **band)
        plot_prediction(law.prediction, axes, interval=(lo, hi), **({"label": "mean over starts"} | line))
    return axes


def plot_diagnosis(found: Diagnosis, ax: Axes | None = None, **line: Any) -> Axes:
    """The parts of the gap between a network and its limit as curves, and the gap itself; keywords go to ``Axes.plot``."""
    lo, hi = found.interval
    known = [np.asarray(getattr(part.function, "knots", [])) for part in found.parts if hasattr(part.function, "knots")]
    x = np.unique(np.concatenate([np.linspace(lo, hi, _SAMPLES), found.problem.data.x, *known]))
    x = x[(x >= lo) & (x <= hi)]
    colors = dict(zip(("start", "sampling", "hidden kernel", "moving features", "unfinished"), OKABE_ITO[1:], strict=False))
    with _drawn_on(ax) as axes:
        total: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "label": f"gap, sup {found.total.sup:.2g}"}
        axes.plot(x, found.total.function(x), **(total | line))
        for part in found.parts:
            style: dict[str, Any] = {"color": colors.get(part.name, PURPLE), "label": f"{part.name}, {part.sup:.2g}"}
            axes.plot(x, part.function(x), **(style | {"linewidth": 1.2} | line))
        axes.plot(found.problem.data.x, np.zeros(found.problem.data.size), "o", color=BLACK, markersize=3, label="_data")
        axes.set(xlabel="$x$", ylabel=r"$f_n - f_\infty$, in parts", xlim=(lo, hi))
    return axes


def plot_study(study: Study, ax: Axes | None = None, **errorbar: Any) -> Axes:
    """The errors of a study against width and its fitted ``constant / sqrt(n)``, before a band of the predicted errors.

    See `plot_errors` and `plot_predicted`.
    """
    with _drawn_on(ax) as axes:
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
    with _drawn_on(ax) as axes:
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
    style = _POINTS | {"label": label} | errorbar
    if not rows.size:
        style["label"] = f"{style['label']} (no error to show)"
    with _drawn_on(ax) as axes:
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

    ax = _axes(ax)
    shown = [part for part in grid.parts if part.rows]
    for number, part in enumerate(shown):
        style = {"color": OKABE_ITO[(number + 1) % len(OKABE_ITO)], "marker": "osD^vP*X"[number % 8]}
        offset = 1.04 ** (number - (len(shown) - 1) / 2)  # keeps apart the markers that belong to one width
        plot_predicted(part, ax, color=style["color"], alpha=_PALE, label=f"_{part.label}")
        plot_errors(part, ax, offset=offset, label=part.label, linestyle="-", linewidth=0.8, markersize=4, **style)
    if shown:
        handles: list[Any]
        handles, labels = ax.get_legend_handles_labels()
        bands = [fill for fill in ax.collections if fill.get_alpha() == _PALE]
        if bands:  # one line for all
            handles, labels = [tuple(bands), *handles], ["predicted: 90 % of networks", *labels]
        ax.legend(handles, labels, handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)})
    return ax


def plot_penalties(study: Study, ax: Axes | None = None, **errorbar: Any) -> Axes:
    """The networks' own curvature penalty over that of the limit against width, with 95 % bootstrap intervals."""
    rows = study.penalties[study.penalties["runs"] > 0]
    reach = np.abs(np.stack([rows["mean_low"], rows["mean_high"]]) - rows["mean"])
    with _drawn_on(ax) as axes:
        axes.errorbar(rows["width"], rows["mean"], yerr=reach, **(_POINTS | {"label": "mean over seeds"} | errorbar))
        if not _has(axes, "limit"):
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
    ax = _axes(ax)
    ends = np.array([np.min(widths), np.max(widths)], dtype=float)
    label = rf"${constant:.3g}\,/\sqrt{{n}}$"
    style: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 1.0, "label": label} | line
    ax.plot(ends, constant / np.sqrt(ends), **style)
    return ax


def plot_curvature_penalty(
    initialization: Initialization, ax: Axes | None = None, *, interval: tuple[float, float] = (-2.0, 2.0), **line: Any
) -> Axes:
    r"""The curvature penalty :math:`1/\zeta(c)` of an initialization, logarithmic; grey background where it is infinite.

    Parameters
    ----------
    initialization : Initialization
        Whose penalty to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    interval : (float, float)
        Breakpoints c, in units of x.
    **line
        Passed to ``Axes.plot``.
    """
    lo, hi = check_interval(interval)
    c = np.linspace(lo, hi, _SAMPLES)
    penalty = initialization.curvature_penalty(c)
    finite = np.isfinite(penalty)
    style: dict[str, Any] = {"color": BLUE, "label": r"$1/\zeta(c)$"} | line
    with _drawn_on(ax) as axes:
        axes.plot(c, np.where(finite, penalty, np.nan), **style)
        axes.set(yscale="log", xlabel="breakpoint $c$", ylabel=r"curvature penalty $1/\zeta$", xlim=(lo, hi))
        if not finite.all():
            bands: dict[str, Any] = {"color": "0.85", "linewidth": 0, "label": "no breakpoints: curvature impossible"}
            axes.fill_between(c, 0, 1, where=~finite, transform=axes.get_xaxis_transform(), **bands)
    return axes


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write `figure` as PNG and as PDF, each atomically and without dates: same figure, same bytes.

    The PNG has the highest of 200, 150, 100 and 72 dots per inch that keeps it below 300 kB.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or Path
        Name without suffix, or with .png or .pdf; its folder must exist.

    Returns
    -------
    tuple of Path
        The PNG and the PDF.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, before anything is drawn.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() in (".png", ".pdf") else path
    png, pdf = (check_writable(stem.with_name(stem.name + suffix)) for suffix in (".png", ".pdf"))
    for dpi in (200, 150, 100, 72):
        pixels = _rendered(figure, "png", dpi=dpi, metadata={"Software": None})
        if len(pixels) < 300_000:
            break
    write_atomically(png, pixels)
    write_atomically(pdf, _rendered(figure, "pdf", metadata={"CreationDate": None}))
    return png, pdf


def _rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    """The content of a picture file."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, **options)
    return content.getvalue()


@contextmanager
def _drawn_on(ax: Axes | None) -> Iterator[Axes]:
    """`ax`, or new axes that get a legend at the end of the block."""
    axes = _axes(ax)
    yield axes
    if ax is None:
        axes.legend()


def _has(ax: Axes, label: str) -> bool:
    """Whether a line of `ax` has this label."""
    return any(line.get_label() == label for line in ax.get_lines())


def _axes(ax: Axes | None) -> Axes:
    """`ax`, or new axes of a new pyplot figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _curve_and_data(
    function: Any,
    data: Dataset,
    ax: Axes | None,
    interval: tuple[float, float],
    style: dict[str, Any],
) -> Axes:
    """The graph of a function, knots included, over the data points; the points are labelled once per axes."""
    (lo, hi), knots = interval, np.asarray(getattr(function, "knots", data.x))
    x = np.unique(np.r_[np.linspace(lo, hi, _SAMPLES), knots[(knots > lo) & (knots < hi)]])
    inside = (data.x >= lo) & (data.x <= hi)
    points: dict[str, Any] = {"color": BLACK, "marker": "o", "markersize": 4, "linestyle": "none", "zorder": 3}
    with _drawn_on(ax) as axes:
        axes.plot(x, function(x), **style)
        axes.plot(data.x[inside], data.y[inside], label="_data" if _has(axes, "data") else "data", **points)
        axes.set(xlabel="$x$", ylabel="$f(x)$", xlim=(lo, hi))
    return axes
