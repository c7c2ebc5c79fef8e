r"""An ordinary torch script at its default initialization: where it ends, why, and what is left of the gap with width.

``Sequential(Linear(1, n), ReLU(), Linear(n, 1))`` starts at a random function of size .2 to .6, not at zero. (a) The law
over starts at infinite width, mean and two standard deviations, before networks of the largest width, trained. (b) One of
them beside the limit from zero and the limit from its own start. (c) The gap to the limit from zero in parts
(`sb.diagnose`), mean over starts of their sup, stacked: below n = 1,000 hidden layers and moving features rule, then
sampling, and the start stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.plots import BLACK, BLUE, GREEN, OKABE_ITO, VERMILLION
from splinebias.training.train import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "torch_default"
PARTS = ("start", "sampling", "hidden kernel", "moving features", "unfinished")
_COLORS = dict(zip(PARTS, OKABE_ITO[1:], strict=False))


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    data : str
        Name of the data set.
    widths : tuple of int
        Widths of (c); (a) and (b) show the largest.
    seeds : tuple of int
        Seeds of torch, per width of (c).
    networks : int
        Networks of (a).
    time : float
        Training time, n * (sum of learning rates) for half the mean squared residual.
    """

    data: str = "liang_montufar_a"
    widths: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    seeds: tuple[int, ...] = tuple(range(8))
    networks: int = 20
    time: float = 1e6


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print the parts, and return what the JSON file holds."""
    common.prepare(NAME, config)
    problem = sb.Problem(common.load(config.data), sb.Initialization.pytorch_default(both_layers=True))
    widest = [_trained(problem, max(config.widths), seed, config) for seed in range(config.networks)]
    taken_apart = {
        width: [_taken_apart(_trained(problem, width, seed, config), config) for seed in config.seeds]
        for width in config.widths
    }
    sizes = {
        name: [float(np.mean([found[name].sup for found in taken_apart[width]])) for width in config.widths]
        for name in (*PARTS, "total")
    }
    x = np.linspace(*config.interval, 241)
    law = sb.start_process(problem, time=config.time)
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        _draw_law(left, law, widest, config)
        distances = _draw_one(middle, problem, widest[0], config)
        _draw_parts(right, sizes, config)
        results = {
            "parts": sizes,
            "std": law.std(x).tolist(),
            "spread": np.std([run.function(x) for run in widest], axis=0, ddof=1).tolist(),
            "distances": distances,
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: mean sup of each part on {config.interval}, by width {config.widths}")
    for name, row in sizes.items():
        print(f"{name:>16}: " + ", ".join(f"{size:.4f}" for size in row))
    print(f"{'limit from zero':>16}: {distances['zero']:.4f}, from its own start: {distances['own start']:.4f}")
    return document


def module_of(width: int, seed: int) -> torch.nn.Module:
    """What the script makes, at torch's default initialization."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))


def _trained(problem: sb.Problem, width: int, seed: int, config: Config) -> Training:
    method = sb.MirrorFlow(time=config.time, rtol=1e-6)
    return sb.train(problem, start=sb.from_torch(module_of(width, seed)), method=method, loss_tol=1e-30, progress=False)


def _taken_apart(run: Training, config: Config) -> sb.Diagnosis:
    found = sb.diagnose(run, interval=config.interval)
    assert isinstance(found, sb.Diagnosis)  # a Training knows its start
    return found


def _draw_law(ax: Axes, law: sb.StartProcess, widest: list[Training], config: Config) -> None:
    x = np.linspace(*config.interval, 241)
    mean, deviation = law.mean(x), law.std(x)
    ax.fill_between(x, mean - 2 * deviation, mean + 2 * deviation, color=GREEN, alpha=0.3, linewidth=0, label="predicted")
    for number, run in enumerate(widest):
        ax.plot(x, run.function(x), color=BLUE, linewidth=0.4, label="networks" if number == 0 else None)
    ax.plot(x, mean, **panels.DASHED)
    panels.draw_data(ax, law.problem.data)
    ax.set(xlabel="$x$", ylabel="$f(x)$", title=f"(a) {len(widest)} starts, width {max(config.widths):,}")
    ax.legend(frameon=False, loc="lower center", ncols=2, borderaxespad=0.0)
    ax.set_ylim(min(ax.get_ylim()[0], -0.66), None)


def _draw_one(ax: Axes, problem: sb.Problem, run: Training, config: Config) -> dict[str, float]:
    """One network, less the limit from zero, beside the limit from its start; its distances to the two."""
    x = np.unique(np.r_[np.linspace(*config.interval, 601), problem.data.x])
    zero, own = sb.predict(problem, time=config.time), sb.predict(problem, time=config.time, start=run.start)
    ax.axhline(0.0, color=BLACK, linewidth=0.6)
    ax.plot(x, run.function(x) - zero.function(x), color=BLUE, linewidth=2.4, label="network")
    ax.plot(x, own.function(x) - zero.function(x), color=VERMILLION, linewidth=1.0, label="limit from its own start")
    ax.plot(problem.data.x, np.zeros(problem.data.size), "o", color=BLACK, markersize=3)
    ax.set(xlabel="$x$", ylabel="difference to the limit from zero", title="(b) the first of them")
    ax.legend(frameon=False, loc="upper center", borderaxespad=0.0)
    ax.set_ylim(None, ax.get_ylim()[1] + 0.5 * np.ptp(ax.get_ylim()))
    return {
        "zero": sb.compare(run.function, zero.function, config.interval).sup,
        "own start": sb.compare(run.function, own.function, config.interval).sup,
    }


def _draw_parts(ax: Axes, sizes: dict[str, list[float]], config: Config) -> None:
    places, bottom = np.arange(len(config.widths)), np.zeros(len(config.widths))
    for name in PARTS[:4]:
        ax.bar(places, sizes[name], bottom=bottom, width=0.7, color=_COLORS[name], label=name)
        bottom = bottom + np.array(sizes[name])
    ax.plot(places, sizes["total"], "o", color=BLACK, markersize=3.5, label="whole gap")
    ax.set_xticks(places, [f"{width:,}" for width in config.widths])
    ax.set(xlabel="width $n$ (hidden units)", ylabel="mean sup", title="(c) the gap to the limit, in parts")
    ax.legend(frameon=False, loc="upper right", borderaxespad=0.0)


if __name__ == "__main__":
    main(Config())
