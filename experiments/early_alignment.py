r"""Early alignment: neurons of a small balanced start turn to one class each, the loss waits, and what the claims are worth.

Networks :math:`\sum_j v_j [w_j \cdot x]_+` with :math:`|v_j| = |w_j| = \varepsilon` at the start, labels +1 and -1, mean
loss. (a) Share of the neurons that are aligned: the same for all small :math:`\varepsilon`, and known in closed form
(dashed); the loss (pale) moves later the smaller the start; dots: when it should have halved, to leading order. (b) Stable
rank of the hidden weights against time over the alignment time: at most 2 after it. (c, d) Alignment time against the
number of points M
and the margin :math:`\mu`, beside the bound :math:`M \log M/\sqrt\mu` without its unknown constant (from memory of Min,
Mallada & Vidal, unchecked), dashed: measured times grow with neither. (e) In the end :math:`dt/d(1/L) \ln(1/L)` over the
predicted 1/(4 gamma bar), and L t over its value at L = 1e-5, which is not flat. (f) Digits 0 and 1, which violate the
hypothesis, and the subset that greedy deletion leaves, on which it holds: two starts each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.plots import BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from splinebias.theorems.min_mallada_vidal import LINE, PLANE, cones

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "early_alignment"
_COLORS = (BLUE, GREEN, ORANGE, VERMILLION, PURPLE)
_LAST = 100.0  # beyond the axes
_LOSSES = (sb.Exponential(), sb.Logistic(), sb.Squared())


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    width : int
        Neurons of a network.
    scales : tuple of float
        Sizes of the start in (a).
    counts, spreads, seeds : tuple
        The M of (c) and (d), half angles of the cones that the points lie in (mu = cos(2 spread)), networks each.
    lowest : float
        Loss to which (e) goes.
    digit_scales : tuple of float
        Sizes of the start in (f).
    """

    width: int = 100
    scales: tuple[float, ...] = (1e-2, 1e-4, 1e-8, 1e-16)
    counts: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    spreads: tuple[float, ...] = (0.2, 0.5, 0.7, 0.78)
    seeds: tuple[int, ...] = (0, 1, 2)
    lowest: float = 1e-40
    digit_scales: tuple[float, ...] = (1e-5, 1e-8)


def main(config: Config) -> dict[str, Any]:
    """Run the experiment: writes the figure and its numbers, prints a table, returns the numbers."""
    common.prepare(NAME, config)
    starts = [sb.alignment(*LINE, width=config.width, scale=scale, loss_tol=1e-3) for scale in config.scales]
    losses = [sb.alignment(*LINE, width=config.width, loss=loss, loss_tol=1e-3) for loss in _LOSSES]
    times = measured(config)
    ends = [
        sb.alignment(*points, width=config.width, scale=1e-4, loss_tol=config.lowest, max_time=10 / config.lowest)
        for points in (LINE, PLANE)
    ]
    images = digits(config)
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots(2, 3)
        _draw_starts(axes[0, 0], starts)
        _draw_ranks(axes[0, 1], losses)
        _draw_times(axes[0, 2], axes[1, 0], times, config)
        _draw_ends(axes[1, 1], ends)
        _draw_digits(axes[1, 2], images)
        results = {
            "starts": [run.facts() for run in starts],
            "losses": [run.facts() for run in losses],
            "times": times,
            "ends": [_end(run) for run in ends],
            "digits": [{"points": run.predicted.labels.size} | run.facts() for run in images],
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: alignment time and time until the loss has halved, by the size of the start")
    print("\n".join(f"{run.scale:>8.0e} {run.alignment_time:9.4f} {run.halved_at:9.4f}" for run in starts))
    return document


def measured(config: Config) -> list[dict[str, Any]]:
    """Alignment times of points in two opposite cones, for every count, spread and seed."""
    rows = []
    for count in config.counts:
        for spread in config.spreads:
            runs = [
                sb.alignment(*cones(count, spread, seed), width=config.width, scale=1e-6, loss_tol=0.5, seed=seed)
                for seed in config.seeds
            ]
            row = {"M": count, "spread": spread, "mu": runs[0].predicted.margin}
            rows.append(row | {"times": [run.alignment_time for run in runs], "bound": [run.bound for run in runs]})
    return rows


def digits(config: Config) -> list[sb.Alignment]:
    """Networks on all digits and on the subset, from two starts each."""
    x, y = sb.datasets.digits()
    x = x - x.mean(axis=0)
    kept = sb.alignment_margin(x, y).largest_subset()
    return [
        sb.alignment(*points, width=config.width, scale=scale, loss_tol=0.02)
        for points in ((x, y), (x[kept], y[kept]))
        for scale in config.digit_scales
    ]


def _shares(run: sb.Alignment) -> tuple[Array, Array]:
    """Times at which neurons aligned, and the share that has by then."""
    at = np.sort(run.aligned_at[np.isfinite(run.aligned_at)])
    return np.r_[at, _LAST], np.r_[np.arange(1, at.size + 1), at.size] / run.signs.size


def _draw_starts(ax: Axes, runs: list[sb.Alignment]) -> None:
    for run, color, line_width in zip(runs, _COLORS, (4.0, 2.8, 1.6, 0.8), strict=False):
        at, share = _shares(run)
        name = rf"$\varepsilon = 10^{{{_power(run.scale)}}}$"
        ax.step(at, share, where="post", color=color, linewidth=line_width, label=name)
        ax.plot(run.times, run.losses / run.losses[0], color=color, linewidth=1.0, alpha=0.5)
        ax.plot(run.predicted.halving_time(run.scale, 1.0), 0.5, "o", color=color, markersize=3)
    u = runs[0].start_directions
    frozen = np.sort(runs[0].predicted.frozen(np.arctan2(u[:, 1], u[:, 0]), runs[0].signs).aligned_at)
    frozen = frozen[np.isfinite(frozen)]
    ax.plot([], [], "o", color="0.5", markersize=3, label="halving, predicted")
    ax.step(frozen, np.arange(1, frozen.size + 1) / u.shape[0], where="post", **panels.DASHED | {"label": "closed form"})
    ax.set(xscale="log", xlim=(0.005, 40), ylim=(0, 1.05), xlabel="time $t$", ylabel="share aligned; loss over first")
    ax.set_title("(a) any small start")
    ax.legend(frameon=False, fontsize=5.5, loc="upper left", bbox_to_anchor=(0.0, 0.97))


def _power(scale: float) -> int:
    return round(float(np.log10(scale)))


def _draw_ranks(ax: Axes, runs: list[sb.Alignment]) -> None:
    for run, color in zip(runs, _COLORS, strict=False):
        late, name = run.times > 0, type(run.loss_function).__name__
        ax.plot(run.times[late] / run.alignment_time, run.stable_ranks[late], color=color, linewidth=1.2, label=name)
    ax.axhline(2, **panels.DASHED)
    ax.axvline(1, color="0.6", linewidth=0.6)
    ax.set(xscale="log", xlim=(0.02, 30), ylim=(0.95, 2.1), xlabel="time over alignment time", ylabel="stable rank")
    ax.set_title("(b) rank of the hidden weights")
    ax.legend(frameon=False, fontsize=6, loc="lower left")


def _draw_times(by_count: Axes, by_margin: Axes, rows: list[dict[str, Any]], config: Config) -> None:
    for spread, color in zip(config.spreads, _COLORS, strict=False):
        mine = [row for row in rows if row["spread"] == spread]
        counts = [row["M"] for row in mine]
        by_count.plot(counts, [np.mean(row["times"]) for row in mine], "o-", color=color, markersize=3, linewidth=1.0)
        by_count.plot(counts, [np.mean(row["bound"]) for row in mine], **panels.DASHED | {"color": color})
        by_count.plot([], [], color=color, label=rf"$\mu = {mine[0]['mu']:.2g}$")
    by_count.set(xscale="log", yscale="log", xlabel="points $M$", ylabel="alignment time")
    by_count.set_title("(c) bound (dashed) in $M$")
    by_count.legend(frameon=False, fontsize=6)
    shown = config.counts[:: max(1, len(config.counts) // 3)][:3]
    for count, color in zip(shown, _COLORS, strict=False):
        mine = [row for row in rows if row["M"] == count]
        mu = [row["mu"] for row in mine]
        by_margin.plot(mu, [np.mean(row["times"]) for row in mine], "o-", color=color, markersize=3, linewidth=1.0)
        by_margin.plot(mu, [np.mean(row["bound"]) for row in mine], **panels.DASHED | {"color": color})
        by_margin.plot([], [], color=color, label=f"$M = {count}$")
    by_margin.set(xscale="log", yscale="log", xlabel=r"margin $\mu$", ylabel="alignment time")
    by_margin.set_title(r"(d) bound (dashed) in $\mu$")
    by_margin.legend(frameon=False, fontsize=6)


def _late(run: sb.Alignment) -> tuple[Array, Array, Array]:
    """1/L, dt/d(1/L) ln(1/L) over what is predicted, and L t over that at L = 1e-5, where L <= 1e-2."""
    keep = run.losses <= 1e-2
    t, inverse = run.times[keep], 1 / run.losses[keep]
    middle = np.sqrt(inverse[1:] * inverse[:-1])
    slope = np.diff(t) / np.diff(inverse) * np.log(middle) * 4 * run.predicted.late_rate
    product = (t[1:] + t[:-1]) / 2 / middle
    return middle, slope, product / np.interp(5 * np.log(10), np.log(middle), product)


def _end(run: sb.Alignment) -> dict[str, Any]:
    """The law at some losses, relative to what is predicted."""
    inverse, slope, product = _late(run)
    levels = [level for level in (1e-5, 1e-10, 1e-20, 1e-30, 1e-39) if 1 / level < inverse[-1]]
    at = np.log(1 / np.array(levels))
    return {
        "predicted": 1 / (4 * run.predicted.late_rate),
        "loss": levels,
        "over_predicted": np.interp(at, np.log(inverse), slope).tolist(),
        "product_over_first": np.interp(at, np.log(inverse), product).tolist(),
    }


def _draw_ends(ax: Axes, runs: list[sb.Alignment]) -> None:
    for run, name, color in zip(runs, ("line", "plane"), (BLUE, VERMILLION), strict=True):
        inverse, slope, product = _late(run)
        ax.plot(inverse, slope, color=color, linewidth=1.2, label=rf"$\ln(1/L)\,dt/d(1/L)$, {name}")
        ax.plot(inverse, product, color=color, linewidth=1.0, linestyle=":", label=f"$L\\,t$, {name}")
    ax.axhline(1, **panels.DASHED)
    ax.set(xscale="log", xlabel="inverse loss $1/L$", ylabel="over prediction; over first", ylim=(0, 1.6))
    ax.set_title("(e) the law of the late loss")
    ax.legend(frameon=False, fontsize=5.5, loc="upper right", ncols=1)


def _draw_digits(ax: Axes, runs: list[sb.Alignment]) -> None:
    for number, (run, color) in enumerate(zip(runs, (VERMILLION, ORANGE, BLUE, GREEN), strict=False)):
        at, share = _shares(run)
        name = "all" if number < len(runs) // 2 else "subset"
        text = rf"{run.predicted.labels.size} ({name}), $\varepsilon = 10^{{{_power(run.scale)}}}$"
        ax.step(at, share, where="post", color=color, linewidth=2.4 if number % 2 == 0 else 1.0, label=text)
        ax.axvline(run.halved_at, color=color, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", xlim=(2e-5, 4), ylim=(0, 1.05), xlabel="time $t$ (dotted: loss halved)", ylabel="share aligned")
    ax.set_title("(f) digits 0 and 1")
    ax.legend(frameon=False, fontsize=5.5, loc="upper left")


if __name__ == "__main__":
    main(Config())
