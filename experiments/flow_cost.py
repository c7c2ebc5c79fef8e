r"""What training costs: the loss against passes for descent, stochastic descent and the integrated flow.

A pass is one evaluation of the network at the data with one product with its transposed Jacobian: what a step of descent
costs. Networks of one width, W = ±1, B uniform on (-1, 1). (a) Data set A, ReLU, gradient flow. (b) Data set B, absolute
value, scaled potential. (c) Passes to loss 1e-12 against the width, one marker per seed and their medians: descent needs
some 40,000 at width 1000; the flow needs fewer the wider the network, down to 13 with A and about 40 with B from some
thousand units on, as moving features make it take short steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.plots import BLUE, GREEN, ORANGE
from splinebias.potential import Potential, Power
from splinebias.studies.study import run_seed
from splinebias.training.train import Training, train

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "flow_cost"
_METHODS = ("descent", "stochastic descent", "flow")
_STYLES: dict[str, dict[str, Any]] = {
    "descent": {"color": BLUE, "marker": "s", "linestyle": "-"},
    "stochastic descent": {"color": GREEN, "marker": "", "linestyle": "-"},
    "flow": {"color": ORANGE, "marker": "o", "linestyle": "-"},
}


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the figure.

    Parameters
    ----------
    widths : tuple of int
        Widths of panel (c); panels (a) and (b) show `shown`.
    seeds : tuple of int
        Seeds per width in panel (c); curves are of the first.
    potentials : tuple of Potential
        Of panel (a) and, scaled, of panel (b).
    loss_tol : float
        Loss to train to; panels (a) and (b) show the flow as far as `floor`.
    floor : float
        Loss at which the curves of the flow end.
    shown : int
        Width of the networks of panels (a) and (b).
    max_steps : int
        Steps after which a descent is given up.
    """

    widths: tuple[int, ...] = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    seeds: tuple[int, ...] = (0, 1, 2)
    potentials: tuple[Potential, ...] = (Power(2), Power(3, quadratic=1))
    loss_tol: float = 1e-12
    floor: float = 1e-20
    shown: int = 1000
    max_steps: int = 60_000


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    problems = _problems(config)
    curves = {name: {method: _curve(problem, method, config) for method in _METHODS} for name, problem in problems.items()}
    counts = {name: _counts(problem, config) for name, problem in problems.items()}
    with panels.style():
        figure, axes = panels.new_figure()
        for ax, letter, (name, runs) in zip(axes, "ab", curves.items(), strict=False):
            _draw_curves(ax, runs, config)
            ax.set_title(f"({letter}) {name}, width {config.shown}")
        _draw_counts(axes[2], counts, curves, config)
        panels.place_legend(figure, _handles())
        results = {
            "curves": {name: {method: _record(run) for method, run in runs.items()} for name, runs in curves.items()},
            "passes": {
                name: {str(width): row for width, row in zip(config.widths, rows, strict=True)}
                for name, rows in counts.items()
            },
        }
        document = common.publish(NAME, config, figure, results)
    print(_summary(curves, counts, config))
    return document


def _problems(config: Config) -> dict[str, sb.Problem]:
    """The two problems by the names that the figure gives them."""
    a, b = common.published_pair(config.potentials)
    return {f"A, ReLU, ${common.label(a.phi)}$": a, f"B, Abs, scaled ${common.label(b.phi)}$": b}


def _method(name: str, config: Config) -> sb.MirrorFlow | sb.MirrorDescent | sb.StochasticMirrorDescent:
    if name == "flow":
        return sb.MirrorFlow()
    if name == "descent":
        return sb.MirrorDescent(max_steps=config.max_steps)
    return sb.StochasticMirrorDescent(batch_size=1, max_steps=config.max_steps)


def _curve(problem: sb.Problem, name: str, config: Config) -> Training:
    """One run of one method."""
    seed, loss_tol = run_seed(config.seeds[0], config.shown), config.floor if name == "flow" else config.loss_tol
    return train(problem, config.shown, seed, method=_method(name, config), loss_tol=loss_tol, progress=False)


def _counts(problem: sb.Problem, config: Config) -> list[list[float]]:
    """Passes of the flow to `loss_tol`, one list per width with one number per seed; infinity for a run that failed."""
    rows = []
    for width in config.widths:
        runs = [
            train(problem, width, run_seed(seed, width), loss_tol=config.loss_tol, progress=False) for seed in config.seeds
        ]
        rows.append([run.stats["passes"] if run.outcome.ok else math.inf for run in runs])
    return rows


def _passes(run: Training) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Passes at the recorded steps: those of the whole run spread evenly, which for descent is exact."""
    return np.maximum(run.history.steps / max(run.steps, 1) * run.stats["passes"], 1.0)


def _draw_curves(ax: Axes, runs: dict[str, Training], config: Config) -> None:
    for name, run in runs.items():
        style = _STYLES[name] | ({"markersize": 3} if name == "flow" else {"marker": ""})
        ax.plot(_passes(run), run.history.loss, linewidth=1.2, **style)
    ax.axhline(config.loss_tol, **panels.DASHED)
    ax.set(xscale="log", yscale="log", xlabel="passes", ylabel="loss $L$ (dimensionless)", ylim=(config.floor / 10, None))


def _draw_counts(
    ax: Axes, counts: dict[str, list[list[float]]], curves: dict[str, dict[str, Training]], config: Config
) -> None:
    for (name, rows), filled in zip(counts.items(), (True, False), strict=True):
        face = ORANGE if filled else "white"
        for width, row in zip(config.widths, rows, strict=True):
            ax.plot([width] * len(row), row, color=ORANGE, marker="o", markersize=3, markerfacecolor=face, linestyle="none")
        ax.plot(config.widths, np.median(rows, axis=1), color=ORANGE, linewidth=1.2, linestyle="-" if filled else "--")
        descent = curves[name]["descent"]
        if descent.outcome.ok:
            size, inside = (3, BLUE) if filled else (6, "none")
            look: dict[str, Any] = {"color": BLUE, "markersize": size, "markerfacecolor": inside}
            ax.plot(config.shown, descent.stats["passes"], marker="s", linestyle="none", **look)
    ax.set(xscale="log", yscale="log", xlabel="width $n$ (hidden units)", ylabel=f"passes to loss {_power(config.loss_tol)}")
    ax.set_title("(c) filled: A, open: B")


def _power(value: float) -> str:
    return rf"$10^{{{math.log10(value):.0f}}}$"


def _handles() -> list[Artist]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [Line2D([], [], label=name, markersize=4, linewidth=1.2, **_STYLES[name]) for name in _METHODS]
    return [*handles, Line2D([], [], **panels.DASHED | {"label": "loss to reach"})]


def _record(run: Training) -> dict[str, Any]:
    return {
        "run_seed": run.seed,
        "outcome": run.outcome.name,
        "steps": run.steps,
        "passes": run.stats["passes"],
        "loss": run.history.loss.tolist(),
        "at_passes": _passes(run).tolist(),
    }


def _summary(curves: dict[str, dict[str, Training]], counts: dict[str, list[list[float]]], config: Config) -> str:
    lines = [f"{NAME}: passes at width {config.shown}, to loss {config.loss_tol:g} (flow: {config.floor:g})"]
    for name, runs in curves.items():
        told = (f"{method} {run.stats['passes']:.0f} ({run.outcome}, loss {run.loss:.1e})" for method, run in runs.items())
        lines.append(f"{name}: {'; '.join(told)}")
    lines.append(f"median passes of the flow to loss {config.loss_tol:g}:")
    for name, rows in counts.items():
        told = (f"n = {width}: {np.median(row):.0f}" for width, row in zip(config.widths, rows, strict=True))
        lines.append(f"{name}: {', '.join(told)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
