"""Pictures of results that are numbers rather than functions: distances, widths, ratios, directions, spectra, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import points_of, whole_number
from splinebias.errors import DataError
from splinebias.plots.canvas import SAMPLES, View, drawn_on
from splinebias.plots.functions import plot_minimum_norm, plot_training
from splinebias.plots.style import BANDS, BLACK, BLUE, NETWORKS, OKABE_ITO, PALE, POINTS, VERMILLION, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.finite_width.required_width import RequiredWidth
    from splinebias.finite_width.several_inputs.band_of_points import PointsBand
    from splinebias.functions.compare import Comparison
    from splinebias.functions.compare_on_box import BoxComparison
    from splinebias.limit.trajectory.cross_validation import Selection
    from splinebias.regimes.adaptive import AdaptiveMeasures
    from splinebias.regimes.alignment import AlignmentMargin
    from splinebias.studies.agreement import Agreement

_MOST_LINES = 6  # inputs of a box


def plot_comparison(found: Comparison, ax: Axes | None = None, **line: Any) -> Axes:
    """Both functions, and on the right scale their difference f - g, with the place where it is largest.

    Keywords go to ``Axes.plot`` for the difference.
    """
    f, g = _functions(found)
    x = View.of(found.interval, None).abscissae(found.argmax, *(h.knots for h in (f, g) if hasattr(h, "knots")))
    first, second = (np.broadcast_to(np.asarray(h(x), dtype=float), x.shape) for h in (f, g))
    with drawn_on(ax) as axes:
        axes.plot(x, first, color=BLUE, linewidth=2.0, label="$f$")
        axes.plot(x, second, color=BLACK, linestyle="--", linewidth=1.2, label="$g$")
        style: dict[str, Any] = {"color": VERMILLION, "linewidth": 0.9} | plain(line)
        label = style.pop("label", f"$f - g$, right scale; largest {found.sup:.3g}")
        right = axes.twinx()
        right.plot(x, first - second, **style)
        at = int(np.argmin(np.abs(x - found.argmax)))
        right.plot(x[at], (first - second)[at], "o", color=style["color"], markersize=4)
        right.set_ylabel("$f(x) - g(x)$", color=style["color"])
        right.set_zorder(axes.get_zorder() - 1)  # the difference lies below the functions
        axes.patch.set_visible(False)
        axes.plot([], [], label=label, **style)
        axes.set(xlabel="$x$", ylabel="$f(x)$, $g(x)$", xlim=found.interval)
    return axes


def plot_box_comparison(found: BoxComparison, ax: Axes | None = None, **line: Any) -> Axes:
    """The difference f - g on the lines through its largest value along each of the first six inputs.

    Abscissae are shares of the side of the box. Keywords go to ``Axes.plot``.
    """
    f, g = _functions(found)
    share = np.linspace(0, 1, SAMPLES)
    with drawn_on(ax) as axes:
        for k, (lo, hi) in enumerate(found.box[:_MOST_LINES]):
            place = (found.argmax[k] - lo) / (hi - lo)
            at = np.union1d(share, place)
            x = np.tile(found.argmax, (at.size, 1))
            x[:, k] = lo + (hi - lo) * at
            delta = np.broadcast_to(np.asarray(f(x), dtype=float) - np.asarray(g(x), dtype=float), at.shape)
            style: dict[str, Any] = {"color": NETWORKS[k], "linewidth": 1.2, "label": f"along input {k + 1}"} | plain(line)
            axes.plot(at, delta, **style)
            axes.plot(place, delta[np.searchsorted(at, place)], "o", color=style["color"], markersize=4)
        axes.set(xlabel="share of the side of the box", ylabel=r"$f - g$", xlim=(0, 1))
    return axes


def plot_required_width(found: RequiredWidth, ax: Axes | None = None, **line: Any) -> Axes:
    r"""The error that networks stay below with this probability against their width, :math:`\propto n^{-1/2}`.

    Pale: the Monte-Carlo interval of the quantile. Point: the width asked for. Keywords go to ``Axes.plot``.
    """
    widths = np.geomspace(found.width / 30, found.width * 30, 61)
    with drawn_on(ax) as axes:
        label = f"error in {found.probability:.3g} of the networks"
        style: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 1.2, "label": label} | plain(line)
        low, middle, high = (found.sup_error * np.sqrt(n / widths) for n in (found.low, found.width, found.high))
        axes.fill_between(widths, low, high, color=style["color"], alpha=PALE, linewidth=0)
        axes.plot(widths, middle, **style)
        axes.plot(found.width, found.sup_error, "o", color=BLUE, label=f"{found.sup_error:.3g} at width {found.width}")
        axes.set(xscale="log", yscale="log", xlabel="width $n$", ylabel=r"$\sup|f_n - f|$")
    return axes


def plot_points_band(band: PointsBand, ax: Axes | None = None, *, along: int = 0, through: Any = None, **line: Any) -> Axes:
    """The limit and two standard deviations of networks around it, on a line through the box.

    Parameters
    ----------
    band : PointsBand
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    along : int
        The input that varies over the box, from 0.
    through : array_like, shape (d,), optional
        A point of the line; None: the centre of the box.
    **line
        Passed to ``Axes.plot`` for the limit.

    Raises
    ------
    DataError
        For an `along` that is no input, and a `through` that is no point.
    """
    inputs = len(band.box)
    along = whole_number(along, "along")
    if along >= inputs:
        raise DataError(f"`along` must be an input from 0 to {inputs - 1}, got {along}")
    centre = band.box.mean(axis=1) if through is None else points_of(through, inputs, "through")
    if centre.ndim != 1:
        raise DataError(f"`through` must be one point of shape ({inputs},), got shape {centre.shape}")
    x = np.tile(centre, (201, 1))
    lo, hi = map(float, band.box[along])
    x[:, along] = np.linspace(lo, hi, 201)
    middle, spread = band.prediction(x), band.std(x)
    where = ", ".join(f"$x_{{{k + 1}}} = {value:.3g}$" for k, value in enumerate(centre) if k != along)
    with drawn_on(ax) as axes:
        style: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 1.2, "label": f"limit at {where}"}
        label = f"two deviations, width {band.width}"
        low, high = middle - 2 * spread, middle + 2 * spread
        axes.fill_between(x[:, along], low, high, color=BANDS[0], alpha=PALE, linewidth=0, label=label)
        axes.plot(x[:, along], middle, **(style | plain(line)))
        axes.set(xlabel=f"$x_{{{along + 1}}}$", ylabel="$f(x)$", xlim=(lo, hi))
    return axes


def plot_agreement(found: Agreement, ax: Axes | None = None, **points: Any) -> Axes:
    """Measured over predicted errors by width, with their 95 % intervals, and pale what counts as agreement.

    Keywords go to ``Axes.errorbar``.
    """
    value, low, high = (np.array([getattr(ratio, name) for ratio in found.ratios]) for name in ("value", "low", "high"))
    known = np.isfinite(low) & np.isfinite(high)
    reach = np.where(known, np.abs([value - low, high - value]), 0.0)
    with drawn_on(ax) as axes:
        axes.axhspan(0.9, 1.1, color=BANDS[0], alpha=PALE, linewidth=0, label="within 10 % of the prediction")
        axes.axhline(1.0, color=BLACK, linestyle="--", linewidth=1.0)
        axes.errorbar(found.widths, value, yerr=reach, **(POINTS | {"label": "measured/predicted"} | plain(points)))
        axes.set(xscale="log", xlabel="width $n$", ylabel="measured/predicted error")
        axes.set_xticks(found.widths, [str(width) for width in found.widths])
        axes.minorticks_off()
    return axes


def plot_adaptive_measures(
    found: AdaptiveMeasures, ax: Axes | None = None, *, interval: tuple[float, float] | None = None, **line: Any
) -> Axes:
    """The network over the functions of least curvature through its own values; as `plot_training`."""
    ends = found.run.problem.default_interval if interval is None else interval
    with drawn_on(ax) as axes:
        label = f"least curvature; network: {found.curvature_ratio:.3g} times"
        plot_minimum_norm(found.fitted, axes, interval=ends, label=label)
        plot_training(found.run, axes, interval=ends, **line)
    return axes


def plot_alignment_margin(found: AlignmentMargin, ax: Axes | None = None, **line: Any) -> Axes:
    r"""The share of pairs of points whose :math:`y_i y_k \cos(x_i, x_k)` is below a value; the theorem wants none <= 0.

    Keywords go to ``Axes.plot``.
    """
    cosines = found.signed_cosines
    shares = np.arange(1, cosines.size + 1) / cosines.size
    with drawn_on(ax) as axes:
        style: dict[str, Any] = {"color": BLUE, "linewidth": 1.2, "label": f"{cosines.size} pairs, least {found.margin:.3g}"}
        axes.step(np.r_[cosines[:1], cosines], np.r_[0.0, shares], where="post", **(style | plain(line)))
        label = f"pairs that violate the hypothesis: {found.violated:.3g}"
        axes.axvspan(-1, 0, color=VERMILLION, alpha=PALE, linewidth=0, label=label)
        axes.set(xlim=(-1.05, 1.05), ylim=(-0.02, 1.02), xlabel=r"$y_i y_k \cos(x_i, x_k)$", ylabel="share of pairs below")
    return axes


def plot_selection(found: Selection, ax: Axes | None = None, **line: Any) -> Axes:
    """The score of generalized cross-validation over the training time, or the regularization, and what was chosen.

    Keywords go to ``Axes.plot``.
    """
    order = np.argsort(found.tried)
    with drawn_on(ax) as axes:
        style: dict[str, Any] = {"color": OKABE_ITO[0], "linestyle": "--", "linewidth": 1.2, "label": "score"} | plain(line)
        axes.plot(found.tried[order], found.scores[order], **style)
        label = f"chosen: {found.value:.4g}"
        if 0 < found.value < np.inf:
            axes.plot(found.value, found.score, "o", color=BLUE, label=label)
        else:
            axes.axhline(found.score, color=BLUE, linewidth=0.8, label=label)
        known = found.scores[np.isfinite(found.scores)]
        positive = known.size > 0 and known.min() > 0
        axes.set(xscale="log", xlabel=found.what, ylabel="cross-validation score", yscale="log" if positive else "linear")
    return axes


def _functions(found: Comparison | BoxComparison) -> tuple[Any, Any]:
    """The functions that were compared, or a DataError."""
    if found.functions is None:
        raise DataError(f"the picture of {found!r} needs the functions, which files and processes drop; compare them again")
    return found.functions
