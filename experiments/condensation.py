r"""Condensation: what a start at almost zero makes of the directions of neurons, predicted and measured.

Eight points with mean 0, on which 2, 4 and 6 directions exist for multiplicity 1, 2, 3. (a), (b) Cosine similarity between
the (w, b) of all pairs of tanh neurons, before training and when f is 2 % of y, in the same order. (c) Predicted
orientations (triangles, up for a > 0), the share of neurons that end there when each moves alone (blue), and the share of
mass there in a trained network (orange): alone they show all directions; coupled, for multiplicity 2 and 3, one. (d) Angle
error against the start, with what is derived for multiplicity 1, :math:`\frac{2}{\pi}\varepsilon\sqrt{n/F}` (dashed; above,
the lower stop). (e) to (g) The three hidden layers of a tanh network of five inputs. (h) How many neurons carry a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, plot_condensation
from splinebias.regimes.small_starts.small_start import expected_angle_error
from splinebias.theorems.zhou import EIGHT, FIVE_INPUTS
from splinebias.training.deep_start import train_deep_from_small_start

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "condensation"
_ACTIVATIONS: dict[str, Any] = {"tanh": sb.Tanh(), "x tanh": sb.XTanh(), "x² tanh": sb.X2Tanh(), "ReLU": sb.ReLU()}
_COLORS = {"tanh": BLUE, "x tanh": ORANGE, "x² tanh": GREEN, "ReLU": PURPLE}


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    width : int
        Neurons of a network.
    scale : float
        The start of (a) to (c).
    scales : tuple of float
        Starts of (d) and (h).
    stops : tuple of float
        Shares of max |y| at which networks of (d) stop; the first also in (a) to (c) and (h).
    starts : int
        Neurons that move alone.
    seeds : tuple of int
        Networks at each start; (a) to (c) show the first.
    layers : tuple of int
        Widths of the hidden layers of (e) to (g).
    layer_scale : float
        Their start.
    """

    width: int = 300
    scale: float = 1e-5
    scales: tuple[float, ...] = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
    stops: tuple[float, ...] = (0.02, 0.002)
    starts: int = 3000
    seeds: tuple[int, ...] = (0, 1, 2)
    layers: tuple[int, ...] = (50, 50, 50)
    layer_scale: float = 1e-4


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print a table, and return what the JSON file holds."""
    common.prepare(NAME, config)
    shown = {name: _directions(activation, config) for name, activation in _ACTIVATIONS.items()}
    errors = {name: _errors(activation, config) for name, activation in _ACTIVATIONS.items()}
    deep = train_deep_from_small_start(FIVE_INPUTS, config.layers, scale=config.layer_scale)
    layers = sb.layer_condensation(deep.module)
    with panels.style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.7), layout="constrained")
        axes = figure.subplots(2, 4)
        network = sb.train_from_small_start(EIGHT, sb.Tanh(), width=config.width, scale=config.scale, seed=config.seeds[0])
        for ax, found, title in zip(
            [*axes[0, :2], *axes[1, :3]],
            [network.start, network, *layers],
            [
                "(a) tanh, at the start",
                "(b) tanh, when it begins to fit",
                *(f"({c}) layer {k}" for c, k in zip("efg", "123", strict=True)),
            ],
            strict=False,
        ):
            plot_condensation(found, ax, order=network.order if found is network.start else None)
            ax.set(title=title, xticks=[], yticks=[], ylabel="")
            ax.set_xlabel("")
        bar = figure.colorbar(axes[1, 0].images[0], ax=list(axes[1, :3]), location="bottom", shrink=0.4, aspect=40, pad=0.0)
        bar.set_ticks([-1, 0, 1])
        bar.set_label("cosine similarity of neurons")
        _draw_directions(axes[0, 2], shown)
        _draw_errors(axes[0, 3], errors, config)
        _draw_participation(axes[1, 3], errors, config)
        results = {
            "directions": shown,
            "errors": errors,
            "layers": [
                {"directions": len(layer.directions(within=10.0)), "participation": layer.participation} for layer in layers
            ],
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: degrees of error at a stop of {config.stops[0]:g} | neurons that carry the network, rows eps")
    for k, scale in enumerate(config.scales):
        cells = (f"{np.mean(e['error'][0][k]):9.4f} | {np.mean(e['participation'][k]):6.2f}" for e in errors.values())
        print(f"{scale:>8g}  " + "   ".join(cells))
    return document


def _directions(activation: Any, config: Config) -> dict[str, Any]:
    """Predicted orientations, and the shares of neurons that move alone and of the mass of a network."""
    found = sb.condensed_orientations(EIGHT, activation)
    alone = found.decoupled(*np.random.default_rng(0).standard_normal((3, config.starts)))
    network = sb.train_from_small_start(
        EIGHT, activation, width=config.width, scale=config.scale, seed=config.seeds[0], stop=config.stops[0]
    )
    return {
        "angles": found.angles.tolist(),
        "signs": found.signs.tolist(),
        "alone": alone.shares.tolist(),
        "farthest_alone": float(alone.errors[alone.alive].max()),
        "dead": float(1 - alone.alive.mean()),
        "trained": network.shares.tolist(),
        "error": network.angle_error,
    }


def _errors(activation: Any, config: Config) -> dict[str, Any]:
    """Angle errors by stop, start and seed, participation by start and seed, and the error that is derived."""
    error, participation = [], []
    for stop in config.stops:
        runs = [
            [
                sb.train_from_small_start(EIGHT, activation, width=config.width, scale=scale, seed=seed, stop=stop)
                for seed in config.seeds
            ]
            for scale in config.scales
        ]
        error.append([[run.angle_error for run in row] for row in runs])
        participation.append([[run.participation for run in row] for row in runs])
    derived = []
    if getattr(activation, "multiplicity", 0) == 1:
        derived = [
            [expected_angle_error(EIGHT, activation, width=config.width, scale=scale, stop=stop) for scale in config.scales]
            for stop in config.stops
        ]
    return {"error": error, "participation": participation[0], "derived": derived}


def _draw_directions(ax: Axes, shown: dict[str, dict[str, Any]]) -> None:
    """A row for each activation: triangles at the predictions, and shares beside each other as bars."""
    from matplotlib.patches import Patch

    for row, found in enumerate(shown.values()):
        base = -float(row)
        ax.axhline(base, color=BLACK, linewidth=0.4)
        angles, signs = np.array(found["angles"]), np.array(found["signs"])
        for shares, side, color in ((found["alone"], -4.0, BLUE), (found["trained"], 4.0, ORANGE)):
            ax.bar(angles + side, 0.75 * np.array(shares), width=8, bottom=base, color=color, linewidth=0)
        for sign, marker in ((1, "^"), (-1, "v")):
            ax.plot(
                angles[signs == sign], np.full((signs == sign).sum(), base - 0.09), marker, color=VERMILLION, markersize=3
            )
    ax.set(title="(c) where neurons are", xlabel="direction in degrees", xlim=(-15, 365), ylim=(0.6 - len(shown), 1.3))
    ax.set_yticks([-float(row) for row in range(len(shown))], list(shown))
    ax.set_xticks([0, 90, 180, 270, 360])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    handles = [Patch(color=BLUE, linewidth=0, label="alone"), Patch(color=ORANGE, linewidth=0, label="trained")]
    ax.legend(handles=handles, frameon=False, fontsize=6, ncols=2, loc="upper center", handlelength=1.0)


def _draw_errors(ax: Axes, errors: dict[str, dict[str, Any]], config: Config) -> None:
    """Means over the seeds against the start, filled at the first stop, open at the others, with the derived lines."""
    for name, found in errors.items():
        for k, by_scale in enumerate(found["error"]):
            style: dict[str, Any] = {"color": _COLORS[name], "marker": "o", "markersize": 3, "linewidth": 0.5}
            fill = {} if k == 0 else {"markerfacecolor": "white"}
            ax.plot(config.scales, np.mean(by_scale, axis=1), **style | fill)
        for line in found["derived"]:
            ax.plot(config.scales, line, **panels.DASHED)
    ax.set(title="(d) angle error in degrees", xlabel=r"start $\varepsilon$", xscale="log", yscale="log", ylim=(1e-5, 30))
    ax.text(0.03, 0.97, f"open: stop at {config.stops[-1]:g}", fontsize=6, va="top", transform=ax.transAxes)


def _draw_participation(ax: Axes, errors: dict[str, dict[str, Any]], config: Config) -> None:
    """Participation numbers, every seed a point."""
    for name, found in errors.items():
        for seed in range(len(config.seeds)):
            values = np.array(found["participation"])[:, seed]
            shown: dict[str, Any] = {"label": name} if seed == 0 else {}
            ax.plot(config.scales, values, color=_COLORS[name], marker="o", markersize=2, linewidth=0.5, **shown)
    ax.legend(frameon=False, fontsize=6, handlelength=1.0, loc="center left", bbox_to_anchor=(0.0, 0.42), ncols=2)
    ax.axhline(1.0, **panels.DASHED)
    ax.set(title="(h) neurons that carry it", xlabel=r"start $\varepsilon$", xscale="log", yscale="log")


if __name__ == "__main__":
    main(Config())
