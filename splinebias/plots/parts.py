"""Pictures of laws of weights and biases, of what an error consists of, and of how far units move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias.plots.canvas import SAMPLES, View, drawn_on
from splinebias.plots.style import BLACK, BLUE, LIMITS, OKABE_ITO, PURPLE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.finite_width.gap.diagnosis import Diagnosis
    from splinebias.finite_width.movement.laziness import Laziness
    from splinebias.initialization.initialization import Initialization


def plot_diagnosis(found: Diagnosis, ax: Axes | None = None, **line: Any) -> Axes:
    """The parts of the gap between a network and its limit as curves, and the gap itself; keywords go to ``Axes.plot``."""
    data = found.problem.line_data
    x = View.of(found.interval, None).abscissae(data.x, *(getattr(part.function, "knots", ()) for part in found.parts))
    colors = dict(zip(("start", "sampling", "hidden kernel", "moving features", "unfinished"), OKABE_ITO[1:], strict=False))
    with drawn_on(ax) as axes:
        total: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "label": f"gap, sup {found.total.sup:.2g}"}
        axes.plot(x, found.total.function(x), **(total | plain(line)))
        for part in found.parts:
            style: dict[str, Any] = {"color": colors.get(part.name, PURPLE), "label": f"{part.name}, {part.sup:.2g}"}
            axes.plot(x, part.function(x), **(style | {"linewidth": 1.2} | plain(line)))
        axes.plot(data.x, np.zeros(data.size), "o", color=BLACK, markersize=3, label="_data")
        axes.set(xlabel="$x$", ylabel=r"$f_n - f_\infty$, in parts", xlim=found.interval)
    return axes


def plot_laziness(found: Laziness, ax: Axes | None = None, **line: Any) -> Axes:
    r"""How far hidden weights are predicted to move: the share of units that move less, against the relative movement.

    A tenth of :math:`n^{-1/2}`, below which random fluctuations hide what all of them do together, is dotted. Where leading
    order does not hold, movements are bounds. Keywords go to ``Axes.plot``.
    """
    shares = np.linspace(0.005, 0.995, 199)
    moved = np.array([found.quantile(share) for share in shares.tolist()])
    drawn = moved > 0  # units that no datum activates do not move
    with drawn_on(ax) as axes:
        color = LIMITS[len([curve for curve in axes.get_lines() if curve.get_linestyle() == "--"]) % len(LIMITS)]
        label = f"width {found.width}, together {found.overall:.2g}" + ("" if found.holds else ": bounds")
        style: dict[str, Any] = {"color": color, "linestyle": "--", "linewidth": 1.2, "label": label} | plain(line)
        axes.plot(moved[drawn], shares[drawn], **style)
        lazy = 0.1 / np.sqrt(found.width)
        axes.axvline(lazy, color=style["color"], linestyle=":", linewidth=1.0, label=r"lazy below $n^{-1/2}/10$")
        axes.set(xscale="log", ylim=(0, 1), xlabel=r"$|\Delta(w, b)|\,/\,|(w, b)|$", ylabel="share of units that move less")
    return axes


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
