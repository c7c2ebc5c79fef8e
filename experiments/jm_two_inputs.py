r"""The two-input comparison of Jin & Montúfar, JMLR 2023, redone with exact limits, and two inputs of real data.

Five points, ReLU, b uniform on (-2, 2), w of length 1. The points, the law and the grid of 21 x 21 points are those of the
authors' public notebook (github.com/huijin12/Implicit_Bias_Wide_Neural_Networks,
``ASI_trick_differenct_neuron_all_case_2D_const_curvature.ipynb``, and its ``networks.py``); nothing else is taken from it.
Its limit is the cubic radial spline with a free affine part. That is not quite what these networks approach, and two
different things are left out: what neurons pay for the offset (slopes vanish here by symmetry), and that unit vectors made
by normalizing PyTorch's default weights are not uniform on the circle, but directions of a square.

(a) The exact limit for w uniform on the circle, the law that is stated, as contours. (b) Largest distance of trained
networks on the grid, by width, mean over seeds: networks of the stated law and of the law that the notebook draws, each to
its exact limit, which falls as predicted, and to the published limit, which levels off at the distance of the two: 4.3e-3
and 6.3e-3. (c) Progression of diabetes in a year from body mass index and s5 (triglycerides), 442 patients of the data set
that scikit-learn bundles: the limit at the training time of least error in cross-validation, with a network that was
stopped there as dashed contours.
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
from splinebias.plots import BLACK, BLUE, VERMILLION
from splinebias.studies.study import run_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "jm_two_inputs"
_B = 2.0
_X = np.array([(-1.0, -1.0), (1.0, 1.0), (0.0, 0.0), (-1.0, 1.0), (1.0, -1.0)])
_Y = np.array([1.5, 1.5, 0.5, -0.5, -0.5])
_GRID = 21  # points along each side of the square on which the notebook compares functions
_COLORS = {"stated": BLUE, "drawn": VERMILLION}


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the figure.

    Parameters
    ----------
    widths, seeds : tuple of int
        Networks of (b).
    side : int
        Points along each side of the square on which functions are drawn.
    folds : int
        Of the cross-validation in (c).
    times : int
        Training times that it looks at, logarithmically spaced.
    width : int
        Units of the network in (c).
    """

    interval: tuple[float, float] = (-1.0, 1.0)
    widths: tuple[int, ...] = (100, 1600, 25_600, 102_400, 409_600, 1_638_400)
    seeds: tuple[int, ...] = (0, 1, 2)
    side: int = 41
    folds: int = 10
    times: int = 25
    width: int = 10_000


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print distances, and return what the JSON file holds."""
    common.prepare(NAME, config)
    found, grid = limits(), square(_GRID)
    functions = {name: made(grid) for name, made in found.items()}
    band = sb.error_band(five_points(), 100, interval=[config.interval] * 2)
    distances = {name: _distances(name, functions, config) for name in _COLORS}
    patients = _patients(config)
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        _draw_limit(left, found["stated"], config)
        _draw_distances(middle, distances, functions, band.constant.value, config)
        errors = _draw_patients(right, patients, config)
        results: dict[str, Any] = {
            "published limit to exact ones": {name: apart(functions["published"], functions[name]) for name in _COLORS},
            "between the exact ones": apart(functions["stated"], functions["drawn"]),
            "constant": float(f"{band.constant.value:.3g}"),
            "distances": distances,
            "patients": errors,
        }
        document = common.publish(NAME, config, figure, results)
    for name, row in results["published limit to exact ones"].items():
        print(f"{NAME}: published limit to that of the {name} law: largest {row['sup']:.2e}, L2 {row['L2']:.2e}")
    print(f"{NAME}: mean largest distance of networks of a law to a limit, by width {config.widths}")
    for law, rows in distances.items():
        for name, sizes in rows.items():
            print(f"{law:>7} to {name:>9}: " + ", ".join(f"{size:.4f}" for size in sizes))
    print("cross-validated root mean square, of the deviation of y: " + ", ".join(f"{k} {v:.4g}" for k, v in errors.items()))
    return document


@dataclass(frozen=True)
class NormalizedSquare:
    """What the notebook draws: w uniform on a square, divided by its length, and b ~ U(-B, B)."""

    def sample(self, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """w of shape (width, 2), b of shape (width,)."""
        w = rng.uniform(-1, 1, (width, 2))
        return w / np.linalg.norm(w, axis=1, keepdims=True), rng.uniform(-_B, _B, width)


def five_points(law: str = "stated") -> sb.Problem:
    """The published points with w uniform on the circle ("stated"), or as the notebook draws them ("drawn")."""
    if law == "drawn":
        return sb.Problem(sb.Points(_X, _Y), sb.Initialization.from_sampler(NormalizedSquare()))
    return sb.Problem(sb.Points(_X, _Y), sb.Initialization.sphere(stats.uniform(-_B, 2 * _B), dim=2))


def limits() -> dict[str, Callable[[Array], Array]]:
    """The exact limits of both laws, and the published one."""
    return {
        "stated": sb.predict(five_points()).function,
        "drawn": _of_directions(lambda t: 1 / np.maximum(np.abs(np.cos(t)), np.abs(np.sin(t))) ** 2),
        "published": sb.predict(five_points().replace(affine="free")).function,
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


def apart(f: Array, g: Array) -> dict[str, float]:
    """How far values on the grid of the notebook are apart, largest and in L2 (its sum of squares times h^2, rooted)."""
    return {"sup": float(np.abs(f - g).max()), "L2": float(np.sqrt(((f - g) ** 2).sum()) * 2 / (_GRID - 1))}


def square(side: int) -> Array:
    """side^2 points of the square of the data."""
    along = np.linspace(-1, 1, side)
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def _distances(law: str, functions: dict[str, Array], config: Config) -> dict[str, list[float]]:
    """Mean over seeds of the largest distance on the grid of networks of a law, to its limit and to the published one."""
    problem, grid = five_points(law), square(_GRID)
    found: dict[str, list[float]] = {"its limit": [], "published": []}
    for width in config.widths:
        values = [sb.train(problem, width, run_seed(s, width), progress=False).function(grid) for s in config.seeds]
        for name, function in (("its limit", functions[law]), ("published", functions["published"])):
            found[name].append(float(np.mean([apart(f, function)["sup"] for f in values])))
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


def _draw_limit(ax: Axes, function: Callable[[Array], Array], config: Config) -> None:
    side = np.linspace(-1, 1, config.side)
    drawn = ax.contourf(side, side, function(square(config.side)).reshape(config.side, -1), levels=15, cmap="PuOr")
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
    ax.set(xlabel="$x_1$", ylabel="$x_2$", title="(a) the limit of the stated law")


def _draw_distances(
    ax: Axes,
    distances: dict[str, dict[str, list[float]]],
    functions: dict[str, Array],
    constant: float,
    config: Config,
) -> None:
    widths = np.array(config.widths)
    ax.plot(widths, constant / np.sqrt(widths), label="predicted", **panels.DASHED)
    for law, rows in distances.items():
        color = _COLORS[law]
        ax.plot(widths, rows["its limit"], "o-", color=color, markersize=3, linewidth=1.0, label=f"{law} law, its limit")
        style: dict[str, Any] = {"color": color, "markersize": 3, "linewidth": 1.0, "markerfacecolor": "white"}
        ax.plot(widths, rows["published"], "s:", label=f"{law} law, published", **style)
        ax.axhline(apart(functions["published"], functions[law])["sup"], color=color, linewidth=0.5)
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(min(min(row) for rows in distances.values() for row in rows.values()) / 30, None),  # room for the legend
        xlabel="width $n$ (hidden units)",
        ylabel="mean largest distance",
        title="(b) networks to two limits each",
    )
    ax.legend(frameon=False, loc="lower left", borderaxespad=0.0)


def _draw_patients(ax: Axes, chosen: _Chosen, config: Config) -> dict[str, float]:
    """Contours of the limit and of a network at the chosen time; the errors, with the distance of the two."""
    problem, at = chosen.problem, square(config.side)
    side, shape = np.linspace(-1, 1, config.side), (config.side, config.side)
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
