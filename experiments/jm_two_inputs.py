r"""Networks of two inputs beside their limit, after the two-input comparison of Jin & Montúfar, JMLR 2023, and real data.

ReLU, gradient flow, w uniform on the circle, b uniform on (-2, 2). (a) The limit through five points of our own, as
contours. (b) Distance of trained networks to three functions, by width. To the limit it falls as predicted. To the cubic
radial spline with a free affine part, which leaves out what the neurons pay for slope and offset, it levels off, and to the
limit for unit vectors that are normalized from a square, and so not uniform on the circle. (c) Progression of diabetes in a
year from body mass index and s5 (triglycerides), 442 patients of the data set that scikit-learn bundles: the limit at the
training time of least error in cross-validation, with a network that was stopped there as dashed contours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.limit.several_inputs.bias_moments import UniformBias
from splinebias.plots import BLACK, BLUE, GREEN, VERMILLION
from splinebias.studies.study import run_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "jm_two_inputs"
_B = 2.0
_X = np.array([(-0.8, -0.7), (-0.6, 0.7), (0.0, 0.1), (0.7, -0.5), (0.6, 0.8)])
_Y = np.array([0.5, -0.3, 0.6, -0.4, 0.2])
_COLORS = {"limit": BLUE, "free affine part": GREEN, "directions of a square": VERMILLION}


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    widths, seeds : tuple of int
        Networks of (b).
    side : int
        Points along each side of the square on which functions are drawn and compared.
    folds : int
        Of the cross-validation in (c).
    times : int
        Training times that it looks at, logarithmically spaced.
    width : int
        Units of the network in (c).
    """

    interval: tuple[float, float] = (-1.0, 1.0)
    widths: tuple[int, ...] = (100, 400, 1600, 6400, 25_600, 102_400)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    side: int = 41
    folds: int = 10
    times: int = 25
    width: int = 10_000


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print distances, and return what the JSON file holds."""
    common.prepare(NAME, config)
    problem = five_points()
    at = _square(config)
    functions = {name: made(at) for name, made in limits(problem).items()}
    band = sb.error_band(problem, 100, interval=[config.interval] * 2)
    distances = _distances(problem, functions, at, config)
    patients = _patients(config)
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        _draw_limit(left, functions["limit"], config)
        _draw_distances(middle, distances, functions, band.constant.value, config)
        errors = _draw_patients(right, patients, config)
        results = {
            "between limits": {name: float(np.abs(f - functions["limit"]).max()) for name, f in functions.items()},
            "constant": float(f"{band.constant.value:.3g}"),
            "distances": distances,
            "patients": errors,
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: mean distance of networks to each function, by width {config.widths}")
    for name, row in distances.items():
        print(f"{name:>24}: " + ", ".join(f"{size:.4f}" for size in row))
    print("cross-validated root mean square, of the deviation of y: " + ", ".join(f"{k} {v:.4g}" for k, v in errors.items()))
    return document


def five_points() -> sb.Problem:
    """The problem of (a) and (b)."""
    return sb.Problem(sb.Points(_X, _Y), sb.Initialization.sphere(stats.uniform(-_B, 2 * _B), dim=2))


def limits(problem: sb.Problem) -> dict[str, Callable[[Array], Array]]:
    """The limit, and the two functions that are not."""
    return {
        "limit": sb.predict(problem).function,
        "free affine part": sb.predict(problem.replace(affine="free")).function,
        "directions of a square": _of_directions(lambda t: 1 / np.maximum(np.abs(np.cos(t)), np.abs(np.sin(t))) ** 2),
    }


def _of_directions(density: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The limit for w = (cos t, sin t) with a density of t, known up to a factor, of period pi: by the trapezoidal rule."""
    t = (np.arange(1024) + 0.5) * np.pi / 1024
    directions, mass, bias = np.stack([np.cos(t), np.sin(t)]), density(t) / density(t).sum(), UniformBias(-_B, _B)

    def kernel(x: Array, x2: Array) -> Array:
        u, u2 = (x @ directions)[:, None], (x2 @ directions)[None]
        both = bias.products(sb.ReLU(), u, u2) + bias.products(sb.ReLU(), -u, -u2)
        return np.asarray(both @ mass / 2)

    multipliers = np.linalg.solve(kernel(_X, _X), _Y)
    return lambda x: kernel(x, _X) @ multipliers


def _square(config: Config) -> Array:
    side = np.linspace(*config.interval, config.side)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def _distances(problem: sb.Problem, functions: dict[str, Array], at: Array, config: Config) -> dict[str, list[float]]:
    """Mean over seeds of the largest distance on the square, per function and width."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for width in config.widths:
        values = [sb.train(problem, width, run_seed(s, width), progress=False).function(at) for s in config.seeds]
        for name, function in functions.items():
            found[name].append(float(np.mean([np.abs(f - function).max() for f in values])))
    return found


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Patients, the time that cross-validation chooses, and its errors."""

    problem: sb.Problem
    time: float
    errors: dict[str, float]


def _patients(config: Config) -> _Chosen:
    """The data set with both inputs mapped to [-1, 1] and y standardized; 25 times from 0.1 on, and the end."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    x = data.data[:, [data.feature_names.index(name) for name in ("bmi", "s5")]]
    x = 2 * (x - x.min(axis=0)) / np.ptp(x, axis=0) - 1
    y = (data.target - data.target.mean()) / data.target.std()
    law = five_points().initialization
    times = [*np.geomspace(1e-1, 1e5, config.times).tolist(), np.inf]
    squares = np.zeros(len(times))
    fold = np.random.default_rng(0).permutation(len(y)) % config.folds
    for k in range(config.folds):
        inside = sb.Problem(sb.Points.from_replicates(x[fold != k], y[fold != k]), law)
        for number, prediction in enumerate(sb.PointsSolver().at(inside, times)):
            squares[number] += ((prediction.function(x[fold == k]) - y[fold == k]) ** 2).sum()
    errors = np.sqrt(squares / len(y))
    best = int(errors[:-1].argmin())
    shown = {"time": times[best], "chosen": float(errors[best]), "end": float(errors[-1])}
    return _Chosen(sb.Problem(sb.Points.from_replicates(x, y), law), times[best], shown)


def _draw_limit(ax: Axes, values: Array, config: Config) -> None:
    side = np.linspace(*config.interval, config.side)
    drawn = ax.contourf(side, side, values.reshape(config.side, -1), levels=15, cmap="PuOr")
    _bar(ax, drawn)
    ax.scatter(
        _X[:, 0],
        _X[:, 1],
        c=_Y,
        cmap="PuOr",
        norm=drawn.norm,  # type: ignore[arg-type]
        edgecolors=BLACK,
        linewidths=0.8,
        s=30,
        clip_on=False,
        zorder=3,
    )
    ax.set(xlabel="$x_1$", ylabel="$x_2$", title="(a) the limit through five points")


def _draw_distances(
    ax: Axes, distances: dict[str, list[float]], functions: dict[str, Array], constant: float, config: Config
) -> None:
    widths = np.array(config.widths)
    ax.plot(widths, constant / np.sqrt(widths), label="predicted", **panels.DASHED)
    for name, row in distances.items():
        ax.plot(widths, row, "o-", color=_COLORS[name], markersize=3, linewidth=1.0, label=name)
        if name != "limit":
            ax.axhline(float(np.abs(functions[name] - functions["limit"]).max()), color=_COLORS[name], linewidth=0.5)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="width $n$ (hidden units)",
        ylabel="mean largest distance",
        title="(b) networks to three functions",
    )
    ax.legend(frameon=False, loc="lower left", borderaxespad=0.0)


def _draw_patients(ax: Axes, chosen: _Chosen, config: Config) -> dict[str, float]:
    """Contours of the limit and of a network at the chosen time; the errors, with the distance of the two."""
    problem, at = chosen.problem, _square(config)
    side, shape = np.linspace(*config.interval, config.side), (config.side, config.side)
    limit = sb.predict(problem, time=chosen.time).function(at)
    run = sb.train(problem, config.width, 0, method=sb.MirrorFlow(time=chosen.time), progress=False)
    network = run.function(at)
    drawn = ax.contourf(side, side, limit.reshape(shape), levels=11, cmap="PuOr")
    _bar(ax, drawn)
    ax.contour(side, side, network.reshape(shape), levels=drawn.levels, colors=BLACK, linewidths=0.5, linestyles="--")
    x = problem.data.x
    ax.scatter(
        x[:, 0],
        x[:, 1],
        c=problem.data.y,
        cmap="PuOr",
        norm=drawn.norm,  # type: ignore[arg-type]
        edgecolors=BLACK,
        linewidths=0.2,
        s=6,
    )
    ax.set(xlabel="body mass index (scaled)", ylabel="s5 (scaled)", title=f"(c) 442 patients at $t =$ {chosen.time:,.0f}")
    return chosen.errors | {"network to limit": float(np.abs(network - limit).max())}


def _bar(ax: Axes, drawn: Any) -> None:
    figure = ax.figure
    assert figure is not None
    figure.colorbar(drawn, ax=ax, shrink=0.85, aspect=25, pad=0.02)


if __name__ == "__main__":
    main(Config())
