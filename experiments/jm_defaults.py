r"""PyTorch's default initialization beside the natural cubic spline, and networks with titanium data up to width 1,000,000.

(a), (b) W and B uniform on (-1, 1) penalize curvature evenly between the data, so that with a skip connection the limit *is*
the natural cubic spline (Jin & Montúfar, JMLR 24(137), 2023); without one the neurons must also make slope and offset, and
the limit itself is 0.011 away from it. At widths up to 1620 moving features make errors up to twice the predicted ones.
(c) The titanium heat data (de Boor 1978), 49 points: narrow networks cannot fit them, and up to width 100,000 moving
features make errors five to ten times the predicted ones; at width 1,000,000 the prediction is met.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.stats import uniform

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from experiments.jm_trajectory import load
from splinebias._array import Array
from splinebias.functions.compare import compare
from splinebias.plots import BLUE, GREEN, ORANGE, VERMILLION, plot_inverse_root
from splinebias.studies.results import Study, StudyGrid
from splinebias.studies.study import study_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "jm_defaults"
_SKIP, _PLAIN = "with skip", "without skip"
_COLORS = {_SKIP: BLUE, _PLAIN: VERMILLION}
_STAGGER = 1.09  # ratio that keeps the markers of one width apart
_REACH = 1.25  # biases of the titanium networks: breakpoints a little beyond the data


@dataclass(frozen=True)
class Config(common.Settings):
    """Settings of the figure.

    Parameters
    ----------
    data : str
        Name of the data set of (a) and (b).
    titanium_widths : tuple of int
        Widths of (c).
    titanium_seeds : tuple of int
        Seeds per width of (c).
    titanium_tol : float
        Loss of (c); narrow networks do not reach it and are drawn hollow.
    """

    interval: tuple[float, float] = (-1.0, 1.0)
    seeds: tuple[int, ...] = tuple(range(8))
    data: str = "liang_montufar_a"
    titanium_widths: tuple[int, ...] = (100, 316, 1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000)
    titanium_seeds: tuple[int, ...] = (0, 1, 2, 3)
    titanium_tol: float = 1e-7


def main(config: Config) -> dict[str, Any]:
    """Compute the figure, write NAME.png, NAME.pdf and NAME.json, print the errors, and return what the JSON file holds."""
    common.prepare(NAME, config)
    grid = study_grid(_defaults(config), jobs=config.jobs)
    titanium = study_grid(_titanium(config), jobs=config.jobs).parts[0]
    data = grid.parts[0].problem.data
    natural = _natural(data)
    distances = {part.names["problem"]: _distances(part, natural, config) for part in grid.parts}
    constants = [
        common.predicted_constant(part.problem, int(part.summary["width"].max()), part.interval)
        for part in (grid.part(problem=_SKIP), titanium)
    ]
    with panels.style():
        figure, (left, middle, right) = panels.new_figure()
        _draw_functions(left, grid, natural, config)
        _draw_distances(middle, grid, distances, constants[0])
        _draw_titanium(right, titanium, constants[1])
        results = {
            "natural_spline": {name: found.tolist() for name, found in distances.items()},
            "predicted_constants": dict(zip((_SKIP, "titanium"), constants, strict=True)),
            "defaults": [_record(part) for part in grid.parts],
            "titanium": _record(titanium),
        }
        document = common.publish(NAME, config, figure, results)
    print(f"{NAME}: mean sup-distance to the natural cubic spline on {config.interval}, by width {config.widths}")
    for name, found in distances.items():
        print(f"  {name}: " + ", ".join(f"{mean:.4f}" for mean in found.mean(axis=1)))
    print(titanium)
    return document


def _defaults(config: Config) -> sb.StudySpec:
    """PyTorch's default, with and without skip connection."""
    data, law = common.load(config.data), sb.Initialization.pytorch_default()
    problems = {_SKIP: sb.Problem(data, law, affine="free"), _PLAIN: sb.Problem(data, law)}
    return sb.StudySpec(problems, config.widths, config.seeds, interval=config.interval, loss_tol=config.loss_tol)


def _titanium(config: Config) -> sb.StudySpec:
    """The titanium data, standardized, with a skip connection."""
    law = sb.Initialization.rademacher(uniform(-_REACH, 2 * _REACH))
    problem = sb.Problem(load()["titanium"], law, affine="free")
    return sb.StudySpec(
        problem, config.titanium_widths, config.titanium_seeds, interval=problem.data.span, loss_tol=config.titanium_tol
    )


def _distances(part: Study, natural: CubicSpline, config: Config) -> Array:
    """sup-distance of every network to the natural spline, shape (widths, seeds)."""
    pairs = [[part.function(width, seed) for seed in config.seeds] for width in config.widths]
    return np.array([[compare(f, natural, config.interval).sup for f in row] for row in pairs])


def _draw_functions(ax: Axes, grid: StudyGrid, natural: CubicSpline, config: Config) -> None:
    x = np.linspace(*config.interval, 601)
    width = max(config.widths)
    for part, line_width in zip(grid.parts, (4.0, 1.8), strict=True):
        name = part.names["problem"]
        ax.plot(x, part.function(width, config.seeds[0])(x), color=_COLORS[name], linewidth=line_width, label=name)
    ax.plot(x, natural(x), **panels.DASHED, label="natural cubic spline")
    panels.draw_data(ax, grid.parts[0].problem.data)
    ax.set(xlabel="$x$", ylabel="$f(x)$", title=f"(a) PyTorch's default, width {width}")
    ax.legend(frameon=False, loc="lower center", borderaxespad=0.0)
    ax.set_ylim(-0.72, None)


def _draw_distances(ax: Axes, grid: StudyGrid, distances: dict[str, Array], constant: float) -> None:
    widths = np.unique(grid.parts[0].table["width"])
    for (name, found), factor, marker in zip(distances.items(), (1 / _STAGGER, _STAGGER), "os", strict=True):
        style: dict[str, Any] = {
            "color": _COLORS[name],
            "marker": marker,
            "markersize": 3,
            "capsize": 2.0,
            "linewidth": 0.9,
            "linestyle": "none",
        }
        spread = found.std(axis=1, ddof=1) if found.shape[1] > 1 else None
        ax.errorbar(factor * widths, found.mean(axis=1), yerr=spread, label=f"network {name}", **style)
    limit = compare(
        grid.part(problem=_PLAIN).prediction.function, _natural(grid.parts[0].problem.data), grid.parts[0].interval
    ).sup
    ax.axhline(limit, color=_COLORS[_PLAIN], linewidth=0.9, linestyle=":", label="predicted limit, without skip")
    plot_inverse_root(constant, widths, ax, **panels.DASHED | {"label": rf"predicted, with skip: ${constant:g}/\sqrt{{n}}$"})
    ax.set(xscale="log", yscale="log", xlabel="width $n$ (hidden units)", ylabel="sup-distance to the natural spline")
    ax.set_title("(b) distance to the natural spline")
    ax.legend(frameon=False, loc="lower left", borderaxespad=0.0)
    ax.set_ylim(bottom=ax.get_ylim()[0] / 12)


def _natural(data: sb.Dataset | sb.Points) -> CubicSpline:
    """SciPy's natural cubic spline."""
    return CubicSpline(data.x, data.y, bc_type="natural")


def _draw_titanium(ax: Axes, part: Study, constant: float) -> None:
    """Errors and penalties of all networks side by side, hollow where the loss was not reached."""
    for column, color, marker, label, factor in (
        ("sup", ORANGE, "o", r"error $\sup\,|f_n - f|$", 1 / _STAGGER),
        ("network_penalty", GREEN, "s", r"penalty: $|1 - $ network / limit$|$", _STAGGER),
    ):
        for good in (True, False):
            rows = part.table[np.array([row.ok for row in part.rows]) == good]
            value = rows["sup"] if column == "sup" else np.abs(1 - rows["network_penalty"] / rows["penalty"])
            ax.plot(
                factor * rows["width"],
                value,
                color=color,
                marker=marker,
                markersize=3.5,
                markerfacecolor=color if good else "none",
                linestyle="none",
                label=label if good else None,
            )
    line = panels.DASHED | {"label": rf"predicted error: ${constant:g}/\sqrt{{n}}$"}
    plot_inverse_root(constant, part.table["width"], ax, **line)
    ax.set(xscale="log", yscale="log", xlabel="width $n$ (hidden units)", ylabel="error, relative excess of penalty")
    ax.set_title("(c) titanium (hollow: not fitted)")
    ax.legend(frameon=False, loc="lower left", borderaxespad=0.0)
    ax.set_ylim(bottom=ax.get_ylim()[0] / 8)


def _record(part: Study) -> dict[str, Any]:
    return {
        "problem": part.problem.describe(),
        "exponent": dataclasses.asdict(part.rate),
        "constant": dataclasses.asdict(part.constant),
        "runs": [{k: v for k, v in row._asdict().items() if k != "seconds"} for row in part.rows],
    }


if __name__ == "__main__":
    main(Config())
