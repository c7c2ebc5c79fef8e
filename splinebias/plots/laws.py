"""Pictures of laws of weights and biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias.plots.canvas import SAMPLES, drawn_on
from splinebias.plots.style import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.initialization.initialization import Initialization


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
