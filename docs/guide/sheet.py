"""The pictures of `results.md`: what every result draws of itself, on two sheets.

python docs/guide/sheet.py        # writes results.png and numbers.png beside it
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.stats as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import splinebias as sb
from splinebias.plots import save_figure

PROBLEM = sb.Problem(sb.datasets.liang_montufar_a(), sb.Initialization.rademacher(st.uniform(-1, 2)))


def sheet() -> Figure:
    """Pictures of functions, laws and studies."""
    figure = Figure(figsize=(11, 15.5), layout="constrained")
    axes = figure.subplots(6, 3).ravel()
    limit = sb.predict(PROBLEM)
    limit.plot(axes[0])
    sb.predict(PROBLEM.replace(affine="free")).plot(axes[0])
    sb.predict(PROBLEM.replace(activation=sb.Abs(), potential=sb.Scaled(sb.Hypentropy(0.1)))).plot(axes[0])
    ensemble = sb.train_ensemble(PROBLEM, 200, range(12), loss_tol=1e-8)
    ensemble[0].plot(axes[1])
    ensemble[1].plot(axes[1])
    limit.plot(axes[1])
    ensemble.plot(axes[2])
    sb.predict_path(PROBLEM, [*np.geomspace(1, 1e5, 12), np.inf]).plot(axes[3])
    sb.error_band(PROBLEM, 400).plot(axes[4])
    sb.start_process(PROBLEM.replace(initialization=sb.Initialization.pytorch_default(both_layers=True))).plot(axes[5])
    sb.diagnose(ensemble[0]).plot(axes[6])
    study = sb.study(PROBLEM, [25, 50, 100, 200], range(8), loss_tol=1e-6)
    study.plot(axes[7])
    specification = sb.StudySpec(
        {"A": PROBLEM, "free": PROBLEM.replace(affine="free")}, [25, 50, 100], range(6), loss_tol=1e-6
    )
    sb.study_grid(specification).plot(axes[8])
    sb.plot(sb.Initialization.pytorch_default(), axes[9])
    steep = sb.Problem(sb.Dataset([0, 1, 1.98, 2], [0, 0, 0, 1]), sb.Initialization.rademacher(st.norm(0, 3)))
    sb.predict(steep).plot(axes[10])
    units = sb.rescaled(sb.Problem(sb.datasets.mcycle(), sb.Initialization.gaussian()))
    units.restored(sb.predict(units.problem, time=sb.gcv_time(units.problem).value)).plot(axes[11])
    sb.laziness(PROBLEM, 200).plot(axes[12])
    sb.laziness(PROBLEM, 2000).plot(axes[12])
    noisy = sb.Dataset(
        np.linspace(-1, 1, 12), np.sin(4 * np.linspace(-1, 1, 12)) + np.random.default_rng(0).normal(0, 0.2, 12)
    )
    sb.weight_decay_path(noisy).plot(axes[13])
    weights = tuple(
        block.detach().numpy() for block in (ensemble[0].network.w, ensemble[0].network.b, ensemble[0].network.a)
    )
    sb.network_norm(weights, sb.Dataset(PROBLEM.data.x, ensemble[0](PROBLEM.data.x))).plot(axes[14])
    sb.diagnose(ensemble[0].network, PROBLEM).plot(axes[15])
    sb.minimum_norm(PROBLEM.data).plot(axes[16])
    rich = PROBLEM.replace(parameterization=sb.MeanField(1.0))
    sb.fluctuations(rich, times=[1, 10], x=np.linspace(-1.2, 1.2, 25)).plot(axes[17])
    titles = [
        "predictions",
        "networks",
        "ensemble",
        "path",
        "band",
        "start",
        "diagnosis",
        "study",
        "grid",
        "law",
        "steep",
        "rescaled",
        "laziness",
        "weight decay",
        "network norm",
        "report",
        "least norm",
        "fluctuations",
    ]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
        _put_legend(ax)
    return figure


def _put_legend(ax: Axes) -> None:
    """A small legend above what is drawn, for which room is made on linear axes."""
    lines = len(ax.get_legend_handles_labels()[1])
    if ax.get_yscale() == "linear":
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + (0.1 + 0.08 * lines) * (high - low))
    ax.legend(fontsize=5.5, loc="upper center" if ax.get_yscale() == "linear" else "best", borderpad=0.2, labelspacing=0.2)


def numbers() -> Figure:
    """Pictures of results that are numbers."""
    figure = Figure(figsize=(11, 10.5), layout="constrained")
    axes = figure.subplots(4, 3).ravel()
    limit, rng = sb.predict(PROBLEM), np.random.default_rng(0)
    bumps = sb.Dataset([-1, 0, 1, 2], [1, -1, 1, 0.5])
    rows = rng.uniform(-1, 1, (12, 2))
    plane = sb.Problem(sb.Points(rows, np.sin(3 * rows[:, 0]) - rows[:, 1]), sb.Initialization.gaussian(dim=2))
    found = sb.predict(plane)
    study = sb.study(PROBLEM, [25, 50, 100, 200], range(8), loss_tol=1e-6)
    rich = sb.train(sb.adaptive_problem(PROBLEM.data, 3.0, 0.0), 100, loss_tol=1e-6)
    labels = np.repeat([1, -1], 15)
    noisy = sb.rescaled(sb.Problem(sb.datasets.mcycle(), sb.Initialization.gaussian())).problem
    pictures = {
        "comparison": sb.compare(sb.train(PROBLEM, 200, loss_tol=1e-8), limit),
        "comparison on a box": sb.compare(found, lambda x: np.sin(3 * x[..., 0]) - x[..., 1], plane.default_box),
        "required width": sb.required_width(PROBLEM, 0.1),
        "band of points": sb.error_band(plane, 400),
        "agreement": sb.agreement(study),
        "adaptive measures": sb.adaptive_measures(rich),
        "orientations, ReLU": sb.condensed_orientations(bumps, sb.ReLU()),
        "orientations, tanh": sb.condensed_orientations(bumps, sb.Tanh()),
        "alignment margin": sb.alignment_margin(rng.normal(size=(30, 2)) + 1.5 * labels[:, None], labels),
        "kernel with bias": sb.bias_generalized_kernel(np.linspace(-2, 2, 16), 1.0),
        "training time": sb.gcv_time(noisy),
        "regularization": sb.gcv_regularization(noisy),
    }
    for ax, (title, result) in zip(axes, pictures.items(), strict=True):
        result.plot(ax)
        ax.set_title(title)
        ax.legend(fontsize="x-small")
    return figure


if __name__ == "__main__":
    for drawn, name in ((sheet, "results"), (numbers, "numbers")):
        save_figure(drawn(), Path(__file__).with_name(f"{name}.png"))[1].unlink()
