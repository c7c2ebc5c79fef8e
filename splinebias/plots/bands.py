"""Pictures of where functions lie: two standard deviations of networks of a width, in training or at the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import whole_number
from splinebias.plots.canvas import Shown, View, draw_band, draw_curve, draw_data, drawn_on, frame, number_of
from splinebias.plots.functions import draw_limit
from splinebias.plots.style import BANDS, OKABE_ITO, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.finite_width.band import ErrorBand
    from splinebias.finite_width.mean_field.fluctuations import Fluctuations
    from splinebias.limit.prediction import Prediction
    from splinebias.limit.start_process import StartProcess


def plot_band(band: ErrorBand, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any) -> Axes:
    """The limit and two standard deviations of networks of a width on either side; arguments as in `plot_prediction`.

    Networks of a width have errors of mean zero and these standard deviations, to leading order: see `error_band`.
    """
    what = f"networks, width {band.width}: 2 standard deviations"
    return _limit_and_band(band.prediction, band.std, what, ax, View.of(band.interval, interval), line)


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
    view = View(float(x[0]), float(x[-1]), whole=True)
    with drawn_on(ax) as axes:
        for number, (time, mean, two) in enumerate(zip(found.times, found.mean[:, order], spread[:, order], strict=True)):
            color, label = OKABE_ITO[1:][number % 7], f"infinite width, time {time:.4g}"
            style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": label} | line
            draw_band(axes, x, mean - two, mean + two, color=style["color"], alpha=PALE, linewidth=0)
            draw_curve(axes, x, mean, style, Shown("fluctuations", label, {}))
            frame(axes, data, view, x, mean - two, mean + two)
        draw_data(axes, data, view)
        axes.set(ylabel=rf"$f$, and 2 std at $n = {width}$")
    return axes


def plot_start_process(
    law: StartProcess, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The mean of a start process and two standard deviations on either side; arguments as in `plot_prediction`."""
    what, view = "random starts: 2 standard deviations", View.of(law.problem.default_interval, interval)
    return _limit_and_band(law.prediction, law.std, what, ax, view, {"label": "mean over starts"} | line)


def _limit_and_band(
    prediction: Prediction, std: Callable[[Any], Any], what: str, ax: Axes | None, view: View, line: dict[str, Any]
) -> Axes:
    """A prediction between two standard deviations."""
    data = prediction.problem.line_data
    x = view.abscissae(data.x, samples=401)
    mean, reach = np.asarray(prediction.function(x)), 2 * std(x)
    with drawn_on(ax) as axes:
        color = BANDS[number_of(axes, "prediction") % len(BANDS)]
        draw_band(axes, x, mean - reach, mean + reach, color=color, alpha=0.25, linewidth=0, label=what)
        frame(axes, data, view, x, mean - reach, mean + reach)
        draw_limit(prediction, axes, view, line)
    return axes
