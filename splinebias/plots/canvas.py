"""Axes for pictures of functions: legends, curves that are told apart, and a range in which the data stay visible."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._array import Array
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.plots.style import DASHES, LOOKS, plain
from splinebias.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES = 601  # points of a curve, besides its knots
_MARK = "_splinebias"  # the attribute of what was drawn here that remembers what it shows
_LETTERS = 48  # of a line of a legend
_ROOM = 0.5  # of the height of what is shown on the data, above and below, for what lies beside them


class View(NamedTuple):
    """Where functions are drawn: between two abscissae, and whether they stay in the frame `whole` there, see `frame`."""

    lo: float
    hi: float
    whole: bool

    @classmethod
    def of(cls, default: Any, interval: tuple[float, float] | None) -> View:
        """The `interval` that was asked for, checked, with all of a function in it; the `default` if that is None."""
        lo, hi = check_interval(default if interval is None else interval)
        return cls(lo, hi, interval is not None)

    def abscissae(self, *known: Any, samples: int = SAMPLES) -> Array:
        """Equal steps, and the points among them that are `known`."""
        x = np.unique(np.concatenate([np.linspace(self.lo, self.hi, samples), *(np.ravel(points) for points in known)]))
        return np.asarray(x[(x >= self.lo) & (x <= self.hi)], dtype=float)


@dataclass(frozen=True)
class Shown:
    """What a curve shows, for the legend: its kind, its label, and in which words curves of that kind may differ."""

    kind: str
    label: str
    words: Mapping[str, str]


def words_of(problem: Problem) -> dict[str, str]:
    """The parts of a problem in words."""
    lo, hi = problem.data.span
    return {
        "data": f"{problem.data.size} points on [{lo:g}, {hi:g}]",
        "initialization": problem.initialization.describe(),
        "activation": str(problem.activation),
        "potential": f"scaled {problem.phi}" if problem.scaled else str(problem.phi),
        "affine": "free affine part" if problem.free else "affine part of the network",
        "parameterization": str(problem.parameterization),
    }


def new_axes(ax: Axes | None) -> Axes:
    """`ax`, or new axes of a new pyplot figure."""
    if ax is not None:
        if not hasattr(ax, "get_lines"):
            raise DataError(f"`ax` must be axes of matplotlib, got {ax!r}; leave it out for new ones")
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


@contextmanager
def drawn_on(ax: Axes | None) -> Iterator[Axes]:
    """`ax`, or new axes that get a legend at the end of the block; a legend that was made here is made again."""
    axes = new_axes(ax)
    yield axes
    legend = axes.get_legend()
    if ax is None or (legend is not None and hasattr(legend, _MARK)):
        setattr(axes.legend(), _MARK, True)


def has(ax: Axes, label: str) -> bool:
    """Whether a line of `ax` has this label."""
    return any(line.get_label() == label for line in ax.get_lines())


def number_of(ax: Axes, kind: str) -> int:
    """How many curves of a kind are on `ax`."""
    return sum(shown.kind == kind for _, shown in _marked(ax))


def places(function: Any, data: Dataset, view: View) -> Array:
    """Points that show a function: equal steps and its knots, or the data if it does not know these."""
    return view.abscissae(getattr(function, "knots", data.x))


def style_of(axes: Axes, kind: str, line: dict[str, Any]) -> dict[str, Any]:
    """How the next curve of a kind looks that shares `axes` with others, but for what `line` says."""
    colors, look = LOOKS[kind]
    number = number_of(axes, kind)
    dashes = {"linestyle": DASHES[number % len(DASHES)]} if kind == "prediction" else {}
    return {"color": colors[number % len(colors)], "linewidth": 1.2} | dashes | look | plain(line)


def draw_curve(axes: Axes, x: Array, y: Array, style: Mapping[str, Any], shown: Shown) -> None:
    """A line, which does not count for the range of the axes; labels say in what the lines of its kind differ."""
    with _uncounted(axes):
        (line,) = axes.plot(x, y, **({"label": shown.label} | dict(style)))
    if "label" not in style:
        setattr(line, _MARK, shown)
        _tell_apart(axes, shown.kind)
    else:
        setattr(line, _MARK, Shown(shown.kind, str(style["label"]), {}))


def draw_band(axes: Axes, x: Array, low: Array, high: Array, **fill: Any) -> None:
    """The region between two functions, which does not count for the range of the axes."""
    with _uncounted(axes):
        axes.fill_between(x, low, high, **fill)


def frame(axes: Axes, data: Dataset, view: View, x: Array, *curves: Array) -> None:
    """Let `curves` at `x` count for the range of the axes: where the view is `whole`, all of them.

    Else what lies beside the data takes at most half the height of what lies among them, above and below: functions
    that extrapolate steeply leave the frame, and do not flatten the data.
    """
    lo, hi = data.span
    values = np.stack(curves)
    low, high = float(values.min()), float(values.max())
    among = (x >= lo) & (x <= hi)
    if not view.whole and among.any():
        inner = np.r_[values[:, among].ravel(), data.y]
        room = _ROOM * (np.ptp(inner) or abs(inner[0]) or 1.0)
        low, high = max(low, float(inner.min() - room)), min(high, float(inner.max() + room))
    axes.update_datalim([(float(x[0]), low), (float(x[-1]), high)])
    axes.autoscale_view()


def draw_data(axes: Axes, data: Dataset, view: View) -> None:
    """Data in view, labelled once per axes, and the names of the axes."""
    inside = (data.x >= view.lo) & (data.x <= view.hi)
    style: dict[str, Any] = {"color": "#000000", "marker": "o", "markersize": 4, "linestyle": "none", "zorder": 3}
    label = "_data" if has(axes, "data") else "data"
    axes.plot(data.x[inside], data.y[inside], **style, label=label)
    axes.set(xlabel="$x$", ylabel="$f(x)$", xlim=(view.lo, view.hi))


@contextmanager
def _uncounted(axes: Axes) -> Iterator[None]:
    """What is drawn in the block does not count for the range of the axes."""
    limits, fresh = axes.dataLim.get_points().copy(), axes.ignore_existing_data_limits
    yield
    axes.dataLim.set_points(limits)
    axes.ignore_existing_data_limits = fresh


def _marked(ax: Axes) -> list[tuple[Any, Shown]]:
    """The lines that were drawn here, and what they show."""
    return [(line, found) for line in ax.get_lines() if isinstance(found := getattr(line, _MARK, None), Shown)]


def _tell_apart(axes: Axes, kind: str) -> None:
    """Labels of all lines of a kind that have no label of their own: what they share, then in what they differ."""
    mine = [(line, shown) for line, shown in _marked(axes) if shown.kind == kind and shown.words]
    names = [name for name in mine[0][1].words if len({shown.words.get(name) for _, shown in mine}) > 1]
    labels = [", ".join([shown.label, *(shown.words[name] for name in names)]) for _, shown in mine]
    for (line, _), label in zip(mine, _numbered(labels), strict=True):
        line.set_label(textwrap.fill(label, _LETTERS))


def _numbered(labels: Sequence[str]) -> list[str]:
    """Labels of which equal ones are numbered."""
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return numbered
