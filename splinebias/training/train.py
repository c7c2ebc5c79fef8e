"""train(problem, width, seed) -> Training: the finite-width reading of a Problem."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splinebias._arguments import real_number, whole_number
from splinebias._result import DrawnFunction
from splinebias.data import Points
from splinebias.errors import DataError
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.functions.several_inputs import OfOneInput, PointFunction
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.loss import SQUARED, Loss, Squared, loss_name
from splinebias.networks.network import Network, difference
from splinebias.parameterization import PARAMETERS
from splinebias.problem import Problem
from splinebias.training.default import default_method
from splinebias.training.field import Field
from splinebias.training.method import (
    History,
    Recorder,
    Report,
    Run,
    TrainingMethod,
    checked_method,
    checked_trainable,
    checked_width,
)

UNITS_AT_ONCE = 100_000  # larger batches were not faster when measured, and take more memory
_LONG = 1.0  # seconds after which a run is worth a progress bar


@dataclass(frozen=True, eq=False, kw_only=True)
class Training(Run, DrawnFunction):
    """A trained network and how it got there; ``run(x, nu=0)`` is its function.

    Attributes
    ----------
    problem : Problem
        What was fitted.
    width, seed : int
        Number of units; the integer all randomness came from.
    function : PiecewisePolynomial, SmoothUnits or PointFunction
        The trained network, exact, as ``f(x, nu=0)``; of `Points` a `PointFunction`, with a `gradient`.
    loss : float
        L = sum m_i (f(x_i) - y_i)^2 / (2 sum m_i) at the end, or that of `loss_function`.
    steps : int
        Steps taken.
    time : float
        Training time t = n * (sum of learning rates) with `Standard`, see the other parameterizations for theirs: comparable
        between widths.
    outcome : Outcome
        How the run ended; ``outcome.ok`` if it reached `loss_tol`.
    advice : str
        What to do about the outcome, with this run's numbers.
    network : Network
        The trained network as tensors.
    start : Network
        The network before training; the theorems are about the difference of the two functions.
    history : History
        Loss and time at logarithmically spaced steps.
    seconds : float
        Wall time of the run.
    stats : dict
        Named numbers of the method: passes, learning_rate, lambda_max, ...
    snapshots : tuple of Snapshot
        Networks on the way (`time`, `loss`, `network`, `function`), if the method was asked to keep some.
    loss_function : Loss
        The loss that was lowered.
    trainable : tuple of str
        The parameters that were trained, of w, b, a and d.
    """

    problem: Problem
    seed: int
    function: PiecewisePolynomial | PointFunction | SmoothUnits
    history: History
    seconds: float
    start: Network
    loss_function: Loss = SQUARED
    trainable: tuple[str, ...] = PARAMETERS

    @property
    def width(self) -> int:
        """The number n of hidden units."""
        return self.network.width

    @cached_property
    def change(self) -> PiecewisePolynomial | PointFunction | SmoothUnits:
        """What training added to the start function, f_n - f_0: exact, the function that the theorems are about."""
        return difference(self.network, self.start)

    def save(self, path: str | Path) -> None:
        """Write the run to a file that ``sb.load`` reads back, atomically, without pickle.

        Kept to the last bit: problem, seed, network, start, history, snapshots, loss, steps, time, outcome, advice, stats,
        seconds. The layout is that of ``numpy.savez``.

        Raises
        ------
        DataError
            If the file cannot be written.
        CapabilityError
            If the problem has a law, a potential, an activation or a loss that is not one of the library's own.
        """
        from splinebias.networks.archive import write_archive

        names = ("seed", "steps", "loss", "time", "seconds", "advice")
        run = {name: getattr(self, name) for name in names} | {"outcome": self.outcome.name}
        run |= {"loss_function": loss_name(self.loss_function), "trainable": list(self.trainable)}
        tables = {"run": run, "stats": self.stats, "problem": self.problem.to_tables()}
        history = {f"history_{name}": getattr(self.history, name) for name in ("steps", "loss", "time")}
        kept = [part.network.arrays("snapshot") for part in self.snapshots]
        none = {name: part[None][:0] for name, part in self.network.arrays("snapshot").items()}
        snapshots = {name: np.stack([part[name] for part in kept]) if kept else none[name] for name in none}
        for name in ("time", "loss"):
            snapshots[f"snapshot_{name}"] = np.array([getattr(part, name) for part in self.snapshots], dtype=float)
        arrays = self.network.arrays("network") | self.start.arrays("start") | history | snapshots
        write_archive(path, "training", tables, arrays)

    @property
    def _special(self) -> str:
        """Loss and parameters, where they are not the usual ones."""
        loss = "" if isinstance(self.loss_function, Squared) else f", {self.loss_function!r}"
        return loss + ("" if self.trainable == PARAMETERS else f", {', '.join(self.trainable)} trained")

    def __repr__(self) -> str:
        return (
            f"Training({self.problem.describe()}{self._special}; width {self.width}, seed {self.seed}: loss {self.loss:.2e} "
            f"after {self.steps} steps, time {self.time:.4g}, {self.outcome})"
        )


def train(
    problem: Problem,
    width: int | None = None,
    seed: int = 0,
    *,
    start: Network | None = None,
    method: TrainingMethod | None = None,
    loss: Loss = SQUARED,
    trainable: str | Iterable[str] = "all",
    loss_tol: float | None = None,
    dtype: Any = "float64",
    device: Any = "cpu",
    progress: bool | Report | None = None,
) -> Training:
    r"""Sample the network of `problem` (or take `start`) and train all its parameters until the loss is at most `loss_tol`.

    The loss is :math:`L = \frac{1}{2\sum m} \sum_i m_i (f(x_i) - y_i)^2` with the data's weights m, or for labels
    :math:`y_i = \pm 1` that of `loss`, :math:`\frac{1}{\sum m} \sum_i m_i\, \ell(y_i f(x_i))`; training time is
    :math:`t = n \sum \eta` over the learning rates :math:`\eta` (theory sections 1, 4), :math:`t = \sum \eta` with
    parameterization `NTK`, :math:`t = \sum \eta / (\gamma^2 n)` with `MeanField`.

    Parameters
    ----------
    problem : Problem
        What to fit, from which random start, with which mirror potential.
    width : int, optional
        The number n of units, >= 1 (even for antisymmetric pairs). To be left out with `start`.
    seed : int
        All randomness comes from it: the start from ``default_rng(seed)``, mini-batches from a stream of their own.
    start : Network, optional
        One network to train from here on, such as ``sb.from_torch(module)`` or the ``run.network`` of an earlier run, on its
        device and in its precision; the law of `problem` is not drawn from. None: a draw of that law. With a scaled
        potential the mirror map is centred at this network.
    method : TrainingMethod, optional
        How to move; None: the integrated flow, ``MirrorFlow()``, and ``NeuronFlow()`` with parameterization `MeanField`;
        ``MirrorDescent()`` where these cannot take the loss or the choice of parameters (``NeuronFlow()`` takes labels of
        one input in fewer steps).
    loss : Loss
        ``Squared()``, ``Logistic()``, ``Exponential()`` or your own. The last two are for labels +1 and -1, both present.
    trainable : {"all", "hidden", "output"} or set of {"w", "b", "a", "d"}
        The parameters that move, by name; the others stay where they start. "hidden" is w and b, "output" a and d.
    loss_tol : float, optional
        Loss to reach, absolute, for the squared one in the units of y squared. None: 1e-12 for that; else half of
        :math:`\ell(0)` times the smallest weight of a point (weights sum to 1), below which no label is on the wrong side.
    dtype : {"float64", "float32"} or torch.dtype
        Precision. In float32 losses below about 1e-12 of the mean square of y are out of reach.
    device : str or torch.device
        Where torch computes.
    progress : bool or callable, optional
        A callable is called as ``progress(steps, loss, time)`` at most ten times a second and at the end. True: a progress
        bar on stderr. None: a bar if stderr is a terminal and the run takes over a second. False: silence.

    Returns
    -------
    Training
        Failures of the method (MAX_STEPS, DIVERGED, STALLED) are its `outcome`, with `advice`, not exceptions.

    Raises
    ------
    DataError
        For arguments outside the ranges above; a `start` of another activation, that is a batch or has parameters that are
        not finite; data that no unit can reach; a potential without
        :math:`0 < \phi''(0) < \infty` (output weights start at 0, where flow would be stuck or infinitely fast); a loss of
        labels and ordinates other than +1 and -1, or one class only; output weights that are frozen at 0.
    CapabilityError
        If `method` cannot take this problem, this loss, this choice of parameters, this precision or device, or networks so
        wide; for a loss of labels with a free affine part, which has no best one.

    Notes
    -----
    Hypotheses of the infinite-width theorems (Jin & Montúfar 2023; Liang & Montúfar 2025) checked: those of the arguments
    above. Not checked: that `width` is large enough for the limit to be near. The limits of `predict` are those of the
    squared loss and all parameters, or the output alone: `compare` and `diagnose` refuse runs with others.

    A loss of labels has no minimum: it falls as long as the run goes on, by margins that grow. ``stats["margin"]`` is the
    least :math:`y_i f(x_i)` at the end, ``stats["wrong"]`` how many are not positive. Where labels cannot be separated the
    run is STALLED, or ends at `max_steps`. Rates of `MirrorDescent` are the inverse of :math:`\lambda_{\max}` of
    :math:`C^{1/2} K C^{1/2}`, :math:`C = \mathrm{diag}(\ell'')`, plus a bound of the growth at a small start; they grow as
    the loss falls.
    Runs on one torch thread (the setting is restored afterwards): the same seed then gives the same bits whatever the
    number of threads or jobs, and at the usual sizes more threads are slower; use cores for more seeds instead.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> run = sb.train(problem, width=200, loss_tol=1e-8)
    >>> run.outcome.name, bool(abs(run.function(0.0) - 1) < 1e-3)
    ('CONVERGED', True)
    """
    moves = checked_trainable(trainable)
    method = default_method(problem, loss=loss, trainable=moves) if method is None else method
    method = checked_method(problem, method, loss, moves)
    seed = whole_number(seed, "seed")
    loss_tol = checked_loss_tol(loss_tol, problem, loss)
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise DataError(f"`progress` must be None, True, False or a callable(steps, loss, time), got {progress!r}")
    if start is None:
        if width is None:
            raise DataError("`width` must be the number of units, got None; give it, or a network to `start` from")
        width = checked_width(problem, method, width)
        batch = Network.sample(problem, width, [seed], dtype=dtype, device=device)
    else:
        batch = _checked_start(problem, start, width)
        width = checked_width(problem, method, batch.width)
    with _reporting(progress, loss_tol, f"width {width}, seed {seed}") as report:
        return trained([problem], [seed], batch, method, loss_tol, report, loss, moves)[0]


def _checked_start(problem: Problem, start: Any, width: int | None) -> Network:
    """The network to start from as a batch of one, a copy, or a DataError."""
    if not isinstance(start, Network):
        raise DataError(f"`start` must be an sb.Network, got {start!r}; sb.from_torch(module) makes one of a torch module")
    if start.theta.ndim != 1:
        raise DataError(f"`start` must be one network, got a batch of shape {tuple(start.theta.shape[:-1])}; take start[0]")
    if width is not None and width != start.width:
        raise DataError(f"`width` must be left out or be that of `start`, {start.width}, got {width}")
    if start.activation != (wanted := problem.activation.two_slopes or problem.activation):
        raise DataError(f"`start` must have the activation of the problem, {wanted}, got {start.activation}")
    if start.inputs != problem.initialization.inputs:
        raise DataError(f"`start` must have the {problem.initialization.inputs} inputs of the problem, got {start.inputs}")
    if not bool(torch.isfinite(start.theta).all()) or not bool(torch.isfinite(start.skip).all()):
        bad = int((~torch.isfinite(start.theta)).sum() + (~torch.isfinite(start.skip)).sum())
        raise DataError(f"`start` must have finite parameters, got {bad} that are not")
    if not problem.free and bool((start.skip != 0).any()):
        raise DataError(
            f'`start` must have no skip connection for affine="network", got {start.skip.tolist()}; take affine="free"'
        )
    return Network(start.theta.detach().clone()[None], start.activation, start.skip.detach().clone()[None])


def checked_loss_tol(loss_tol: float | None, problem: Problem, loss: Loss = SQUARED) -> float:
    """`loss_tol` as a float > 0, that of the loss if it is None, or a DataError."""
    if loss_tol is None:
        weights = problem.data.weights
        return 1e-12 if isinstance(loss, Squared) else loss.at_zero / 2 * float(weights.min() / weights.sum())
    return real_number(loss_tol, "loss_tol", above=0, fix="rounding keeps the loss above 0; take e.g. 1e-12")


def trained(
    problems: Sequence[Problem],
    seeds: Sequence[int],
    start: Network,
    method: TrainingMethod,
    loss_tol: float,
    report: Report | None = None,
    loss: Loss = SQUARED,
    trainable: tuple[str, ...] = PARAMETERS,
) -> tuple[Training, ...]:
    """The networks of each of `problems`, which differ in their potentials only, for each of `seeds`, from `start`."""
    if "a" not in trainable and not bool(start.a.any()):
        raise DataError(
            "`trainable` freezes output weights, and they are 0, so that no hidden weight would move; give "
            "Initialization(..., output=scipy.stats.norm(0, 1)), or train output weights too"
        )
    began, pairs = time.perf_counter(), [(problem, seed) for problem in problems for seed in seeds]
    start = Network(start.theta.repeat(len(problems), 1), start.activation, start.skip.repeat(len(problems), 1))
    field, records, runs = Field.of(problems, start, loss, trainable), [Recorder(report) for _ in pairs], []
    rngs = [np.random.default_rng([seed, 1]) for _, seed in pairs]  # not the stream that drew the start
    size = max(1, UNITS_AT_ONCE // start.width)
    with one_thread():
        for first in range(0, len(pairs), size):
            some = slice(first, first + size)
            runs += method.run(
                start[some], field.of_networks(some), loss_tol=loss_tol, rngs=rngs[some], records=records[some]
            )
    seconds = (time.perf_counter() - began) / len(pairs)
    return tuple(
        Training(
            **vars(run),
            problem=problem,
            seed=seed,
            function=_function(problem, run.network),
            history=record.finish(run),
            seconds=seconds,
            start=start[number],
            loss_function=loss,
            trainable=trainable,
        )
        for number, ((problem, seed), run, record) in enumerate(zip(pairs, runs, records, strict=True))
    )


def _function(problem: Problem, network: Network) -> PiecewisePolynomial | PointFunction | SmoothUnits:
    """The function of a network, for points of shape (..., 1) if the data are such."""
    function = network.function()
    line = isinstance(problem.data, Points) and problem.data.inputs == 1
    return OfOneInput(function) if line else function


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: its sums depend on the number of threads, and at these sizes more of them are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _reporting(progress: bool | Report | None, loss_tol: float, title: str) -> Iterator[Report | None]:
    """The callback to report to, or None; closes the bar it may have opened."""
    if callable(progress):
        yield progress
        return
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if progress is False or (progress is None and not terminal):
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(
        desc=title,
        total=100,
        delay=0.0 if progress else _LONG,
        mininterval=0.0,  # reports are already rare
        miniters=0,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}% of the decades of loss |{bar}| {elapsed}{postfix}",
    ) as bar:
        first: list[float] = []

        def report(steps: int, loss: float, t: float) -> None:
            first.append(loss)
            del first[1:]
            todo = math.log(max(first[0], loss_tol) / loss_tol)
            done = math.log(max(first[0], loss_tol) / max(loss, loss_tol))
            percent = round(100 * max(done, 0.0) / todo) if todo > 0 else 100
            bar.set_postfix(steps=steps, loss=f"{loss:.1e}", time=f"{t:.3g}", refresh=False)
            bar.update(percent - bar.n)  # draws, unless the delay is not over

        yield report
