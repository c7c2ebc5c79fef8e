"""What the experiments compute alike: settings, runs, the table on the terminal, and the files that are written."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

import splinebias
from splinebias._files import check_writable, write_atomically
from splinebias.activation import Abs, ReLU
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.finite_width.band import error_band
from splinebias.functions.compare import compare
from splinebias.initialization.initialization import Initialization
from splinebias.limit.hypotheses import require_mobile
from splinebias.limit.prediction import Prediction
from splinebias.plots import save_figure
from splinebias.potential import Hypentropy, Potential, Power, Quadratic, Scaled
from splinebias.problem import Problem
from splinebias.studies.results import Row, Study
from splinebias.studies.study import run_seed, study
from splinebias.studies.work.batch import together
from splinebias.training.ensemble import train_ensemble
from splinebias.training.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LIBRARIES = ("numpy", "scipy", "torch", "matplotlib", "joblib")


@dataclass(frozen=True)
class Output:
    """Where functions are drawn, and where files go.

    Parameters
    ----------
    interval : tuple of float
        Where functions are drawn and compared.
    out : Path
        Folder for NAME.png, NAME.pdf and NAME.json; made if missing.
    """

    interval: tuple[float, float] = (-1.5, 1.5)
    out: Path = Path("figures")


@dataclass(frozen=True)
class Settings(Output):
    """What every experiment with trained networks can be asked for.

    No learning rate is among it: networks are trained by the default method of `train`, which takes its steps from the
    spectrum of the tangent kernel (the published runs are descent at rate 1/n, and 2/n for the scaled u^4 + u^2).

    Parameters
    ----------
    widths : tuple of int
        Widths of the convergence panel; the panels with functions show networks of the largest.
    seeds : tuple of int
        Seeds per width; functions are shown for the first.
    potentials : tuple of Potential
        The phi of the mirror potentials, scaled or not as the figure wants them.
    loss_tol : float
        Loss to train to. The published 1e-7 leaves up to 3e-3 in the slowest mode, half of the error of the widest network;
        1e-9 leaves a tenth of that.
    jobs : int
        Processes; the numbers do not depend on it.
    """

    widths: tuple[int, ...] = (20, 60, 180, 540, 1620, 4860)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    potentials: tuple[Potential, ...] = (Power(2), Power(3, quadratic=1), Power(4, quadratic=1))
    loss_tol: float = 1e-9
    jobs: int = os.cpu_count() or 1


def load(name: str) -> Dataset:
    """The data set `name` of the folder data/."""
    return Dataset.from_csv(Path(__file__).parent / "data" / f"{name}.csv")


def label(potential: Potential) -> str:
    """The formula of a potential that figures can name, as the inside of a TeX formula: ``|u|^3 + u^2``."""
    if isinstance(potential, Hypentropy):
        return rf"\rho_{{{potential.beta:g}}}"
    if isinstance(potential, Quadratic):
        return "u^2/2"
    if not isinstance(potential, Power):
        raise DataError(f"the figures name powers and hypentropies only, got {potential!r}; take sb.Power(p, quadratic=eps)")
    p, eps = potential.p, potential.quadratic
    power = f"u^{p:g}" if p % 2 == 0 else f"|u|^{p:g}"
    return power + (f" + {'' if eps == 1 else f'{eps:g} '}u^2" if eps else "")


def convergence(problems: Sequence[Problem], settings: Settings) -> list[Study]:
    """One study per problem, over all widths and seeds."""
    return [
        study(
            problem,
            settings.widths,
            settings.seeds,
            interval=settings.interval,
            loss_tol=settings.loss_tol,
            jobs=settings.jobs,
        )
        for problem in problems
    ]


def published_pair(potentials: Sequence[Potential]) -> tuple[Problem, Problem]:
    """Set A with ReLU and the first potential, set B with absolute values and the second one, scaled; W = +-1, B uniform."""
    law, (first, second) = Initialization.rademacher(stats.uniform(-1, 2)), potentials
    return (
        Problem(load("liang_montufar_a"), law, ReLU(), first),
        Problem(load("liang_montufar_b"), law, Abs(), Scaled(second)),
    )


def showcase(problems: Sequence[Problem], settings: Settings) -> list[Training]:
    """The network of the largest width and first seed for each problem, the same one as in `convergence`."""
    from joblib import Parallel, delayed

    runs: list[Training] = Parallel(n_jobs=min(settings.jobs, len(problems)))(
        delayed(_train)(problem, max(settings.widths), settings.seeds, settings.loss_tol) for problem in problems
    )
    return runs


def _train(problem: Problem, width: int, seeds: Sequence[int], loss_tol: float) -> Training:
    """The network of the first seed, trained in the batch that it has in a study: the same bits."""
    batch = next(group for group in together(sorted(seeds), width) if seeds[0] in group)
    with threadpool_limits(limits=1):
        runs = train_ensemble(problem, width, [run_seed(seed, width) for seed in batch], loss_tol=loss_tol)
    return runs[batch.index(seeds[0])]


def predicted_constants(problems: Sequence[Problem], config: Settings) -> list[float]:
    """The `predicted_constant` of each problem on the interval of the settings."""
    return [predicted_constant(problem, max(config.widths), config.interval) for problem in problems]


def predicted_constant(problem: Problem, width: int, interval: Any) -> float:
    """The c of the expected error c/sqrt(n) on the interval, to the three digits that the sampling of its law supports."""
    return float(f"{error_band(problem, width, interval=interval).constant.value:.3g}")


def error_table(studies: Sequence[Study], constants: Sequence[float]) -> str:
    """Mean error per width and potential beside the predicted constant / sqrt(n), as text for the terminal."""
    names = [label(found.problem.phi) for found in studies]
    lines = [
        "mean sup-error per potential (failed runs left out) | predicted constant/sqrt(n)",
        f"{'width':>7}" + "".join(f"{name:>26}" for name in names),
    ]
    for number, width in enumerate(studies[0].summary["width"]):
        cells = []
        for found, constant in zip(studies, constants, strict=True):
            row = found.summary[number]
            known = f"{constant / math.sqrt(width):.4f}"
            failed = f" ({row['failed']} failed)" if row["failed"] else ""
            cells.append(f"{row['mean']:.4f}{failed} | {known:>6}")
        lines.append(f"{width:>7}" + "".join(f"{cell:>26}" for cell in cells))
    for name, found in zip(names, studies, strict=True):
        lines.append(f"{name}: slope {found.rate}; constant {found.constant}")
    return "\n".join(lines)


def study_record(studies: Sequence[Study], constants: Sequence[float]) -> dict[str, Any]:
    """All numbers of a convergence panel, per potential; `run_seed` is what `train` was given."""
    return {
        label(found.problem.phi): {
            "predicted_constant": constant,
            "exponent": dataclasses.asdict(found.rate),
            "constant": dataclasses.asdict(found.constant),
            "summary": [dict(zip(found.summary.dtype.names or (), row, strict=True)) for row in found.summary.tolist()],
            "runs": [_run_record(row) for row in found.rows],
        }
        for found, constant in zip(studies, constants, strict=True)
    }


def _run_record(row: Row) -> dict[str, Any]:
    """A run without its wall time: whoever repeats it gets the same record."""
    return {name: value for name, value in row._asdict().items() if name != "seconds"} | {
        "run_seed": run_seed(row.seed, row.width)
    }


def function_record(limit: Prediction, run: Training, settings: Settings) -> dict[str, Any]:
    """A predicted spline and a network at 61 points, and how far they are apart."""
    x = np.linspace(*settings.interval, 61)
    distance = compare(run.function, limit.function, interval=settings.interval)
    return {
        "width": run.width,
        "run_seed": run.seed,
        "loss": run.loss,
        "steps": run.steps,
        "outcome": run.outcome.name,
        "penalty": limit.penalty,
        "sup": distance.sup,
        "l2": distance.l2,
        "x": x.tolist(),
        "spline": limit.function(x).tolist(),
        "network": run.function(x).tolist(),
    }


def prepare(name: str, settings: Output) -> None:
    """Make the output folder; refuse unusable paths, and potentials that no network can be trained with, before any work.

    Raises
    ------
    DataError
        For those, and for potentials that no figure has a name for.
    """
    for potential in getattr(settings, "potentials", ()):
        label(potential)
        require_mobile(potential, "a figure with trained networks")
    settings.out.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".pdf", ".json"):
        check_writable(settings.out / f"{name}{suffix}")


def publish(name: str, settings: Output, figure: Figure, results: dict[str, Any]) -> dict[str, Any]:
    """Write the figure and, beside it, its settings, versions and numbers; return what the JSON file holds.

    Of the settings, `out` and `jobs` are left out: the numbers do not depend on them.
    """
    config = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    versions = {name: version(name) for name in _LIBRARIES}
    document: dict[str, Any] = {
        "experiment": name,
        "config": {key: value for key, value in config.items() if key not in ("out", "jobs")},
        "versions": {"python": platform.python_version(), "splinebias": splinebias.__version__} | versions,
        **results,
    }
    document = {key: _plain(value) for key, value in document.items()}
    save_figure(figure, settings.out / name)
    text = json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False)
    write_atomically(settings.out / f"{name}.json", (text + "\n").encode())
    return document


def _plain(value: Any) -> Any:
    """What JSON can hold: a potential becomes its text, infinity and nan become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
