r"""Pictures of results: one function per kind of result, and `plot` that knows which.

Every function draws on `ax` (on new axes if that is None), labels what it draws, returns the axes and shows nothing. A
legend is added on new axes only, and kept up to date when more is drawn on them: whoever brings axes combines drawings and
places one legend for all of them. Extra keywords go to matplotlib and override color, label and so on. What is predicted is
dashed, and black unless there are several, or a pale band; what is measured is coloured and solid. Where several functions
share axes, labels say in what they differ. Unless an interval is given, functions that extrapolate steeply leave the frame
beside the data rather than flatten them. Colours are those of Okabe & Ito (2008), told apart with
every kind of colour blindness; text and lines of a figure are dimensionless unless the data have units.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._arguments import whole_number
from splinebias._array import Array
from splinebias._canvas import (
    SAMPLES,
    Shown,
    default_places,
    draw_band,
    draw_curve,
    draw_data,
    drawn_on,
    frame,
    has,
    new_axes,
    number_of,
    places,
    words_of,
)
from splinebias._files import check_writable, write_atomically
from splinebias.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from splinebias.data import Dataset
    from splinebias.finite_width.band import ErrorBand
    from splinebias.finite_width.diagnosis import Diagnosis
    from splinebias.initialization.initialization import Initialization
    from splinebias.limit.prediction import Prediction
    from splinebias.limit.start_process import StartProcess
    from splinebias.limit.trajectory.path import Path as TrainingPath
    from splinebias.regimes.large_bias import BiasKernel
    from splinebias.regimes.large_biases.descent import LargeBias
    from splinebias.regimes.large_biases.widths import LargeBiasWidths
    from splinebias.regimes.mean_field.fluctuations import Fluctuations
    from splinebias.regimes.minimum_norm import MinimumNorm
    from splinebias.regimes.sparse_limit import SparseLimit
    from splinebias.rescaling import Restored
    from splinebias.studies.results import Study, StudyGrid
    from splinebias.training.ensemble import Ensemble
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

_LIMITS = (BLACK, VERMILLION, GREEN, PURPLE, SKY)  # of predictions that share axes, and their dashes
_DASHES: tuple[Any, ...] = ("--", (0, (1, 1.3)), "-.", (0, (5, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2)))
_NETWORKS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
_NORMS = (VERMILLION, PURPLE, SKY, GREEN)
_BANDS = (GREEN, SKY, ORANGE, PURPLE)
_MOST_LINES = 20  # networks of an ensemble, and times of a path that have a label of their own
_PALE = 0.2  # opacity of predicted bands that are coloured
_POINTS: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "none", "capsize": 2.0}
_ERROR: dict[str, Any] = {"xscale": "log", "yscale": "log", "xlabel": "width $n$", "ylabel": r"error $\sup\,|f_n - f|$"}


def plot(result: Any, ax: Axes | None = None, **options: Any) -> Axes:
    """The picture of `result`: `plot_prediction`, `plot_training`, `plot_path`, `plot_band`, `plot_study` and so on.

    Those, and more, are in `splinebias.plots`; results call this as their method `plot`.

    Parameters
    ----------
    result : Prediction, Training, Path, ErrorBand, StartProcess, Diagnosis, Ensemble, Study, Initialization, ...
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    **options
        Those of the function for this kind of result.

    Raises
    ------
    DataError
        For anything else.
    """
    for kind in type(result).__mro__:
        if kind.__module__.startswith("splinebias.") and kind.__name__ in _PICTURES:
            return _PICTURES[kind.__name__](result, ax, **options)
    *kinds, last = _PICTURES
    raise DataError(f"`result` must be a {', '.join(kinds)} or {last}, got {type(result).__name__}")


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
        Abscissae; None: the span of the data and a quarter of it more on either side, in a frame in which the data keep at
        least half the height.
    **line
        Passed to ``Axes.plot`` for the curve.
    """
    with drawn_on(ax) as axes:
        _limit_and_data(prediction, axes, default_places(prediction.problem, interval), line, whole=interval is not None)
    return axes


def plot_training(
    run: Training, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The trained network, exact between its breakpoints, and the data; arguments as in `plot_prediction`.

    It is thick and lies below predictions, so that both show where they coincide.
    """
    words = words_of(run.problem) | {"seed": f"seed {run.seed}"}
    shown = Shown("network", f"network, width {run.width}", words)
    with drawn_on(ax) as axes:
        color = _NETWORKS[number_of(axes, "network") % len(_NETWORKS)]
        style: dict[str, Any] = {"color": color, "linewidth": 2.5, "zorder": 1.9} | _plain(line)
        where = default_places(run.problem, interval)
        _curve_and_data(run.function, run.problem.line_data, axes, where, style, shown, whole=interval is not None)
    return axes


def plot_restored(
    function: Restored, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """A function of rescaled data in the units of the data, with the data; arguments as in `plot_prediction`."""
    problem = function.problem
    with drawn_on(ax) as axes:
        number = number_of(axes, "restored")
        style: dict[str, Any] = {"color": _NETWORKS[number % len(_NETWORKS)], "linewidth": 1.2} | _plain(line)
        where, shown = default_places(problem, interval), Shown("restored", "fit to rescaled data", words_of(problem))
        _curve_and_data(function, problem.line_data, axes, where, style, shown, whole=interval is not None)
    return axes


def plot_minimum_norm(
    least: MinimumNorm, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The function of least norm and the data; with free biases, a pale area that all minimizers lie in.

    Arguments are as in `plot_prediction`.
    """
    ends = least.data.default_interval if interval is None else check_interval(interval)
    label = "least norm" if least.strength == 0 else f"weight decay, strength {least.strength:.3g}"
    shown = Shown("least norm", label, {"norm": str(least.norm)})
    with drawn_on(ax) as axes:
        color = _NORMS[number_of(axes, "least norm") % len(_NORMS)]
        style: dict[str, Any] = {"color": color, "linewidth": 1.2} | _plain(line)
        if not (least.penalize_bias or least.unique):
            knots = np.union1d(least.lower.knots, least.upper.knots)
            x = np.unique(np.r_[np.linspace(*ends, SAMPLES), knots[(knots > ends[0]) & (knots < ends[1])]])
            low, high = least.lower(x), least.upper(x)
            draw_band(axes, x, low, high, color=style["color"], alpha=_PALE, linewidth=0, label="all minimizers")
            frame(axes, least.data, x, low, high, whole=interval is not None)
        _curve_and_data(least.function, least.data, axes, ends, style, shown, whole=interval is not None)
    return axes


def plot_sparse_limit(
    sparse: SparseLimit, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """A function that costs least as p goes to 1, and the data; arguments as in `plot_prediction`."""
    shown = Shown("sparse limit", "limit as p goes to 1", words_of(sparse.problem))
    with drawn_on(ax) as axes:
        color = _NORMS[number_of(axes, "sparse limit") % len(_NORMS)]
        style: dict[str, Any] = {"color": color, "linestyle": "--", "linewidth": 1.2} | _plain(line)
        where = default_places(sparse.problem, interval)
        _curve_and_data(sparse.function, sparse.problem.line_data, axes, where, style, shown, whole=interval is not None)
    return axes


def plot_ensemble(
    ensemble: Ensemble, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The first 20 networks of an ensemble as thin lines, a colour per potential, and the data; as `plot_prediction`."""
    lo, hi = default_places(ensemble[0].problem, interval)
    potentials = list(dict.fromkeys(str(run.problem.potential) for run in ensemble))
    few = ensemble[:: max(1, -(-len(ensemble) // _MOST_LINES))]
    with drawn_on(ax) as axes:
        labelled = set()
        for run in few:
            number = potentials.index(str(run.problem.potential))
            what = words_of(run.problem)["potential"] if len(potentials) > 1 else f"{len(few)} of {len(ensemble)}"
            label = f"_{what}" if number in labelled else f"networks, width {run.width}: {what}"
            labelled.add(number)
            x = places(run.function, run.problem.line_data, lo, hi)
            style = {"color": _NETWORKS[number % len(_NETWORKS)], "linewidth": 0.7, "alpha": 0.7, "zorder": 1.9}
            draw_curve(axes, x, run(x), style | {"label": label} | _plain(line), Shown("ensemble", label, {}))
            frame(axes, run.problem.line_data, x, run(x), whole=interval is not None)
        draw_data(axes, ensemble[0].problem.line_data, lo, hi)
    return axes


def plot_path(
    path: TrainingPath, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """What infinitely wide networks compute at the times of a path, pale first, dark last; as `plot_prediction`.

    The limit, if it is among the times, is black and dashed. Of more than 8 times about 6 are labelled.
    """
    lo, hi = default_places(path.problem, interval)
    x = places(path.functions[0], path.problem.line_data, lo, hi)
    order = np.argsort(path.times, kind="stable")
    finite = [i for i in order if np.isfinite(path.times[i])]
    every = 1 if len(finite) <= 8 else -(-len(finite) // 6)
    with drawn_on(ax) as axes:
        colors = _blues(len(finite))
        values = path(x)
        for rank, i in enumerate(finite):
            label = f"time {path.times[i]:.4g}"
            style = {"color": colors[rank], "linewidth": 1.2, "label": label if rank % every == 0 else f"_{label}"}
            draw_curve(axes, x, values[i], style | _plain(line), Shown("path", label, {}))
        for i in order[len(finite) :][:1]:
            style = {"color": BLACK, "linestyle": "--", "linewidth": 1.2, "label": "infinite-width limit"}
            draw_curve(axes, x, values[i], style | _plain(line), Shown("prediction", "infinite-width limit", {}))
        frame(axes, path.problem.line_data, x, *values, whole=interval is not None)
        draw_data(axes, path.problem.line_data, lo, hi)
    return axes


def plot_band(band: ErrorBand, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any) -> Axes:
    """The limit and two standard deviations of networks of a width on either side; arguments as in `plot_prediction`.

    Networks of a width have errors of mean zero and these standard deviations, to leading order: see `error_band`.
    """
    what = f"networks, width {band.width}: 2 standard deviations"
    where = band.interval if interval is None else interval
    return _limit_and_band(band.prediction, band.std, what, ax, where, line, whole=interval is not None)


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
    x, data = found.x[order], found.problem.line_data
    with drawn_on(ax) as axes:
        for number, (time, mean, two) in enumerate(zip(found.times, found.mean[:, order], spread[:, order], strict=True)):
            color, label = OKABE_ITO[1:][number % 7], f"infinite width, time {time:.4g}"
            style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": label} | line
            draw_band(axes, x, mean - two, mean + two, color=style["color"], alpha=_PALE, linewidth=0)
            draw_curve(axes, x, mean, style, Shown("fluctuations", label, {}))
            frame(axes, data, x, mean - two, mean + two, whole=True)
        draw_data(axes, data, float(x[0]), float(x[-1]))
        axes.set(ylabel=rf"$f$, and 2 std at $n = {width}$")
    return axes


def plot_start_process(
    law: StartProcess, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The mean of a start process and two standard deviations on either side; arguments as in `plot_prediction`."""
    what, where = "random starts: 2 standard deviations", default_places(law.problem, interval)
    line = {"label": "mean over starts"} | line
    return _limit_and_band(law.prediction, law.std, what, ax, where, line, whole=interval is not None)


def plot_diagnosis(found: Diagnosis, ax: Axes | None = None, **line: Any) -> Axes:
    """The parts of the gap between a network and its limit as curves, and the gap itself; keywords go to ``Axes.plot``."""
    lo, hi = found.interval
    known = [np.asarray(getattr(part.function, "knots", [])) for part in found.parts if hasattr(part.function, "knots")]
    x = np.unique(np.concatenate([np.linspace(lo, hi, SAMPLES), found.problem.line_data.x, *known]))
    x = x[(x >= lo) & (x <= hi)]
    colors = dict(zip(("start", "sampling", "hidden kernel", "moving features", "unfinished"), OKABE_ITO[1:], strict=False))
    with drawn_on(ax) as axes:
        total: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "label": f"gap, sup {found.total.sup:.2g}"}
        axes.plot(x, found.total.function(x), **(total | line))
        for part in found.parts:
            style: dict[str, Any] = {"color": colors.get(part.name, PURPLE), "label": f"{part.name}, {part.sup:.2g}"}
            axes.plot(x, part.function(x), **(style | {"linewidth": 1.2} | line))
        axes.plot(
            found.problem.line_data.x, np.zeros(found.problem.line_data.size), "o", color=BLACK, markersize=3, label="_data"
        )
        axes.set(xlabel="$x$", ylabel=r"$f_n - f_\infty$, in parts", xlim=(lo, hi))
    return axes


def plot_bias_kernel(kernel: BiasKernel, ax: Axes | None = None, **line: Any) -> Axes:
    """The eigenvalues of the kernel of networks with large biases, largest first. Keywords go to ``Axes.plot``."""
    values = np.maximum(kernel.eigenvalues[::-1], np.finfo(float).tiny)
    with drawn_on(ax) as axes:
        number = _labelled(axes)
        style: dict[str, Any] = {"color": _NETWORKS[number % len(_NETWORKS)], "marker": "o", "linewidth": 0.8}
        style |= {"label": f"$B = {kernel.bias:g}$"} | line
        axes.plot(np.arange(1, values.size + 1), values, **style)
        axes.set(xlabel="number", ylabel="eigenvalue of $H$", yscale="log")
    return axes


def plot_large_bias(found: LargeBias, ax: Axes | None = None, **line: Any) -> Axes:
    """The size of the residual over that at the start, against time in units of the slowest mode; predicted, dashed.

    Keywords go to ``Axes.plot`` for the measured curve.
    """
    times = found.times * max(found.kernel.smallest, 0.0) / len(found.kernel.matrix)
    sizes = [np.linalg.norm(r, axis=1) / np.linalg.norm(found.residuals[0]) for r in (found.residuals, found.predicted)]
    with drawn_on(ax) as axes:
        number = _labelled(axes)
        color = _NETWORKS[number % len(_NETWORKS)]
        label = f"$B = {found.kernel.bias:g}$, $m = {found.start.width:,}$"
        style: dict[str, Any] = {"color": color, "linewidth": 1.4, "label": label} | line
        axes.plot(times, sizes[0], **style)
        axes.plot(times, sizes[1], color=color, linestyle="--", linewidth=0.9, label="_predicted")
        axes.set(xlabel=r"time $t \lambda_{\min}/M$", ylabel="$|r|/|r_0|$; predicted: dashed")
    return axes


def plot_large_bias_widths(found: LargeBiasWidths, ax: Axes | None = None, **line: Any) -> Axes:
    r"""Measured widths against B, beside :math:`1/\Phi(-B)` and :math:`e^{B^2}`, scaled to the first of them."""
    with drawn_on(ax) as axes:
        known = np.isfinite(found.widths)
        style: dict[str, Any] = {"color": BLUE, "marker": "o", "linewidth": 1.2, "label": "measured"}
        axes.plot(found.biases[known], found.widths[known], **style | line)
        if known.any():
            first = int(np.flatnonzero(known)[0])
            guides = {r"$1/\Phi(-B)$": 1 / found.active_fractions, "$e^{B^2}$": np.exp(found.biases**2)}
            for (name, guide), dashes in zip(guides.items(), _DASHES, strict=False):
                scaled = guide * found.widths[first] / guide[first]
                axes.plot(found.biases, scaled, color=BLACK, linestyle=dashes, linewidth=0.8, label=name)
        axes.set(xlabel="bias $B$", ylabel=f"width within {found.distance:g}", yscale="log")
    return axes


def _labelled(axes: Axes) -> int:
    """How many lines with a label are on the axes."""
    return sum(not str(line.get_label()).startswith("_") for line in axes.get_lines())


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
    style = _POINTS | {"label": label} | errorbar
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
    with drawn_on(ax) as axes:
        axes.errorbar(rows["width"], rows["mean"], yerr=reach, **(_POINTS | {"label": "mean over seeds"} | errorbar))
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
    c = np.linspace(lo, hi, SAMPLES)
    penalty = initialization.curvature_penalty(c)
    finite = np.isfinite(penalty)
    style: dict[str, Any] = {"color": BLUE, "label": r"$1/\zeta(c)$"} | line
    with drawn_on(ax) as axes:
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


def html_of(result: Any) -> str:
    """A result as HTML for notebooks: what it prints, over a picture of some kilobytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    plot(result, axes)
    if axes.get_legend() is None:
        axes.legend(fontsize="x-small")
    content = base64.b64encode(_rendered(figure, "png", dpi=90, metadata={"Software": None})).decode("ascii")
    advice = getattr(result, "advice", "") if type(result).__name__ == "Prediction" else ""
    text = escape("\n".join(filter(None, [str(result), advice])))
    return (
        f'<div><pre style="white-space: pre-wrap">{text}</pre>'
        f'<img alt="{escape(type(result).__name__)}" src="data:image/png;base64,{content}"></div>'
    )


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """Options of a line under their full names: ``lw`` is ``linewidth``."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return dict(normalize_kwargs(line, Line2D))


def _blues(count: int) -> list[Any]:
    """Colours from pale to dark."""
    from matplotlib import colormaps

    return [colormaps["viridis_r"](share) for share in np.linspace(0.1, 0.95, max(count, 1))]


def _limit_and_data(
    prediction: Prediction, axes: Axes, where: tuple[float, float], line: dict[str, Any], *, whole: bool
) -> None:
    """A prediction in the next of the styles of predictions that share axes."""
    time = prediction.stats.get("time", np.inf)
    label = "infinite-width limit" if np.isinf(time) else f"infinite width, time {time:.4g}"
    words = words_of(prediction.problem) | {"start": "zero start" if prediction.start is None else "from its start function"}
    number = number_of(axes, "prediction")
    color, dashes = _LIMITS[number % len(_LIMITS)], _DASHES[number % len(_DASHES)]
    style: dict[str, Any] = {"color": color, "linestyle": dashes, "linewidth": 1.2} | _plain(line)
    shown = Shown("prediction", label, words)
    _curve_and_data(prediction.function, prediction.problem.line_data, axes, where, style, shown, whole=whole)


def _curve_and_data(
    function: Any,
    data: Dataset,
    axes: Axes,
    where: tuple[float, float],
    style: dict[str, Any],
    shown: Shown,
    *,
    whole: bool,
) -> None:
    """The graph of a function, knots included, over the data points; the points are labelled once per axes."""
    lo, hi = where
    x = places(function, data, lo, hi)
    y = np.asarray(function(x))
    draw_curve(axes, x, y, style, shown)
    frame(axes, data, x, y, whole=whole)
    draw_data(axes, data, lo, hi)


def _limit_and_band(
    prediction: Prediction,
    std: Callable[[Any], Any],
    what: str,
    ax: Axes | None,
    where: tuple[float, float],
    line: dict[str, Any],
    *,
    whole: bool,
) -> Axes:
    """A prediction between two standard deviations, on the interval `where`."""
    lo, hi = check_interval(where)
    data = prediction.problem.line_data.x
    x = np.unique(np.r_[np.linspace(lo, hi, 401), data[(data >= lo) & (data <= hi)]])
    mean, reach = np.asarray(prediction.function(x)), 2 * std(x)
    with drawn_on(ax) as axes:
        color = _BANDS[number_of(axes, "prediction") % len(_BANDS)]
        draw_band(axes, x, mean - reach, mean + reach, color=color, alpha=0.25, linewidth=0, label=what)
        frame(axes, prediction.problem.line_data, x, mean - reach, mean + reach, whole=whole)
        _limit_and_data(prediction, axes, (lo, hi), line, whole=whole)
    return axes


_PICTURES: dict[str, Callable[..., Axes]] = {  # by name: whoever draws one kind of result loads no other
    "Prediction": plot_prediction,
    "StartProcess": plot_start_process,
    "Training": plot_training,
    "Restored": plot_restored,
    "Ensemble": plot_ensemble,
    "Path": plot_path,
    "ErrorBand": plot_band,
    "Diagnosis": plot_diagnosis,
    "MinimumNorm": plot_minimum_norm,
    "Fluctuations": plot_fluctuations,
    "SparseLimit": plot_sparse_limit,
    "BiasKernel": plot_bias_kernel,
    "LargeBias": plot_large_bias,
    "LargeBiasWidths": plot_large_bias_widths,
    "Study": plot_study,
    "StudyGrid": plot_grid,
    "Initialization": plot_curvature_penalty,
}
