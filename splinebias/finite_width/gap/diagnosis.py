r"""Why a trained network is not its infinite-width limit: the gap as an exact sum of named parts.

For quadratic and unscaled potentials, with :math:`P_t` the linear map from data to the function at time t (`start_process`),
and :math:`P_t^{out,n}, P_t^{all,n}` the same maps for this network, frozen to first order, with its output weights or with
all of its parameters trained:

===============  ========================================================================  =====================
start            :math:`f_0 - P_t f_0(X)`                                                  :math:`n^0`
sampling         :math:`(P_t^{out,n} - P_t)(y - f_0(X))`                                   :math:`n^{-1/2}`
hidden kernel    :math:`(P_t^{all,n} - P_t^{out,n})(y - f_0(X))`                           :math:`n^{-1}`; 0 if a = 0
moving features  trained minus linearized, at the same time and learning rate              :math:`n^{-2}`
unfinished       :math:`(P_t - P_\infty)\, y`                                              :math:`e^{-t\kappa}`
step size        linearized in steps of the learning rate minus linearized flow            learning rate
===============  ========================================================================  =====================

They add up to :math:`f_n - f_\infty` exactly, because each is the difference of two neighbours in a chain of functions. With
other scaled potentials the linearized network has no closed form; sampling, hidden kernel, moving features and step size
are then one part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._result import Drawn, frame_of
from splinebias.activation import Homogeneous
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.gap.network_report import NetworkReport, report_of
from splinebias.functions.compare import compare
from splinebias.functions.compare_on_box import Place, checked_place, compare_on_box, place_text
from splinebias.functions.several_inputs import PointFunctionSum
from splinebias.functions.sums import FunctionSum
from splinebias.limit.hypotheses import require_limit
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction
from splinebias.loss import require_lazy_training
from splinebias.problem import Problem

_DRAWS = 2**10  # points of a box: there are six pairs of functions to compare
_HELP = {
    "start": "the network does not start at zero and keeps part of its start function at every width: compare with "
    "predict(problem, start=run.start), or start at zero (zero output weights or antisymmetric pairs)",
    "sampling": "the law of its neurons was sampled with n draws: take more units (the error falls like n^(-1/2)), or see "
    "error_band",
    "hidden kernel": "hidden weights train as well as output weights that do not start at 0: take more units (1/n), smaller "
    "output weights, or NTK(), whose limit has that part",
    "moving features": "hidden weights move: take more units (1/n^2), smaller targets, or the theory of richer regimes",
    "unfinished": "training stopped early: train longer, or compare with predict(problem, time=run.time)",
    "step size": "steps are long: lower the learning rate, or integrate the flow (MirrorFlow)",
    "finite width": "networks of this width differ from the limit: take more units, or see error_band",
}


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the gap between a network and its limit.

    Attributes
    ----------
    name : str
        What it comes from.
    function : FunctionSum or PointFunctionSum
        The part as a function of x; the latter of several inputs.
    sup, l2 : float
        Its largest absolute value on the interval, and its L2 norm there; on a box what `compare_on_box` finds.
    order : str
        How it shrinks, as in "n^-0.5".
    """

    name: str
    function: FunctionSum | PointFunctionSum
    sup: float
    l2: float
    order: str


@dataclass(frozen=True, eq=False)
class Diagnosis(Drawn):
    """The gap between a trained network and the infinite-width limit, in parts that add up to it.

    Attributes
    ----------
    problem : Problem
        What was fitted.
    width : int
        Number n of units.
    time : float
        Training time.
    interval : tuple of float
        Where sizes are meant; of several inputs a box.
    parts : tuple of Part
        The parts, in the order of the table above.
    total : Part
        The whole gap, f_n - f.
    prediction : Prediction
        The limit f, of networks that start at zero.
    """

    problem: Problem
    width: int
    time: float
    interval: Place
    parts: tuple[Part, ...]
    total: Part
    prediction: Prediction

    def __getitem__(self, name: str) -> Part:
        """The part of that name; DataError if there is none."""
        for part in (*self.parts, self.total):
            if part.name == name:
                return part
        raise DataError(f"the parts are {', '.join(part.name for part in self.parts)} and total, got {name!r}")

    @property
    def largest(self) -> Part:
        """The part with the largest `sup`."""
        return max(self.parts, key=lambda part: part.sup)

    @property
    def advice(self) -> str:
        """One sentence: the largest part, and what helps."""
        if self.total.sup <= 1e-12 * (float(np.abs(self.problem.data.y).max()) or 1.0):
            return "the network is its limit, to rounding"
        part = self.largest
        return f"most of the gap of {self.total.sup:.3g} is {part.name} ({part.sup:.3g}): {_HELP[part.name]}"

    def __repr__(self) -> str:
        return f"Diagnosis(width {self.width}, time {self.time:.4g}: gap {self.total.sup:.3g}, mostly {self.largest.name})"

    def __str__(self) -> str:
        lines = [
            f"{self.problem.describe()}; width {self.width}, training time {self.time:.4g}",
            f"gap to the infinite-width limit on {place_text(self.interval)}, in parts:",
            f"{'part':>16}  {'sup':>10}  {'L2':>10}  falls like",
        ]
        lines += [f"{p.name:>16}  {p.sup:>10.3e}  {p.l2:>10.3e}  {p.order}" for p in (*self.parts, self.total)]
        return "\n".join([*lines, self.advice])

    def facts(self) -> dict[str, Any]:
        """Sizes and words as a plain dictionary, for JSON."""
        sizes = {part.name: {"sup": part.sup, "l2": part.l2, "order": part.order} for part in (*self.parts, self.total)}
        facts = {"problem": self.problem.describe(), "width": self.width, "time": self.time, "interval": self.interval}
        return facts | {"parts": sizes, "advice": self.advice}

    def to_frame(self) -> Any:
        """A row per part, and one for the total, as a pandas DataFrame; CapabilityError if pandas is not installed."""
        rows = (*self.parts, self.total)
        return frame_of({name: [getattr(row, name) for row in rows] for name in ("name", "sup", "l2", "order")})


@known_keywords
def diagnose(
    run: Any,
    problem: Problem | None = None,
    *,
    start: Any = None,
    time: float | None = None,
    learning_rate: float | None = None,
    steps: int | None = None,
    interval: Any = None,
) -> Diagnosis | NetworkReport:
    r"""The gap between a trained network and its infinite-width limit, in named parts that add up to it exactly.

    Parameters
    ----------
    run : Training or Network
        What `train` returned, or a network, such as ``sb.from_torch(module)``.
    problem : Problem, optional
        What a network was trained on, with the law that it started from. To be left out with a Training.
    start : Network, optional
        The network before training. Without it, of a network only a `NetworkReport` can be given.
    time : float, optional
        Training time of the network, :math:`t = n \sum \eta` (torch's MSELoss: :math:`2 n \sum \text{lr}`).
    learning_rate, steps : optional
        Instead of, or besides, `time`: those of full-batch gradient descent on half the mean squared residual; they bring
        out the part of the step size.
    interval : (float, float), optional
        Where sizes are meant. None: the span of the data and a quarter of it more on either side. Of several inputs a box,
        one such pair for each.

    Returns
    -------
    Diagnosis or NetworkReport
        ``parts`` with `name`, `function`, `sup`, `l2`, `order`; ``total``, ``largest``, ``advice``, ``plot()``.

    Raises
    ------
    DataError
        For arguments that do not fit together, and as `predict`.
    CapabilityError
        As `predict` at finite times; for a run on another loss than the squared one, or with frozen output weights.

    Notes
    -----
    *Hypotheses checked:* those of `predict`. *Not checked:* that the network was trained by the flow of the potential of
    `problem` (Adam is not: no theorem says where it goes; its difference shows as "moving features"). Mini-batches
    have no closed form: what they add is in "moving features".
    Source: derived here; orders from theory section 7 and the start page.

    Examples
    --------
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.pytorch_default(both_layers=True))
    >>> found = sb.diagnose(sb.train(problem, 200))
    >>> [part.name for part in found.parts]
    ['start', 'sampling', 'hidden kernel', 'moving features', 'unfinished']
    """
    require_lazy_training(run, "a diagnosis")
    _require_hidden_trained(run)
    network, problem, start, time, descent = _checked(run, problem, start, time, learning_rate, steps)
    where = problem.default_place if interval is None else checked_place(interval)
    require_limit(problem)
    limit = predict(problem)
    if start is None:
        return report_of(network, problem, limit, where)
    if not isinstance(problem.activation, Homogeneous):
        raise CapabilityError(
            f"the parts of a gap are known for units with kinks, got smooth ones, {problem.activation!r}; leave out `start` "
            "and `time` for a report on the network alone"
        )
    chain = _chain(network, problem, start, time, descent, limit)
    parts = []
    for (name, order), upper, lower in zip(chain.names, chain.functions[:-1], chain.functions[1:], strict=True):
        parts.append(_part(name, order, upper, lower, where))
    total = _part("total", "", chain.functions[0], chain.functions[-1], where)
    order_of = {name: rank for rank, name in enumerate(_HELP)}
    return Diagnosis(
        problem, network.width, time, where, tuple(sorted(parts, key=lambda part: order_of[part.name])), total, limit
    )


def _part(name: str, order: str, upper: Any, lower: Any, where: Place) -> Part:
    if np.ndim(where) == 2:
        on_box = compare_on_box(upper, lower, where, draws=_DRAWS)
        return Part(name, PointFunctionSum((upper, lower), (1.0, -1.0)), on_box.sup, on_box.l2, order)
    found = compare(upper, lower, interval=where)
    return Part(name, FunctionSum((upper, lower), (1.0, -1.0)), found.sup, found.l2, order)


@dataclass(frozen=True)
class _Chain:
    """Functions from the network to the limit, and what stands between neighbours."""

    functions: list[Any]
    names: list[tuple[str, str]]


def _chain(
    network: Any, problem: Problem, start: Any, time: float, descent: tuple[float, int] | None, limit: Prediction
) -> _Chain:
    here, begun = network.function(), predict(problem, time=time, start=start)
    functions, names = [here], []
    if problem.linear:
        if descent is not None:
            rate, steps = descent
            functions.append(start.linearized(problem, learning_rate=rate, steps=steps))
            names += [("moving features", "n^-2"), ("step size", "learning rate")]
        else:
            names.append(("moving features", "n^-2"))
        functions += [start.linearized(problem, time), start.linearized(problem, time, hidden=False)]
        names += [("hidden kernel", "n^-1"), ("sampling", "n^-0.5")]
    else:
        names.append(("finite width", "n^-0.5"))
    functions.append(begun.function)
    names.append(("start", "n^0"))
    functions.append(predict(problem, time=time).function)
    if time < math.inf:
        names.append(("unfinished", "exp(-kappa t)"))
        functions.append(limit.function)
    return _Chain(functions, names)


def _require_hidden_trained(run: Any) -> None:
    """Raise CapabilityError if hidden weights of a run were frozen: its parts would be those of another training."""
    trained = getattr(run, "trainable", ("w", "b"))
    if not {"w", "b"} <= set(trained):
        raise CapabilityError(
            f"a diagnosis is about trained hidden weights, got a run that moved {', '.join(trained)} alone; train with "
            'trainable="all"; sb.compare(run, limit) is the whole gap'
        )


def _require_of_problem(network: Any, name: str, problem: Problem) -> None:
    """Raise DataError if a network has other inputs, or another activation, than the problem."""
    if not hasattr(network, "linearized"):  # said elsewhere
        return
    if network.inputs != (inputs := problem.initialization.inputs):
        raise DataError(f"`{name}` must have the {inputs} input{'s' * (inputs > 1)} of the problem, got {network.inputs}")
    if network.activation != (wanted := problem.activation.two_slopes or problem.activation):
        raise DataError(f"`{name}` must have the activation of the problem, {wanted}, got {network.activation}")
    if not problem.free and bool(network.skip.any()):
        raise DataError(f'`{name}` must have no skip connection, got {network.skip.tolist()}; take affine="free"')


def _checked(
    run: Any, problem: Problem | None, start: Any, time: float | None, learning_rate: float | None, steps: int | None
) -> tuple[Any, Problem, Any, float, tuple[float, int] | None]:
    """Network, problem, start, time and (learning rate, steps) of constant steps, or a DataError."""
    if hasattr(run, "network") and hasattr(run, "start") and hasattr(run, "stats"):
        given = {"problem": problem, "start": start, "time": time, "learning_rate": learning_rate, "steps": steps}
        if extra := [name for name, value in given.items() if value is not None]:
            raise DataError(f"a Training knows its `{extra[0]}`, got {given[extra[0]]!r}; leave it out")
        problem, rate = run.problem, run.stats.get("learning_rate")
        clock = problem.parameterization.clock(run.width)
        constant = rate is not None and math.isclose(run.time, clock * rate * run.steps, rel_tol=1e-9)
        return run.network, problem, run.start, run.time, (float(rate), run.steps) if constant else None
    if not hasattr(run, "linearized"):
        raise DataError(f"`run` must be a Training or an sb.Network, got {run!r}; sb.from_torch(module) makes a network")
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be what the network was trained on, an sb.Problem, got {problem!r}")
    for name, network in (("run", run), ("start", start)):
        _require_of_problem(network, name, problem)
    if start is None:
        if time is not None or learning_rate is not None or steps is not None:
            raise DataError("a training time needs the network at the start, got `start` = None; give it, or leave both out")
        return run, problem, None, math.inf, None
    return run, problem, start, *_training_time(run, problem, start, time, learning_rate, steps)


def _training_time(
    run: Any, problem: Problem, start: Any, time: Any, learning_rate: Any, steps: Any
) -> tuple[float, tuple[float, int] | None]:
    """The training time of a network from its start, and (learning rate, steps) of constant steps, or a DataError."""
    if not hasattr(start, "linearized") or start.width != run.width:
        raise DataError(f"`start` must be the network of width {run.width} before training, got {start!r}")
    clock = problem.parameterization.clock(run.width)
    if (learning_rate is None) != (steps is None):
        raise DataError(f"`learning_rate` and `steps` come together, got {learning_rate!r} and {steps!r}")
    if time is not None and not (isinstance(time, float) and time == math.inf):
        time = real_number(time, "time", at_least=0)
    if learning_rate is None or steps is None:
        if time is None:
            raise DataError(
                "`time` must be the training time, n * (sum of learning rates), got None; or give both "
                "`learning_rate` and `steps`"
            )
        return time, None
    learning_rate, steps = real_number(learning_rate, "learning_rate", above=0), whole_number(steps, "steps", at_least=1)
    reached = clock * learning_rate * steps
    if time is not None and not math.isclose(time, reached, rel_tol=1e-6):
        raise DataError(f"`time` = {time:g} contradicts learning_rate * steps, which is the time {reached:g}; leave one out")
    return reached, (learning_rate, steps)
