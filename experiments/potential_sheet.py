r"""What the mirror potential does: from sparse to spread-out curvature.

Absolute-value networks of infinite width, W = ±1, B uniform on (-1, 1), scaled potentials, data set B (Liang & Montúfar
2025, theorem on absolute-value networks; theory section 4). Above: :math:`|u|^p`, p from 1.05 to 10. Below: hypentropy,
:math:`u\,\mathrm{asinh}(u/\beta) - \sqrt{u^2 + \beta^2}`, from a nearly quadratic one to :math:`\beta` = 0.001. (a), (d) The
functions; (b), (e) their curvature, on an axis that is linear near zero and logarithmic further out. (c), (f) Total
curvature :math:`\int |f''|`, relative to the least that a function of such a network through the data can have: the gap
closes in proportion to p - 1, and about to 1/log(1/beta) only (dotted). That function is the limit p to 1, `sparse_limit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias._array import Array
from splinebias.limit.predict import predict
from splinebias.plots import BLACK, plot_prediction
from splinebias.potential import Potential

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NAME = "potential_sheet"
_SECOND = "f\\,\u2033"  # the primes that TeX makes of '' are far from the f
_GUIDE: dict[str, Any] = {"color": BLACK, "linestyle": ":", "linewidth": 1.0}


@dataclass(frozen=True)
class Config(common.Output):
    """Settings of the sheet.

    Parameters
    ----------
    data : str
        Name of the data set.
    powers, betas : tuple of float
        The p and beta of the functions that are drawn, increasing.
    excesses, scales : tuple of float
        First and last p - 1 of panel (c), first and last beta of panel (f).
    points : int
        Potentials in each of these panels, logarithmically spaced.
    """

    data: str = "liang_montufar_b"
    powers: tuple[float, ...] = (1.05, 1.2, 1.5, 2, 3, 4, 6, 10)
    betas: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1, 10)
    excesses: tuple[float, float] = (0.005, 9)
    scales: tuple[float, float] = (1e-8, 1e2)
    points: int = 31


class Family(NamedTuple):
    """The limits of the potentials drawn, `names` in TeX, and over a range of the parameter total curvature and its law."""

    names: list[str]
    limits: list[sb.Prediction]
    shown: Array
    parameter: Array
    total: Array
    law: Callable[[Array], Array]


def main(config: Config) -> dict[str, Any]:
    """Compute the sheet, write NAME.png, NAME.pdf and NAME.json, print a summary, and return what the JSON file holds."""
    common.prepare(NAME, config)
    law = sb.Initialization.rademacher(stats.uniform(-1, 2))
    problem = sb.Problem(common.load(config.data), law, sb.Abs())
    least = sb.sparse_limit(problem).function
    power_names = [f"$p = {p:g}$" for p in config.powers]
    beta_names = [rf"$\beta = {beta:g}$" for beta in config.betas]
    families = [
        _family(
            problem,
            lambda excess: sb.Power(1 + excess),
            lambda excess: excess,
            power_names,
            np.array(config.powers) - 1,
            config.excesses,
            config,
        ),
        _family(
            problem,
            sb.Hypentropy,
            lambda beta: 1 / np.log(1 / beta),
            beta_names,
            np.array(config.betas),
            config.scales,
            config,
        ),
    ]
    with panels.style():
        figure, axes = _new_figure()
        for row, family, letters in zip(axes, families, ("abc", "def"), strict=True):
            _draw_family(row, family, letters, least, config)
        axes[0, 0].set_title(r"(a) potentials $|u|^p$")
        axes[1, 0].set_title(r"(d) hypentropy")
        axes[0, 2].set_xlabel("$p - 1$")
        axes[1, 2].set_xlabel(r"$\beta$")
        panels.place_legend(figure, _handles())
        results = {
            "least_total_curvature": float(np.abs(least.kinks).sum()),
            "powers": _record(families[0], config.powers, config),
            "hypentropies": _record(families[1], config.betas, config),
        }
        document = common.publish(NAME, config, figure, results)
    print(_summary(families, least))
    return document


def total_curvature(f: sb.WeightedSpline) -> float:
    """The integral of |f''|, exact: f' is monotone between neighbours among the knots and the zeros of f''."""
    first, last = f.knots[0], f.knots[-1]
    turns = np.r_[first, f.derivative(2).roots(0.0, (first, last)), f.knots, last]
    return float(np.abs(np.diff(f(np.unique(turns), 1))).sum())


def _family(
    problem: sb.Problem,
    potential: Callable[[float], Potential],
    law: Callable[[Array], Array],
    names: list[str],
    shown: Array,
    ends: tuple[float, float],
    config: Config,
) -> Family:
    """The limits of `problem` with `potential` at the parameters `shown`, and total curvature between `ends`."""

    def limit(parameter: float) -> sb.Prediction:
        phi = sb.Scaled(potential(parameter))
        return predict(sb.Problem(problem.data, problem.initialization, problem.activation, phi))

    parameter = np.geomspace(*ends, config.points)
    total = np.array([total_curvature(limit(value).change) for value in parameter.tolist()])
    return Family(names, [limit(value) for value in shown.tolist()], shown, parameter, total, law)


def _new_figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots(2, 3)
    axes[1, 0].sharey(axes[0, 0])
    return figure, axes


def _draw_family(axes: Sequence[Axes], family: Family, letters: str, least: sb.PiecewiseLinear, config: Config) -> None:
    """One row: functions, curvature, total curvature."""
    from matplotlib import colormaps

    functions, curvature, total = axes
    x = np.linspace(*config.interval, 1501)
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(family.limits)))
    for limit, color in zip(family.limits, colors, strict=True):
        plot_prediction(limit, functions, interval=config.interval, color=color, linestyle="-")
        curvature.plot(x, limit.function(x, 2), color=color, linewidth=1.2)
    functions.plot(x, least(x), **panels.DASHED)
    curvature.set_yscale("asinh", linear_width=4)
    curvature.set_yticks([-100, -30, -10, 0, 10, 30, 100])
    curvature.set(xlabel="$x$", ylabel=f"${_SECOND}(x)$", xlim=config.interval)
    curvature.set_title(f"({letters[1]}) curvature")
    minimum = np.abs(least.kinks).sum()
    total.plot(family.parameter, family.total / minimum, color="0.5", linewidth=1.0)
    for value, name, limit, color in zip(family.shown, family.names, family.limits, colors, strict=True):
        ratio = total_curvature(limit.change) / minimum
        total.plot(value, ratio, marker="o", markersize=4, linestyle="none", color=color, label=name)
    near = family.parameter[: config.points // 2]
    gap = (family.total[0] / minimum - 1) * family.law(near) / family.law(near[0])
    total.plot(near, 1 + gap, **_GUIDE)
    total.axhline(1.0, **panels.DASHED)
    total.set(xscale="log", ylabel=rf"$\int\,|{_SECOND}|$, relative to the least")
    total.tick_params(which="minor", bottom=False)
    total.legend(frameon=False, handletextpad=0.1, labelspacing=0.2, borderaxespad=0.0, loc="upper left")
    total.set_title(f"({letters[2]}) total curvature")


def _handles() -> list[Artist]:
    """What the colours do not say."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="0.5", linewidth=1.2, label="infinite width, colours as in (c) and (f)"),
        Line2D([], [], **panels.DASHED, label="least total curvature"),
        Line2D([], [], **_GUIDE, label=r"gap $\propto p - 1$ (c), $1/\log(1/\beta)$ (f)"),
        Line2D([], [], color=BLACK, marker="o", markersize=4, linestyle="none", label="data"),
    ]


def _record(family: Family, shown: Sequence[float], config: Config) -> dict[str, Any]:
    """Functions and curvature at 61 points, and total curvature over the range of the parameter."""
    x = np.linspace(*config.interval, 61)
    return {
        "x": x.tolist(),
        "limits": [
            {
                "parameter": value,
                "penalty": limit.penalty,
                "outcome": limit.outcome.name,
                "total_curvature": total_curvature(limit.change),
                "spline": limit.function(x).tolist(),
                "curvature": limit.function(x, 2).tolist(),
            }
            for value, limit in zip(shown, family.limits, strict=True)
        ],
        "parameters": family.parameter.tolist(),
        "total_curvature": family.total.tolist(),
    }


def _summary(families: Sequence[Family], least: sb.PiecewiseLinear) -> str:
    minimum = float(np.abs(least.kinks).sum())
    lines = [f"{NAME}: absolute-value networks, scaled potentials; least total curvature {minimum:.6g}"]
    for family in families:
        for name, limit in zip(family.names, family.limits, strict=True):
            ratio = total_curvature(limit.change) / minimum
            lines.append(
                f"{name.strip('$').lstrip(chr(92)):>16}: total curvature {ratio:.4f} of the least ({limit.outcome})"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main(Config())
