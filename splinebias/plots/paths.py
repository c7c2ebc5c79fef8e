"""Pictures in an order: functions at times of training or strengths of weight decay; neurons of a small start in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias.plots.canvas import Shown, View, draw_curve, draw_data, drawn_on, frame, places
from splinebias.plots.style import BLACK, BLUE, VERMILLION, from_pale_to_dark, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.limit.trajectory.path import Path
    from splinebias.regimes.small_starts.alignment_flow import Alignment
    from splinebias.regimes.weight_decay import WeightDecayPath


def plot_path(path: Path, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any) -> Axes:
    """What infinitely wide networks compute at the times of a path, pale first, dark last; as `plot_prediction`.

    The limit, if it is among the times, is black and dashed. Of more than 8 times about 6 are labelled.
    """
    data, view = path.problem.line_data, View.of(path.problem.default_interval, interval)
    x = places(path.functions[0], data, view)
    order = np.argsort(path.times, kind="stable")
    finite = [i for i in order if np.isfinite(path.times[i])]
    every = 1 if len(finite) <= 8 else -(-len(finite) // 6)
    with drawn_on(ax) as axes:
        colors = from_pale_to_dark(len(finite))
        values = path(x)
        for rank, i in enumerate(finite):
            label = f"time {path.times[i]:.4g}"
            style = {"color": colors[rank], "linewidth": 1.2, "label": label if rank % every == 0 else f"_{label}"}
            draw_curve(axes, x, values[i], style | plain(line), Shown("path", label, {}))
        for i in order[len(finite) :][:1]:
            style = {"color": BLACK, "linestyle": "--", "linewidth": 1.2, "label": "infinite-width limit"}
            draw_curve(axes, x, values[i], style | plain(line), Shown("prediction", "infinite-width limit", {}))
        frame(axes, data, view, x, *values)
        draw_data(axes, data, view)
    return axes


def plot_weight_decay_path(
    path: WeightDecayPath, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """Fits at strengths of weight decay, from the least-squares line, pale, to an interpolant, dark; as `plot_prediction`.

    Drawn are the fits at up to 8 strengths between the first break and the last, geometrically apart, and at 0.
    """
    view = View.of(path.data.default_interval, interval)
    strengths = [0.0]
    if path.breaks.size and path.breaks[-1] > 0:
        first, last = float(path.breaks[0]), float(path.breaks[-1])
        strengths = [*np.geomspace(first, last, min(8, path.breaks.size)).tolist(), 0.0]
    fits = [path.at(strength).function for strength in strengths]
    x = places(fits[-1], path.data, view)
    with drawn_on(ax) as axes:
        for strength, fit, color in zip(strengths, fits, from_pale_to_dark(len(fits)), strict=True):
            label = f"strength {strength:.3g}"
            style: dict[str, Any] = {"color": color, "linewidth": 1.2, "label": label} | plain(line)
            draw_curve(axes, x, fit(x), style, Shown("weight decay", label, {}))
        frame(axes, path.data, view, x, *(fit(x) for fit in fits))
        draw_data(axes, path.data, view)
    return axes


def plot_alignment(found: Alignment, ax: Axes | None = None, **line: Any) -> Axes:
    """Share of the neurons that are aligned and loss over that at the start, against time.

    Dotted: when the last neuron that aligns does so; dashed: when the loss should have halved, to leading order. Keywords go
    to ``Axes.plot`` for both curves.
    """
    order = np.sort(found.aligned_at[np.isfinite(found.aligned_at)])
    half, due = found.halved_at, found.predicted.halving_time(found.scale, found.loss_function.first_pull)
    end = 1.3 * max(time for time in (found.alignment_time, half, due, found.times[1]) if np.isfinite(time))
    shares = np.searchsorted(order, found.times, side="right") / found.signs.size
    style = plain(line)
    with drawn_on(ax) as axes:
        axes.plot(found.times, shares, **({"color": BLUE, "drawstyle": "steps-post", "label": "neurons aligned"} | style))
        axes.plot(found.times, found.losses / found.losses[0], **({"color": VERMILLION, "label": "loss over first"} | style))
        axes.axvline(found.alignment_time, color=BLUE, linestyle=":", linewidth=1.0, label="_last")
        axes.axvline(due, color=BLACK, linestyle="--", linewidth=1.0, label="predicted: loss halved")
        axes.set(xlabel="time $t$", ylabel="share", xlim=(0, end), ylim=(-0.03, 1.08))
    return axes
