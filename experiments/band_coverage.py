r"""The predicted error band behind trained networks: LM sets A (ReLU, gradient descent) and B (Abs, scaled u^4 + u^2).

(a), (b) Thirty networks of the middle width in the band of two standard deviations, which holds 95 % of the networks at
each x, not everywhere at once. Beyond the data of (b) the predicted deviation is zero; what networks deviate there is of
higher order. (c) How often, in 200 networks of each of three widths, the largest error stays below the predicted quantiles,
with 95 % binomial intervals: at width 180 the O(1/n) of moving features makes errors larger than predicted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.functions.compare import compare
from splinebias.plots import BLACK, BLUE
from splinebias.studies.spec import run_seed
from splinebias.training.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "band_coverage"


@dataclass(frozen=True)
class Config(common.Output):
    """Settings.

    Parameters
    ----------
    widths : tuple of int
        Widths of the networks.
    networks : int
        Networks per width and problem.
    levels : tuple of float
        Probabilities of the quantiles.
    loss_tol : float
        Loss to train to.
    shown : int
        Networks drawn, of the middle width.
    """

    widths: tuple[int, ...] = (180, 1620, 14580)
    networks: int = 200
    levels: tuple[float, ...] = (0.5, 0.9, 0.95)
    loss_tol: float = 1e-10
    shown: int = 30


def problems() -> dict[str, sb.Problem]:
    """The two problems, by name."""
    law = sb.Initialization.rademacher(stats.uniform(-1, 2))
    quartic = sb.Scaled(sb.Power(4, quadratic=1))
    return {
        "A, ReLU, $u^2$": sb.Problem(common.load("liang_montufar_a"), law),
        "B, Abs, scaled $u^4 + u^2$": sb.Problem(common.load("liang_montufar_b"), law, sb.Abs(), quartic),
    }


def main(config: Config) -> dict[str, Any]:
    """Compute, write NAME.png, NAME.pdf and NAME.json, print the coverage table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    rows: list[dict[str, Any]] = []
    with panels.style():
        figure, axes = panels.new_figure()
        for ax, (name, problem) in zip(axes, problems().items(), strict=False):
            band = sb.error_band(problem, config.widths[0], interval=config.interval)
            assert isinstance(band, sb.ErrorBand), "the problems are of one input"
            for width in config.widths:
                seeds = [run_seed(seed, width) for seed in range(config.networks)]
                runs = sb.train_ensemble(problem, width, seeds, loss_tol=config.loss_tol)
                rows.append(_row(name, band.at_width(width), runs, config))
                if width == config.widths[len(config.widths) // 2]:
                    _draw_band(ax, name, band.at_width(width), runs[: config.shown], config)
        _draw_coverage(axes[-1], rows, config)
        document = common.publish(NAME, config, figure, {"coverage": rows})
    print(_table(rows))
    return document


def _row(name: str, band: sb.ErrorBand, runs: tuple[Training, ...], config: Config) -> dict[str, Any]:
    """Coverage of one problem and width."""
    reached = [run for run in runs if run.outcome.ok]
    sups = np.array([compare(run.function, band.prediction.function, config.interval).sup for run in reached])
    constant = band.constant
    row: dict[str, Any] = {
        "problem": name,
        "width": band.width,
        "networks": len(reached),
        "failed": len(runs) - len(reached),
        "predicted_constant": constant.value,
        "measured_constant": float(sups.mean()) * math.sqrt(band.width),
        "ratio": float(sups.mean()) / band.expected_sup,
        "ratio_margin": 1.96 * float(sups.std(ddof=1)) / math.sqrt(sups.size) / band.expected_sup,
        "coverage": [],
    }
    for level in config.levels:
        inside = int((sups <= band.quantile(level)).sum())
        interval = stats.binomtest(inside, sups.size).proportion_ci(method="exact")
        row["coverage"].append(
            {"level": level, "inside": inside / sups.size, "low": float(interval.low), "high": float(interval.high)}
        )
    return row


def _draw_band(ax: Axes, name: str, band: sb.ErrorBand, runs: tuple[Training, ...], config: Config) -> None:
    x = np.linspace(*config.interval, 601)
    std, limit = band.std(x), band.prediction.function(x)
    for run in runs:
        (line,) = ax.plot(x, run.function(x) - limit, color=BLUE, linewidth=0.4, alpha=0.6)
    line.set_label("networks")
    ax.plot(x, 2 * std, color=BLACK, linewidth=1.0, label="predicted: 2 std. dev.")
    ax.plot(x, -2 * std, color=BLACK, linewidth=1.0)
    data = band.problem.data
    ax.plot(data.x, 0 * data.x, color=BLACK, marker="o", markersize=3, linestyle="none", label="data")
    letter = "a" if name.startswith("A") else "b"
    ax.set(xlabel="$x$ (dimensionless)", ylabel="$f_n(x) - f(x)$", xlim=config.interval)
    ax.set_title(f"({letter}) {name}, $n = {band.width}$")
    ax.legend(loc="upper center", frameon=False, ncols=2, handlelength=1.0, columnspacing=0.8, handletextpad=0.4)
    ax.set_ylim(top=1.45 * ax.get_ylim()[1])


def _draw_coverage(ax: Axes, rows: list[dict[str, Any]], config: Config) -> None:
    names = list(problems())
    for number, row in enumerate(rows):
        kind, at = names.index(row["problem"]), float(config.widths.index(row["width"]))
        for level, found in enumerate(row["coverage"]):
            place = at + 0.12 * (level - 1) + 0.3 * (kind - 0.5)
            ends = [[found["inside"] - found["low"]], [found["high"] - found["inside"]]]
            ax.errorbar(
                [place],
                [found["inside"]],
                yerr=ends,
                color=panels.COLORS[level],
                marker=("o", "s")[kind],
                markersize=3,
                capsize=1.5,
                linewidth=0.8,
                markerfacecolor=("white", panels.COLORS[level])[kind],
                label=f"{found['level']:.0%}, {row['problem'][0]}" if number in (0, len(config.widths)) else None,
            )
    for nominal, color in zip(config.levels, panels.COLORS, strict=False):
        ax.axhline(nominal, color=color, linewidth=0.8, linestyle=(0, (3, 2)))
    ax.set_xticks(range(len(config.widths)), [str(width) for width in config.widths])
    ax.set(xlabel="width $n$ (hidden units)", ylabel="part of networks below the quantile", ylim=(0, 1.02))
    ax.set_title("(c) coverage, bars: 95 % binomial")
    ax.legend(loc="lower right", frameon=False, ncols=2, columnspacing=0.8, handletextpad=0.2, borderaxespad=0.0)


def _table(rows: list[dict[str, Any]]) -> str:
    """The coverage table of the terminal."""
    lines = [f"{NAME}: measured/predicted constant, and part of the networks whose largest error is below a quantile"]
    for row in rows:
        cells = "".join(
            f"   {item['level']:.0%}: {item['inside']:.3f} [{item['low']:.3f}, {item['high']:.3f}]"
            for item in row["coverage"]
        )
        ratio = f"{row['measured_constant']:.3f}/{row['predicted_constant']:.3f}"
        ratio += f" = {row['ratio']:.3f} ± {row['ratio_margin']:.3f}"
        lines.append(f"{row['problem']:<22}{row['width']:>7}  {ratio}{cells}")
    return "\n".join(lines)
