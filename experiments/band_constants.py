r"""Predicted against measured constants of the expected error, over laws, potentials and activations.

The constant of :math:`E \sup|f_n - f| \approx \mathrm{constant}/\sqrt n` is predicted without training; networks of two
widths give two measurements of it. At width 1000 moving features still rule with PyTorch's default law and with that on the
unit circle; at width 8000 eleven of the twelve 95 % intervals hold the predicted constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

import splinebias as sb
from experiments import _common as common
from experiments import _panels as panels
from splinebias.functions.compare import compare
from splinebias.plots import BLUE, ORANGE
from splinebias.studies.spec import run_seed

NAME = "band_constants"
_STAGGER = 1.012  # ratio that keeps the two markers of a problem apart


@dataclass(frozen=True)
class Config(common.Output):
    """Settings.

    Parameters
    ----------
    widths : tuple of int
        Widths at which the constant is measured.
    networks : int
        Networks per width and problem.
    loss_tol : float
        Loss to train to.
    """

    widths: tuple[int, ...] = (1000, 8000)
    networks: int = 60
    loss_tol: float = 1e-10


def problems() -> dict[str, sb.Problem]:
    """Twelve problems, by what they combine."""
    a, b = common.load("liang_montufar_a"), common.load("liang_montufar_b")
    uniform, normal = (sb.Initialization.rademacher(law) for law in (stats.uniform(-1, 2), stats.norm(0, 0.5)))
    gaussian, default = sb.Initialization.gaussian(), sb.Initialization.pytorch_default()
    quartic, cubic = (sb.Scaled(sb.Power(p, quadratic=1)) for p in (4, 3))
    return {
        "A, uniform B, ReLU": sb.Problem(a, uniform),
        "A, normal B, ReLU": sb.Problem(a, normal),
        "A, Gaussian, ReLU": sb.Problem(a, gaussian),
        "A, PyTorch, ReLU": sb.Problem(a, default),
        "A, circle, leaky ReLU": sb.Problem(a, sb.Initialization.unit_circle(), sb.LeakyReLU(0.3)),
        "A, uniform B, ReLU, skip": sb.Problem(a, uniform, affine="free"),
        "B, uniform B, Abs, scaled $u^2$": sb.Problem(b, uniform, sb.Abs(), sb.Scaled(sb.Power(2))),
        "B, uniform B, Abs, scaled $|u|^3 + u^2$": sb.Problem(b, uniform, sb.Abs(), cubic),
        "B, uniform B, Abs, scaled $u^4 + u^2$": sb.Problem(b, uniform, sb.Abs(), quartic),
        "B, normal B, Abs, scaled $u^4 + u^2$": sb.Problem(b, normal, sb.Abs(), quartic),
        "B, normal B, ReLU, hypentropy": sb.Problem(b, normal, sb.ReLU(), sb.Scaled(sb.Hypentropy(5.0))),
        "B, uniform B, ReLU$^2$": sb.Problem(b, uniform, sb.ReLUPower(2)),
    }


def main(config: Config) -> dict[str, Any]:
    """Compute, write NAME.png, NAME.pdf and NAME.json, print the constants, and return what the JSON file holds."""
    common.prepare(NAME, config)
    rows = [_row(name, problem, config) for name, problem in problems().items()]
    with panels.style():
        document = common.publish(NAME, config, _figure(rows, config), {"constants": rows})
    print(f"{NAME}: predicted constant; measured/predicted per width {config.widths}, with a 95 % margin")
    for row in rows:
        cells = "".join(f"   {m['ratio']:.3f} ± {m['margin'] / row['predicted']:.3f}" for m in row["measured"])
        print(f"{row['problem']:<36}{row['predicted']:>8.4f}{cells}")
    return document


def _row(name: str, problem: sb.Problem, config: Config) -> dict[str, Any]:
    """The predicted constant and the measured ones."""
    band = sb.error_band(problem, config.widths[0], interval=config.interval)
    measured = []
    for width in config.widths:
        seeds = [run_seed(seed, width) for seed in range(config.networks)]
        runs = [run for run in sb.train_ensemble(problem, width, seeds, loss_tol=config.loss_tol) if run.outcome.ok]
        limit = band.prediction.function
        values = math.sqrt(width) * np.array([compare(run.function, limit, config.interval).sup for run in runs])
        margin = 1.96 * float(values.std(ddof=1)) / math.sqrt(values.size)
        measured.append(
            {
                "width": width,
                "networks": len(runs),
                "constant": float(values.mean()),
                "margin": margin,
                "ratio": float(values.mean()) / band.constant.value,
            }
        )
    return {"problem": name, "predicted": band.constant.value, "measured": measured}


def _figure(rows: list[dict[str, Any]], config: Config) -> Any:
    """Measured against predicted, logarithmic, and the ratios by name."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    predicted = np.array([row["predicted"] for row in rows])
    ends = np.array([0.8 * predicted.min(), 1.25 * predicted.max()])
    left.plot(ends, ends, **panels.DASHED)
    right.axvline(1.0, **panels.DASHED)
    places = np.arange(len(rows))[::-1]
    for number, (width, color) in enumerate(zip(config.widths, (ORANGE, BLUE), strict=False)):
        values = np.array([row["measured"][number]["constant"] for row in rows])
        margins = np.array([row["measured"][number]["margin"] for row in rows])
        style: dict[str, Any] = {"color": color, "marker": "os"[number], "markersize": 3.5, "linestyle": "none"}
        style |= {"capsize": 1.5, "linewidth": 0.8, "label": f"$n = {width}$, {config.networks} networks"}
        left.errorbar(predicted * _STAGGER ** (2 * number - 1), values, yerr=margins, **style)
        right.errorbar(values / predicted, places + 0.2 - 0.4 * number, xerr=margins / predicted, **style)
    left.set(xscale="log", yscale="log", xlabel="predicted constant", ylabel=r"measured $\sqrt{n}\, E\,\sup|f_n - f|$")
    left.set_title("(a) constants; bars: 95 % interval of the mean")
    left.legend(frameon=False)
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    right.set_yticks(places, [row["problem"] for row in rows], fontsize=7)
    right.set(xlabel="measured / predicted")
    right.set_title("(b) ratios")
    return figure
