r"""Networks that learn features: limit and band over time, variance against richness, losses.

Data set A, ReLU, W, B ~ N(0, 1), output weights 0 at the start, mean-field scaling with richness :math:`\gamma`, full batch.
(a)-(d) f(x, t) at one x between the data: infinite width (dashed), two standard deviations of networks of a small width
around it (band), and such networks (lines), for four :math:`\gamma`. (e) Variance of :math:`\sqrt n\,(f_n - f)` at another x
against :math:`\gamma` at three times: curves are computed without a network; points are ensembles of a larger width with
95 % intervals. At a middle time it rises first, late it falls. (f) Losses: infinite width (dashed), means of the networks
of (a)-(d).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "mean_field_bands"
_COLORS = (SKY, GREEN, ORANGE, VERMILLION)
_TIME_COLORS = (BLUE, PURPLE, BLACK)


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    richness : tuple of float
        Four of them, of the panels over time.
    span, points : (float, float), int
        Training times of these, and how many.
    at, shown, width : float, int, int
        Their x, networks, and units of each.
    swept : tuple of float
        Richness of the curves of variances.
    swept_times, swept_at : tuple of float, float
        Their times and their x.
    networks, swept_width : int
        Networks of an ensemble, and units of each.
    particles : int
        Of the computations.
    """

    richness: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0)
    span: tuple[float, float] = (0.3, 300.0)
    points: int = 24
    at: float = -0.6
    shown: int = 24
    width: int = 100
    swept: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
    swept_times: tuple[float, ...] = (10.0, 30.0, 100.0)
    swept_at: float = 0.0
    networks: int = 200
    swept_width: int = 400
    particles: int = 1280


def main(config: Config) -> dict[str, Any]:
    """Compute and train, write NAME.png, NAME.pdf and NAME.json, print a table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    times = np.geomspace(*config.span, config.points)
    wide = [sb.fluctuations(problem(g), times, x=[config.at], particles=config.particles) for g in config.richness]
    runs = [values(g, config.width, config.shown, times, config.at) for g in config.richness]
    sweep = [
        sb.fluctuations(problem(g), config.swept_times, x=[config.swept_at], particles=config.particles)
        for g in config.swept
    ]
    curves = np.array([found.std[:, 0] ** 2 for found in sweep])
    ensembles = np.array(
        [
            config.swept_width
            * values(g, config.swept_width, config.networks, config.swept_times, config.swept_at)[0].var(axis=0, ddof=1)
            for g in config.richness
        ]
    )
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        halves: Any = figure.subfigures(2, 1)
        top, bottom = halves
        above: Any = top.subplots(1, 4, sharey=True)
        below: Any = bottom.subplots(1, 2)
        for k, ax in enumerate(above):
            _draw_band(ax, wide[k], runs[k][0], config, _COLORS[k])
            ax.set_title(rf"({'abcd'[k]}) $\gamma = {config.richness[k]:g}$")
        above[0].set_ylabel(rf"$f(x)$ at $x = {config.at:g}$")
        _draw_variances(below[0], curves, ensembles, config)
        _draw_losses(below[1], wide, [losses for _, losses in runs], times, config)
        results = {
            "times": times.tolist(),
            "mean": [found.mean[:, 0].tolist() for found in wide],
            "std": [found.std[:, 0].tolist() for found in wide],
            "error": [found.residual for found in [*wide, *sweep]],
            "losses": [found.losses.tolist() for found in wide],
            "variance": curves.tolist(),
            "measured": ensembles.tolist(),
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: variance at x = {config.swept_at:g}, predicted | measured, columns t = {config.swept_times}")
    for g, measured in zip(config.richness, ensembles, strict=True):
        known = np.array([np.interp(g, config.swept, curve) for curve in curves.T])
        print(
            f"  gamma {g:>4g}: " + "  ".join(f"{one:.5f} | {other:.5f}" for one, other in zip(known, measured, strict=True))
        )
    return document


def problem(richness: float) -> sb.Problem:
    """Data set A for a richness."""
    return sb.Problem(common.load("liang_montufar_a"), sb.Initialization.gaussian(), parameterization=sb.MeanField(richness))


def values(richness: float, width: int, count: int, times: Any, at: float) -> tuple[Array, Array]:
    """Values of trained networks at one x, and their losses, shape (count, T) each."""
    case, method = problem(richness), sb.NeuronFlow(1e-3, time=float(times[-1]), saveat=tuple(times))
    runs = sb.train_ensemble(case, width, range(count), method=method, loss_tol=1e-14)
    functions = [[snapshot.function for snapshot in run.snapshots] for run in runs]
    x, y = case.line_data.x, case.line_data.y
    losses = np.array([[float(((f(x) - y) ** 2).mean()) / 2 for f in row] for row in functions])
    return np.array([[float(f(at)) for f in row] for row in functions]), losses


def _draw_band(ax: Axes, found: sb.Fluctuations, networks: Array, config: Config, color: str) -> None:
    """Networks behind the band of their width and its middle."""
    mean, reach = found.mean[:, 0], 2 * found.std[:, 0] / np.sqrt(config.width)
    ax.fill_between(found.times, mean - reach, mean + reach, color=color, alpha=0.35, linewidth=0)
    ax.plot(found.times, networks.T, color=color, linewidth=0.4, zorder=1)
    ax.plot(found.times, mean, **panels.DASHED)
    ax.set(xscale="log", xlabel="training time $t$")


def _draw_variances(ax: Axes, curves: Array, ensembles: Array, config: Config) -> None:
    """Curves of variances against richness, and ensembles."""
    low, high = (config.networks - 1) / stats.chi2.ppf([0.975, 0.025], config.networks - 1)
    for k, (time, color) in enumerate(zip(config.swept_times, _TIME_COLORS, strict=True)):
        ax.plot(config.swept, curves[:, k], color=color, linestyle="--", linewidth=0.9)
        shown = ensembles[:, k]
        reach = np.stack([shown * (1 - low), shown * (high - 1)])
        offset = 1.03 ** (k - 1)
        style: dict[str, Any] = {"marker": "osD"[k], "markersize": 3, "linestyle": "none", "linewidth": 0.8}
        ax.errorbar(np.array(config.richness) * offset, shown, yerr=reach, color=color, label=f"$t = {time:g}$", **style)
    ax.set(xscale="log", xlabel=r"richness $\gamma$", ylabel=r"variance of $\sqrt{n}\,(f_n - f)$")
    ax.set_title(
        rf"(e) variance at $x = {config.swept_at:g}$; points: {config.networks} networks, $n = {config.swept_width}$"
    )
    ax.set_ylim(top=1.2 * ax.get_ylim()[1])
    ax.legend(frameon=False, ncols=3, loc="upper left")


def _draw_losses(ax: Axes, wide: list[sb.Fluctuations], losses: list[Array], times: Array, config: Config) -> None:
    """Losses of the limits, and mean losses of networks."""
    for found, measured, g, color in zip(wide, losses, config.richness, _COLORS, strict=True):
        ax.plot(times, measured.mean(axis=0), color=color, linewidth=1.8, label=rf"$\gamma = {g:g}$")
        ax.plot(times, found.losses, **panels.DASHED)
    ax.set(xscale="log", yscale="log", xlabel="training time $t$", ylabel="loss")
    ax.set_title(rf"(f) loss; lines: mean of {config.shown} networks, $n = {config.width}$")
    ax.legend(frameon=False)


if __name__ == "__main__":
    main(Config())
