"""Pictures of functions of x: limits, networks, ensembles, functions of least norm, over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias.plots.canvas import (
    Shown,
    View,
    draw_band,
    draw_curve,
    draw_data,
    drawn_on,
    frame,
    places,
    style_of,
    words_of,
)
from splinebias.plots.style import NETWORKS, PALE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.data import Dataset
    from splinebias.finite_width.gap.network_report import NetworkReport
    from splinebias.limit.prediction import Prediction
    from splinebias.regimes.minimum_norm import MinimumNorm
    from splinebias.regimes.network_norm import NetworkNorm
    from splinebias.regimes.sparse_limit import SparseLimit
    from splinebias.rescaling import Restored
    from splinebias.training.ensemble import Ensemble
    from splinebias.training.train import Training


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
        draw_limit(prediction, axes, View.of(prediction.problem.default_interval, interval), line)
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
        draw_function(run.function, run.problem.line_data, axes, interval, shown, line)
    return axes


def plot_restored(
    function: Restored, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """A function of rescaled data in the units of the data, with the data; arguments as in `plot_prediction`."""
    shown = Shown("restored", "fit to rescaled data", words_of(function.problem))
    with drawn_on(ax) as axes:
        draw_function(function, function.problem.line_data, axes, interval, shown, line)
    return axes


def plot_minimum_norm(
    least: MinimumNorm, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The function of least norm and the data; with free biases, a pale area that all minimizers lie in.

    Arguments are as in `plot_prediction`.
    """
    view = View.of(least.data.default_interval, interval)
    label = "least norm" if least.strength == 0 else f"weight decay, strength {least.strength:.3g}"
    with drawn_on(ax) as axes:
        if not (least.penalize_bias or least.unique):
            x, color = view.abscissae(least.lower.knots, least.upper.knots), style_of(axes, "least norm", line)["color"]
            low, high = least.lower(x), least.upper(x)
            draw_band(axes, x, low, high, color=color, alpha=PALE, linewidth=0, label="all minimizers")
            frame(axes, least.data, view, x, low, high)
        draw_function(
            least.function, least.data, axes, interval, Shown("least norm", label, {"norm": str(least.norm)}), line
        )
    return axes


def plot_network_norm(
    found: NetworkNorm, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The function of least norm through a network's values, both norms in the legend; as `plot_minimum_norm`."""
    label = f"norm {found.least.norm:.4g}, the least; that of the network: {found.value:.4g}"
    return plot_minimum_norm(found.least, ax, interval=interval, **({"label": label} | line))


def plot_report(
    report: NetworkReport, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """A network whose training is not known, thick, and the limit of networks that start at zero; as `plot_prediction`."""
    data, view = report.problem.line_data, View.of(report.interval, interval)  # refuses several inputs
    shown = Shown("network", f"network, width {report.width}", words_of(report.problem))
    with drawn_on(ax) as axes:
        draw_function(report.function, data, axes, view, shown, line)
        draw_limit(report.prediction, axes, view, {})
    return axes


def plot_sparse_limit(
    sparse: SparseLimit, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """A function that costs least as p goes to 1, and the data; arguments as in `plot_prediction`."""
    shown = Shown("sparse limit", "limit as p goes to 1", words_of(sparse.problem))
    with drawn_on(ax) as axes:
        draw_function(sparse.function, sparse.problem.line_data, axes, interval, shown, line)
    return axes


def plot_ensemble(
    ensemble: Ensemble, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The first 20 networks of an ensemble as thin lines, a colour per potential, and the data; as `plot_prediction`."""
    view = View.of(ensemble[0].problem.default_interval, interval)
    potentials = list(dict.fromkeys(str(run.problem.potential) for run in ensemble))
    few = ensemble[:: max(1, -(-len(ensemble) // 20))]  # 20 at most
    with drawn_on(ax) as axes:
        labelled = set()
        for run in few:
            number = potentials.index(str(run.problem.potential))
            what = words_of(run.problem)["potential"] if len(potentials) > 1 else f"{len(few)} of {len(ensemble)}"
            label = f"_{what}" if number in labelled else f"networks, width {run.width}: {what}"
            labelled.add(number)
            x = places(run.function, run.problem.line_data, view)
            style = {"color": NETWORKS[number % len(NETWORKS)], "linewidth": 0.7, "alpha": 0.7, "zorder": 1.9}
            draw_curve(axes, x, run(x), style | {"label": label} | plain(line), Shown("ensemble", label, {}))
            frame(axes, run.problem.line_data, view, x, run(x))
        draw_data(axes, ensemble[0].problem.line_data, view)
    return axes


def draw_limit(prediction: Prediction, axes: Axes, view: View, line: dict[str, Any]) -> None:
    """A prediction in the next of the styles of predictions that share axes."""
    time = prediction.stats.get("time", np.inf)
    label = "infinite-width limit" if np.isinf(time) else f"infinite width, time {time:.4g}"
    if "degrees_of_freedom" in prediction.stats:
        label = "smoothing spline"
    words = words_of(prediction.problem) | {"start": "zero start" if prediction.start is None else "from its start function"}
    shown = Shown("prediction", label, words)
    draw_function(prediction.function, prediction.problem.line_data, axes, view, shown, line)


def draw_function(
    function: Any, data: Dataset, axes: Axes, where: View | tuple[float, float] | None, shown: Shown, line: dict[str, Any]
) -> None:
    """The graph of a function, knots included, over the data, labelled once per axes; `where`: a view, or an interval."""
    view = where if isinstance(where, View) else View.of(data.default_interval, where)
    x = places(function, data, view)
    y = np.asarray(function(x))
    draw_curve(axes, x, y, style_of(axes, shown.kind, line), shown)
    frame(axes, data, view, x, y)
    draw_data(axes, data, view)
