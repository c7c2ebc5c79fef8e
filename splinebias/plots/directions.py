"""Pictures of the directions that neurons condense at: predicted over the circle, and as heat maps of trained networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias.plots.canvas import SAMPLES, drawn_on, new_axes
from splinebias.plots.style import BLACK, BLUE, GREEN, VERMILLION, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.regimes.condensation import Orientations
    from splinebias.regimes.small_starts.condensed import Condensation


def plot_orientations(found: Orientations, ax: Axes | None = None, **line: Any) -> Axes:
    """The leading term Q over the direction of (w, b), with the condensed orientations, by the sign of the output weight.

    Parameters
    ----------
    found : Orientations
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    **line
        Passed to ``Axes.plot`` for the curve.
    """
    with drawn_on(ax) as axes:
        theta = np.unique(np.r_[np.linspace(0, 360, SAMPLES), found.critical])
        axes.axhline(0.0, color=BLACK, linewidth=0.6)
        axes.plot(theta, found.term.value(np.radians(theta)), **{"color": BLUE, "label": "leading term $Q$"} | plain(line))
        for sign, marker, color, label in ((1, "^", VERMILLION, "$a > 0$"), (-1, "v", GREEN, "$a < 0$")):
            chosen = found.signs == sign
            style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": "none", "zorder": 3}
            axes.plot(found.angles[chosen], found.strengths[chosen], **style, label=f"condensed, {label}")
        axes.set_xlim(0, 360)
        axes.set_xticks([0, 90, 180, 270, 360])
        axes.set_xlabel("direction of $(w, b)$ in degrees")
        axes.set_ylabel("$Q$")
    return axes


def plot_condensation(found: Condensation, ax: Axes | None = None, *, order: Any = None, **image: Any) -> Axes:
    """The heat map of cosine similarities between the (w, b) of all pairs of neurons.

    Parameters
    ----------
    found : Condensation
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes.
    order : array_like of int, shape (n,), optional
        The order of the neurons; None: `Condensation.order`, in which condensed ones make blocks.
    **image
        Passed to ``Axes.imshow``.
    """
    axes, at = new_axes(ax), found.order if order is None else np.asarray(order)
    style: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1, "interpolation": "nearest"}
    axes.imshow(found.cosines[np.ix_(at, at)], **style | image)
    axes.set_xlabel("neuron")
    axes.set_ylabel("neuron")
    return axes
