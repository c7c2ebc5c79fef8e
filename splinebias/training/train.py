"""train(problem, width, seed) -> Training: the finite-width reading of a Problem."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._result import DrawnFunction
from splinebias.data import Points
from splinebias.errors import DataError
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.functions.several_inputs import OfOneInput, PointFunction
from splinebias.networks.network import Network, difference
from splinebias.problem import Problem
from splinebias.training.default import default_method
from splinebias.training.field import Field
from splinebias.training.method import History, Recorder, Report, Run, TrainingMethod, checked_method, checked_width

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
    function : PiecewisePolynomial or PointFunction
        The trained network, exact, as ``f(x, nu=0)``; of `Points` a `PointFunction`, with a `gradient`.
    loss : float
        L = sum m_i (f(x_i) - y_i)^2 / (2 sum m_i) at the end.
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
    """

    problem: Problem
    seed: int
    function: PiecewisePolynomial | PointFunction
    history: History
    seconds: float
    start: Network

    @property
    def width(self) -> int:
        """The number n of hidden units."""
        return self.network.width

    @cached_property
    def change(self) -> PiecewisePolynomial | PointFunction:
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
            If the problem has a law, a potential or an activation that is not one of the library's own.
        """
        from splinebias.networks.archive import write_archive

        names = ("seed", "steps", "loss", "time", "seconds", "advice")
        run = {name: getattr(self, name) for name in names} | {"outcome": self.outcome.name}
        tables = {"run": run, "stats": self.stats, "problem": self.problem.to_tables()}
        history = {f"history_{name}": getattr(self.history, name) for name in ("steps", "loss", "time")}
        kept = [part.network.arrays("snapshot") for part in self.snapshots]
        none = {name: part[None][:0] for name, part in self.network.arrays("snapshot").items()}
        snapshots = {name: np.stack([part[name] for part in kept]) if kept else none[name] for name in none}
        for name in ("time", "loss"):
            snapshots[f"snapshot_{name}"] = np.array([getattr(part, name) for part in self.snapshots], dtype=float)
        arrays = self.network.arrays("network") | self.start.arrays("start") | history | snapshots
        write_archive(path, "training", tables, arrays)

    def __repr__(self) -> str:
        return (
            f"Training({self.problem.describe()}; width {self.width}, seed {self.seed}: loss {self.loss:.2e} after "
            f"{self.steps} steps, time {self.time:.4g}, {self.outcome})"
        )


@known_keywords
def train(
    problem: Problem,
    width: int | None = None,
    seed: int = 0,
    *,
    start: Network | None = None,
    method: TrainingMethod | None = None,
    loss_tol: float = 1e-12,
    dtype: Any = "float64",
    device: Any = "cpu",
    progress: bool | Report | None = None,
) -> Training:
    r"""Sample the network of `problem` (or take `start`) and train all its parameters until the loss is at most `loss_tol`.

    The loss is :math:`L = \frac{1}{2\sum m} \sum_i m_i (f(x_i) - y_i)^2` with the data's weights m; training time is
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
        How to move; None: the integrated flow, ``MirrorFlow()``, and ``NeuronFlow()`` with parameterization `MeanField`.
    loss_tol : float
        Loss to reach, absolute, in the units of y squared.
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
        :math:`0 < \phi''(0) < \infty` (output weights start at 0, where flow would be stuck or infinitely fast).
    CapabilityError
        If `method` cannot take this problem, this precision or device, or networks so wide.

    Notes
    -----
    Hypotheses of the infinite-width theorems (Jin & Montúfar 2023; Liang & Montúfar 2025) checked: those of the arguments
    above. Not checked: that `width` is large enough for the limit to be near.
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
    method = checked_method(problem, default_method(problem) if method is None else method)
    seed = whole_number(seed, "seed")
    loss_tol = checked_loss_tol(loss_tol)
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
        return trained([problem], [seed], batch, method, loss_tol, report)[0]


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


def checked_loss_tol(loss_tol: float) -> float:
    """`loss_tol` as a float > 0, or a DataError."""
    return real_number(loss_tol, "loss_tol", above=0, fix="rounding keeps the loss above 0; take e.g. 1e-12")


def trained(
    problems: Sequence[Problem],
    seeds: Sequence[int],
    start: Network,
    method: TrainingMethod,
    loss_tol: float,
    report: Report | None = None,
) -> tuple[Training, ...]:
    """The networks of each of `problems`, which differ in their potentials only, for each of `seeds`, from `start`."""
    began, pairs = time.perf_counter(), [(problem, seed) for problem in problems for seed in seeds]
    start = Network(start.theta.repeat(len(problems), 1), start.activation, start.skip.repeat(len(problems), 1))
    field, records, runs = Field.of(problems, start), [Recorder(report) for _ in pairs], []
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
        )
        for number, ((problem, seed), run, record) in enumerate(zip(pairs, runs, records, strict=True))
    )


def _function(problem: Problem, network: Network) -> PiecewisePolynomial | PointFunction:
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
