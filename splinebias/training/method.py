"""What a training method is, what it asks of a problem and returns, and how its progress is recorded.

A method is its settings, known without torch, which is imported when networks are moved: whoever hands the training to other
processes does without it.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import memory_of_machine, whole_number
from splinebias._array import Array
from splinebias._result import frame_of
from splinebias.activation import Homogeneous
from splinebias.data import Points
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.functions.several_inputs import PointFunction
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.limit.hypotheses import require_mobile, require_reachable
from splinebias.limit.posed_problem import PosedProblem
from splinebias.loss import SQUARED, Loss, Squared, checked_labels, checked_loss
from splinebias.parameterization import PARAMETERS
from splinebias.problem import Problem, require_problem

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field

_BYTES_A_UNIT = 600  # measured: 510 to 570 in steps of flow and descent, and the network at both ends
_BYTES_A_FEATURE = 90  # measured: 50 to 82 for each unit and datum

Report = Callable[[int, float, float], None]
"""A progress callback ``report(steps, loss, time)``."""


@dataclass(frozen=True, eq=False)
class History:
    """The loss along a run, at step numbers spaced logarithmically (0, 1, 2, ..., then 5 % apart, and the last).

    Attributes
    ----------
    steps : Array of int, shape (R,)
        Step numbers.
    loss : Array, shape (R,)
        Loss after that many steps.
    time : Array, shape (R,)
        Training time t = n * (sum of learning rates) by then.
    """

    steps: np.ndarray[tuple[int], np.dtype[np.int64]]
    loss: Array
    time: Array

    def to_frame(self) -> Any:
        """The records as a pandas DataFrame; CapabilityError if pandas is not installed."""
        return frame_of({"steps": self.steps, "loss": self.loss, "time": self.time})

    def __repr__(self) -> str:
        first, last = self.loss[[0, -1]].tolist()
        return f"History({self.steps.size} records of {self.steps[-1]} steps: loss {first:.2e} to {last:.2e})"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network on its way, kept because a method was asked to.

    Attributes
    ----------
    time : float
        Training time t = n * (sum of learning rates).
    loss : float
        L at that time.
    network : Network
        The network at that time, skip part included.
    """

    time: float
    loss: float
    network: Network

    @cached_property
    def function(self) -> PiecewisePolynomial | PointFunction | SmoothUnits:
        """The network as the function it is, piecewise linear for two slopes; worked out when first asked for."""
        return self.network.function()

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` of `function` at `x`, same shape as `x`."""
        return self.function(x, nu)

    def __repr__(self) -> str:
        return f"Snapshot(time {self.time:.4g}, loss {self.loss:.2e}, width {self.network.width})"


@dataclass(frozen=True, eq=False)
class Run:
    """What a method hands back to `train`.

    Attributes
    ----------
    network : Network
        The final network (of a diverged run: the last one before the loss exploded), skip part included.
    loss : float
        L at that network.
    steps : int
        Steps taken (without those that were taken back).
    time : float
        Training time t = n * (sum of learning rates).
    outcome : Outcome
        How the run ended.
    advice : str
        What to do about it, with numbers where there are some.
    stats : dict
        Named numbers of the method: passes (evaluations of loss and gradient), learning_rate, lambda_max, ...
    snapshots : tuple of Snapshot
        Networks on the way, at the times the method was asked to keep them.
    """

    network: Network
    loss: float
    steps: int
    time: float
    outcome: Outcome
    advice: str
    stats: dict[str, float]
    snapshots: tuple[Snapshot, ...] = ()


class Recorder:
    """Collects a `History` and calls `report`, at most ten times a second, as a method tells it where it is."""

    def __init__(self, report: Report | None = None) -> None:
        self._report = report
        self._rows: list[tuple[int, float, float]] = []
        self._next_step = 0
        self._next_report = -math.inf

    def __call__(self, steps: int, loss: float, t: float) -> None:
        """Note the state after `steps` steps: call it after every step, it is cheap."""
        if steps >= self._next_step:
            self._rows.append((steps, loss, t))
            self._next_step = max(steps + 1, math.ceil(1.05 * steps))  # 47 records a decade
        if self._report is not None and time.perf_counter() >= self._next_report:
            self._report(steps, loss, t)
            self._next_report = time.perf_counter() + 0.1

    def finish(self, run: Run) -> History:
        """Note the end of the run and return what was collected."""
        last = (run.steps, run.loss, run.time)
        if self._rows and self._rows[-1][0] >= run.steps:
            self._rows.pop()
        self._rows.append(last)
        if self._report is not None:
            self._report(*last)
        steps, loss, t = zip(*self._rows, strict=True)
        return History(np.array(steps, dtype=np.int64), np.array(loss), np.array(t))


class TrainingMethod(ABC):
    """How the parameters of networks are moved to lower their losses.

    A method is a frozen dataclass of its settings; `run` is free of side effects other than calls to `records` and
    draws from `rngs`.
    """

    def supports(self, problem: Problem) -> str | None:
        """None if the problem can be taken, else what is missing or wrong, in words; asked before any work."""
        return None

    def trains(self, problem: Problem, loss: Loss, trainable: Sequence[str]) -> str | None:
        """None if it lowers this loss by moving these parameters, else what it takes, in words; asked before any work."""
        if not isinstance(loss, Squared):
            return f"its steps are those of the squared loss, got {loss!r}; MirrorDescent takes others"
        if set(trainable) != set(PARAMETERS):
            return f"it moves all parameters at once, got {', '.join(trainable)} alone; MirrorDescent takes any of them"
        return None

    def fits(self, problem: Problem, width: int) -> str | None:
        """None if networks of this width fit into memory, else how many units do, in words; asked before any work.

        Counted is what flow and descent take at most, measured, beside all the memory of the machine.
        """
        inputs, bytes_a_unit = problem.initialization.inputs, _BYTES_A_UNIT
        if problem.activation.two_slopes is None or inputs > 1:  # features are written out
            bytes_a_unit += _BYTES_A_FEATURE * problem.data.size
        most = int(min(memory_of_machine() / bytes_a_unit, 1e18))
        if width <= most:
            return None
        return (
            f"{width:,} units would take {width * bytes_a_unit // 2**30:,} GiB of memory, and this machine has "
            f"{memory_of_machine() / 2**30:.0f}; take at most {most:,}, or more networks that are narrower"
        )

    @abstractmethod
    def run(
        self,
        start: Network,
        field: Field,
        *,
        loss_tol: float,
        rngs: Sequence[np.random.Generator],
        records: Sequence[Recorder],
    ) -> list[Run]:
        """Train B networks of one width, each until its loss is at most `loss_tol`.

        Parameters
        ----------
        start : Network
            The networks, theta of shape (B, 3n + 1), as from ``Network.sample(problem, width, seeds)``.
        field : Field
            What moves them: their activation, loss and mirror map.
        loss_tol : float
            Loss to reach, absolute, in the units of y squared.
        rngs : sequence of numpy.random.Generator
            One per network, for methods that draw.
        records : sequence of Recorder
            One per network, called after every step of it, with step 0 for the start.

        Returns
        -------
        list of Run
            One per network, up to rounding the one that it would have alone.
        """


def checked_method(
    problem: Problem, method: TrainingMethod, loss: Loss = SQUARED, trainable: Sequence[str] = PARAMETERS
) -> TrainingMethod:
    r"""`method`, after every check of it and the problem that costs nothing: none needs torch, no network is drawn.

    Raises
    ------
    DataError
        If either is of another kind, unless :math:`0 < \phi''(0) < \infty`, for data that no unit can reach; for a loss of
        labels and ordinates that are none.
    CapabilityError
        If the method does not support the problem, the loss or the choice of parameters.
    """
    require_problem(problem)
    if not isinstance(method, TrainingMethod):
        hint = "; call it: add ()" if isinstance(method, type) else ""
        raise DataError(f"`method` must be a training method such as sb.MirrorDescent(), got {method!r}{hint}")
    require_mobile(problem.phi, "training")
    missing = method.supports(problem)
    if missing is not None:
        raise CapabilityError(f"{type(method).__name__} cannot take this problem: {missing}")
    if not isinstance(checked_loss(loss), Squared):
        checked_labels(problem.data.y, "y")
        if problem.free:
            raise CapabilityError(
                f'affine="free" keeps the best skip connection at every step, and {loss!r} has no minimum; take '
                'affine="network"'
            )
    missing = method.trains(problem, loss, trainable)
    if missing is not None:
        raise CapabilityError(f"{type(method).__name__} cannot train that: {missing}")
    if isinstance(problem.data, Points):
        from splinebias.limit.several_inputs.input_system import require_points  # one input does without

        require_points(problem)
    elif isinstance(problem.activation, Homogeneous):  # smooth neurons bend f everywhere
        require_reachable(PosedProblem(problem))
    return method


def checked_trainable(trainable: Any) -> tuple[str, ...]:
    """The names of parameters that move, in the order of `PARAMETERS`, or a DataError."""
    known = {"all": PARAMETERS, "hidden": ("w", "b"), "output": ("a", "d")}
    if isinstance(trainable, str) and trainable in known:
        return known[trainable]
    names = {trainable} if isinstance(trainable, str) else set(trainable) if isinstance(trainable, Iterable) else {trainable}
    if not names or not names <= set(PARAMETERS):
        raise DataError(
            f'`trainable` must be "all", "hidden", "output" or some of {", ".join(PARAMETERS)}, got {trainable!r}; w and b '
            "are the hidden weights and biases, a and d those of the output"
        )
    return tuple(name for name in PARAMETERS if name in names)


def checked_width(problem: Problem, method: TrainingMethod, width: int) -> int:
    """`width` as a whole number >= 1, after the check that networks of it fit into memory; DataError or CapabilityError."""
    width = whole_number(width, "width", at_least=1, fix="a network needs a unit")
    if (missing := method.fits(problem, width)) is not None:
        raise CapabilityError(f"{type(method).__name__} cannot take this width: {missing}")
    return width
