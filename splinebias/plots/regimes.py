"""Pictures of networks away from the lazy limit: directions that neurons condense at, and networks with large biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias.plots.canvas import SAMPLES, drawn_on, new_axes
from splinebias.plots.style import BLACK, BLUE, DASHES, GREEN, LIMITS, NETWORKS, VERMILLION, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.regimes.condensation import Orientations
    from splinebias.regimes.large_bias.descent import LargeBias
    from splinebias.regimes.large_bias.kernel import BiasKernel
    from splinebias.regimes.large_bias.widths import LargeBiasWidths
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
        degrees = "direction of $(w, b)$ in degrees"
        axes.set(xlim=(0, 360), xticks=[0, 90, 180, 270, 360], xlabel=degrees, ylabel="$Q$")
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
    axes.set(xlabel="neuron", ylabel="neuron")
    return axes


def plot_bias_kernel(kernel: BiasKernel, ax: Axes | None = None, **line: Any) -> Axes:
    r"""The eigenvalues of the kernel, decreasing: a residual along an eigenvector falls like :math:`e^{-\lambda t/M}`.

    Eigenvalues that are zero up to rounding are left out. Keywords go to ``Axes.plot``.
    """
    values = kernel.eigenvalues[::-1]
    drawn = values > 1e-15 * values[0]
    with drawn_on(ax) as axes:
        color = LIMITS[len(axes.get_lines()) % len(LIMITS)]
        label = f"bias {kernel.bias:.3g}, {kernel.active_fraction:.2g} of the neurons active"
        style: dict[str, Any] = {"color": color, "marker": "o", "markersize": 3, "linestyle": "--", "linewidth": 0.8}
        axes.plot(np.arange(1, values.size + 1)[drawn], values[drawn], **(style | {"label": label} | plain(line)))
        axes.set(yscale="log", xlabel="number of the eigenvalue", ylabel=r"eigenvalue $\lambda$ of the kernel")
    return axes


def plot_large_bias(found: LargeBias, ax: Axes | None = None, **line: Any) -> Axes:
    """The size of the residual over that at the start, against time in units of the slowest mode; predicted, dashed.

    Keywords go to ``Axes.plot`` for the measured curve.
    """
    times = found.times * max(found.kernel.smallest, 0.0) / len(found.kernel.matrix)
    sizes = [np.linalg.norm(r, axis=1) / np.linalg.norm(found.residuals[0]) for r in (found.residuals, found.predicted)]
    with drawn_on(ax) as axes:
        labelled = [drawn for drawn in axes.get_lines() if not str(drawn.get_label()).startswith("_")]
        color = NETWORKS[len(labelled) % len(NETWORKS)]
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
            for (name, guide), dashes in zip(guides.items(), DASHES, strict=False):
                scaled = guide * found.widths[first] / guide[first]
                axes.plot(found.biases, scaled, color=BLACK, linestyle=dashes, linewidth=0.8, label=name)
        axes.set(xlabel="bias $B$", ylabel=f"width within {found.distance:g}", yscale="log")
    return axes
