r"""The rich end: linear splines of least norm, and networks that weight decay leads to them.

Four data sets. Shaded: all functions of least :math:`\int |f''|`, which is what a network with free biases and a skip
connection needs; dotted: one of them with fewest knots. Black, dashed: the only one of least
:math:`\int \sqrt{1 + c^2} |f''|`, biases penalized. Blue: a network without skip connection, trained by plain gradient
descent with momentum on the mean squared error with weight decay of all but the output bias; its minimum at that
strength, `minimum_norm(..., strength=decay/2)`, lies within the width of the line where training reached it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.plots import BLACK, BLUE, VERMILLION, plot_minimum_norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "least_norm_sheet"
SETS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "a convex run": ((-1, -0.7, -0.3, 0.1, 0.3, 0.6, 1), (0.5, 0.1, -0.25, -0.3, -0.05, 0.3, 1)),
    "mixed curvature": ((-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95), (0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3)),
    "a parabola": ((-1, -0.5, 0, 0.5, 1), (1, 0.25, 0, 0.25, 1)),
    "a peak": ((-1, -0.2, 0, 0.2, 1), (-0.15, -0.15, 0.15, -0.15, -0.15)),
}


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the sheet.

    Parameters
    ----------
    width : int
        Hidden units of the networks.
    decay : float
        Weight decay of the networks, in torch's sense.
    rate, momentum : float
        Learning rate for the mean squared error, and momentum.
    steps : int
        Steps of descent; the rate is divided by 4 after two thirds and after five sixths of them.
    seed : int
        Of the networks' start.
    """

    interval: tuple[float, float] = (-1.25, 1.25)
    width: int = 100
    decay: float = 4e-4
    rate: float = 0.05
    momentum: float = 0.95
    steps: int = 40_000
    seed: int = 0


def main(config: Config) -> dict[str, Any]:
    """Compute the sheet, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    from matplotlib.figure import Figure

    results, lines = {}, [f"{NAME}: objective of networks beside the least, weight decay {config.decay:g}"]
    with panels.style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots(2, 2)
        for ax, letter, (name, points) in zip(axes.flat, "abcd", SETS.items(), strict=True):
            data = sb.Dataset(np.array(points[0]), np.array(points[1]))
            network, reached = trained(data, config)
            strength = sb.sgd_strength(config.decay)
            optimum = sb.minimum_norm(data, penalize_bias=True, affine="network", strength=strength)
            results[name] = _draw(ax, data, network, config) | {"reached": reached, "optimum": optimum.objective}
            results[name]["distance"] = sb.compare(network, optimum.function, config.interval).sup
            ax.set_title(f"({letter}) {name}")
            lines.append(f"{name:>16}: {reached:.8f} beside {optimum.objective:.8f}")
        panels.place_legend(figure, _handles())
        document = common.publish(NAME, config, figure, {"sets": results})
    print("\n".join(lines))
    return document


def trained(data: sb.Dataset, config: Config) -> tuple[sb.PiecewiseLinear, float]:
    """A network with weight decay, as torch trains it, and the objective L + s sum \\|a\\||(w, b)| it reached."""
    import torch

    generator = torch.Generator().manual_seed(config.seed)
    w, b, a = (0.3 * torch.randn(config.width, generator=generator, dtype=torch.float64) for _ in range(3))
    d = torch.zeros((), dtype=torch.float64)
    for parameter in (w, b, a, d):
        parameter.requires_grad_(True)
    groups: list[dict[str, Any]] = [{"params": [w, b, a], "weight_decay": config.decay}, {"params": [d]}]
    optimizer = torch.optim.SGD(groups, lr=config.rate, momentum=config.momentum)
    x, y = torch.tensor(data.x), torch.tensor(data.y)
    for step in range(config.steps):
        if step in (2 * config.steps // 3, 5 * config.steps // 6):
            for group in optimizer.param_groups:
                group["lr"] /= 4
        optimizer.zero_grad()
        loss = ((torch.relu(x[:, None] * w + b) @ a + d - y) ** 2).mean()
        torch.autograd.backward(loss)
        optimizer.step()
    hidden, biases, output = (parameter.detach().numpy() for parameter in (w, b, a))
    function = sb.PiecewiseLinear.from_units(hidden, biases, output, float(d.detach()), sb.ReLU())
    misfit = float(np.mean((function(data.x) - data.y) ** 2) / 2)
    return function, misfit + sb.sgd_strength(config.decay) * float(np.abs(output) @ np.hypot(hidden, biases))


def _draw(ax: Axes, data: sb.Dataset, network: sb.PiecewiseLinear, config: Config) -> dict[str, Any]:
    """One data set: the set of minimizers, its sparsest member, the bias-penalized one, the network."""
    free, biased = sb.minimum_norm(data), sb.minimum_norm(data, penalize_bias=True)
    x = np.linspace(*config.interval, 1001)
    ax.plot(x, network(x), color=BLUE, linewidth=2.4, zorder=1.8)
    plot_minimum_norm(free, ax, interval=config.interval, linewidth=0.0)
    ax.plot(x, free.sparsest(x), color=VERMILLION, linestyle=":", linewidth=1.3)
    ax.plot(x, biased.function(x), **panels.DASHED)
    return {
        "least_total_curvature": free.norm,
        "unique": free.unique,
        "fewest_knots": free.sparsest.knots.tolist(),
        "least_with_biases": biased.norm,
        "knots_with_biases": biased.knots.tolist(),
        "jumps_with_biases": biased.jumps.tolist(),
    }


def _handles() -> list[Any]:
    """What the lines are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(
            color=VERMILLION, alpha=0.2, linewidth=0, label=r"all of least $\int|f\,\u2033|$".replace(r"\u2033", "\u2033")
        ),
        Line2D([], [], color=VERMILLION, linestyle=":", linewidth=1.3, label="fewest knots"),
        Line2D([], [], **panels.DASHED, label="biases penalized"),
        Line2D([], [], color=BLUE, linewidth=2.4, label="network, weight decay"),
        Line2D([], [], color=BLACK, marker="o", markersize=4, linestyle="none", label="data"),
    ]


if __name__ == "__main__":
    main(Config())
