r"""Networks that start at almost zero, trained until they begin to fit: what condensed orientations look like in them.

:math:`f(x) = \sum_k a_k\, \sigma(w_k \cdot x + b_k)`, all parameters by gradient flow on the mean loss
:math:`\frac{1}{2\sum m} \sum_i m_i (f(x_i) - y_i)^2`, from independent normal parameters of deviation :math:`\varepsilon`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, true_or_false, whole_number
from splinebias._array import Array
from splinebias.activation import Activation, Smooth, TwoSlope
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.initialization.initialization import Initialization
from splinebias.problem import Problem
from splinebias.regimes.condensation import Orientations, condensed_orientations
from splinebias.regimes.small_starts.condensed import Condensation
from splinebias.regimes.small_starts.point_orientations import PointOrientations

_CLOSE = 0.02  # of the stop, relative, where it is found by shooting
_MOST_EVALUATIONS = 500_000  # of the right side: sigmoid neurons take 130,000 with a width of 300


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SmallStart(Condensation):
    r"""A network that started at almost zero, at the moment when it begins to fit, with its condensation.

    Attributes
    ----------
    a : Array, shape (n,)
        Its output weights; (w, b) are `weights`.
    start : Condensation
        The same network at the start.
    time : float
        Time of the flow, :math:`\sum \eta`.
    evaluations : int
        Number of evaluations of the right-hand side.
    outcome : Outcome
        CONVERGED: max \|f\| reached the asked share of max \|y\|.
    """

    a: Array
    start: Condensation
    time: float
    evaluations: int
    outcome: Outcome

    @property
    def orientations(self) -> Orientations | PointOrientations:
        """The orientations that were predicted for its data and its activation."""
        assert self.predicted is not None, "whoever trains it has predicted it"
        return self.predicted


@known_keywords
def train_from_small_start(
    data: Dataset | Points,
    activation: Activation,
    *,
    width: int,
    scale: float,
    seed: int = 0,
    stop: float = 0.02,
    output_bias: bool = False,
) -> SmallStart:
    r"""Train a network from parameters :math:`\varepsilon N(0, 1)` until it begins to fit, and measure its condensation.

    Parameters
    ----------
    data, activation
        As in `condensed_orientations`.
    width : int
        Number n of neurons.
    scale : float
        The :math:`\varepsilon` above, > 0.
    seed : int
        Seed of the start.
    stop : float
        Stops once max \|f\| over the data reaches this share of max \|y\|, 0 < stop < 1.
    output_bias : bool
        Whether there is an output bias, trained from 0 on. It fits the mean of y at once, so that neurons turn to the
        orientations of y minus its mean, which are the ones predicted then, and f is measured from that mean.

    Raises
    ------
    DataError, CapabilityError
        As `condensed_orientations`; if the start is already beyond `stop`; for neurons with kinks without output bias unless
        the mean of y is 0: `NeuronFlow` trains one.

    Notes
    -----
    Smooth neurons and powers of ReLU: DOP853, relative tolerance 1e-6, which crosses plateaus of time 1e10 in some hundred
    evaluations. Two slopes: `train` with `NeuronFlow`, exact at samples, where neurons come to rest; the stop is met to 2 %.
    It trains an output bias in any case: with y of mean 0 that takes up the mean of f, which comes with the neurons (times
    are some 4 % later), and the stop is measured from that mean.
    For p >= 2 growth blows up in finite time, the earliest neuron wins, and of 2p orientations the network shows one. Where
    :math:`\sigma(0) \ne 0` the mean of f is a fast mode and evaluations grow with the width (sigmoid, 300 neurons: 130,000);
    `Centred` has none.
    *Hypotheses* of the predicted orientations: those of `condensed_orientations`; not checked: a small `scale` and `stop`.

    Examples
    --------
    >>> import splinebias as sb
    >>> found = sb.train_from_small_start(sb.Dataset([-1, 0, 1], [1, -2, 0.5]), sb.Tanh(), width=20, scale=1e-4)
    >>> found.outcome.name, len(found.directions()), bool(found.angle_error < 2)
    ('CONVERGED', 2, True)
    """
    output_bias = true_or_false(output_bias, "output_bias")
    predicted = condensed_orientations(_centred(data) if output_bias else data, activation)
    n, size = whole_number(width, "width", at_least=1), real_number(scale, "scale", above=0)
    level = (stop := real_number(stop, "stop", above=0)) * float(np.abs(_centred(data).y if output_bias else data.y).max())
    columns = data.inputs + 2
    begin = size * np.random.default_rng(whole_number(seed, "seed")).standard_normal((columns, n))  # a, w of each input, b
    first = float(np.abs(begin[0] @ activation.value(begin[1:].T @ _rows(data).T)).max())
    if not (stop < 1 and first < level):
        raise DataError(
            f"`stop` must be below 1 and above the start, max |f| = {first:.3g}, got stop * max|y| = {level:.3g}; lower "
            "`scale`"
        )
    if isinstance(activation, TwoSlope):
        end, time, evaluations, outcome = _by_neuron_flow(data, activation, begin, level, output_bias)
    else:
        end, time, evaluations, outcome = flow_to_level(data, activation, begin, level, output_bias)
    then, now = (Condensation(*_measured(state), predicted) for state in (begin, end))
    ended = {"a": end[0], "start": then, "time": time, "evaluations": evaluations, "outcome": outcome}
    return SmallStart(now.weights, now.signs, now.masses, predicted, **ended)


End = tuple[Array, float, int, Outcome]


def flow_to_level(data: Dataset | Points, activation: Activation, begin: Array, level: float, output_bias: bool) -> End:
    """Follow parameters (a, w, b), rows of shape (n,), until max |f| is `level`, whatever hypothesis holds: by DOP853.

    Returned are those at the end, the time, the number of evaluations, and how it ended.
    """
    from scipy.integrate import DOP853  # nothing else here needs it
    from scipy.optimize import brentq

    rows, y, m = _rows(data), data.y, data.weights / data.weights.sum()

    def speed(_: float, theta: Array) -> Array:
        state = theta[:-1].reshape(begin.shape)
        z = rows @ state[1:]
        outer = activation.value(z)
        pull = m * (y - outer @ state[0] - theta[-1])
        inner = state[0] * activation.derivative(z)
        moved = np.vstack([pull @ outer, (rows.T * pull) @ inner])
        return np.append(moved.ravel(), pull.sum() if output_bias else 0.0)

    def short_of(theta: Array) -> float:
        state = theta[:-1].reshape(begin.shape)
        units = activation.value(rows @ state[1:]) @ state[0]
        return float(np.abs(units - m @ units if output_bias else units).max() - level)

    def tolerance(theta: Array) -> Array:  # of a neuron by its own size: what rounding moves it by grows with that
        sizes = np.abs(theta[:-1].reshape(begin.shape)).max(axis=0)
        return 1e-9 * np.append(np.tile(sizes, len(begin)), np.abs(y).max()) + 1e-300

    theta = np.append(begin.ravel(), 0.0)
    solver = DOP853(speed, 0.0, theta, 1e18, rtol=1e-6, atol=tolerance(theta))  # 1e18: the longest plateau
    end, reached = 0.0, False
    while solver.status == "running" and not reached and solver.nfev < _MOST_EVALUATIONS:
        solver.atol = tolerance(solver.y)
        solver.step()
        end, theta, reached = solver.t, solver.y, short_of(solver.y) >= 0
    if reached:
        between = solver.dense_output()
        end = float(brentq(lambda t: short_of(between(t)), solver.t_old, solver.t, rtol=1e-12))
        theta = between(end)
    ended = Outcome.STALLED if solver.nfev < _MOST_EVALUATIONS else Outcome.MAX_STEPS
    outcome = Outcome.CONVERGED if reached else ended
    return theta[:-1].reshape(begin.shape), end, int(solver.nfev), outcome


def _by_neuron_flow(data: Dataset | Points, activation: TwoSlope, begin: Array, level: float, output_bias: bool) -> End:
    """`flow_to_level` by exact steps of neurons: `train` to a loss near the stop, then the time of the stop by shooting."""
    from splinebias.networks.network import Network  # and torch, which smooth neurons do without
    from splinebias.training.neuron_flow.neuron_flow import NeuronFlow
    from splinebias.training.train import train

    mean = float(data.weights @ data.y / data.weights.sum())
    if not output_bias and abs(mean) > 1e-12 * np.abs(data.y).max():
        raise CapabilityError(
            f"neurons with kinks are trained by NeuronFlow, with an output bias that fits the mean of y, here {mean:g}, "
            "first; centre y (data.with_ordinates(y - mean)), or take output_bias=True"
        )
    problem = Problem(data, Initialization.gaussian(), activation)
    start = Network.of_units(w=begin[1], b=begin[2], a=begin[0], activation=activation)
    weights = data.weights / data.weights.sum()

    def state_of(run: Any) -> tuple[Array, float]:
        state = np.stack([run.network.a.numpy(), run.network.w.numpy(), run.network.b.numpy()])
        units = activation.value(_rows(data) @ state[1:]) @ state[0]
        return state, float(np.abs(units - weights @ units).max())

    spread = float(weights @ (data.y - mean) ** 2) / 2
    run = train(problem, start=start, method=NeuronFlow(), loss_tol=(1 - level / np.abs(data.y - mean).max()) * spread)
    (state, height), steps = state_of(run), run.steps
    strongest = float(np.abs(condensed_orientations(_centred(data), activation).strengths).max())
    rate = 2 * strongest / float(data.weights.sum()) / begin.shape[1]  # of a times |(w, b)|, in training time
    for _ in range(12):
        if height < level * math.exp(-_CLOSE) and not run.outcome.ok:  # it comes to rest before
            break
        if abs(math.log(height / level)) <= _CLOSE:
            break
        before, time = (run.time, height), run.time - math.log(height / level) / rate
        run = train(problem, start=start, method=NeuronFlow(time=time), loss_tol=1e-300)
        state, height = state_of(run)
        steps += run.steps
        rate = math.log(height / before[1]) / (run.time - before[0])
    closed = level * math.exp(-_CLOSE) <= height <= level * math.exp(_CLOSE)
    return state, run.time / begin.shape[1], steps, Outcome.CONVERGED if closed else Outcome.STALLED


def expected_angle_error(
    data: Dataset | Points, activation: Smooth, *, width: int, scale: float, stop: float = 0.02
) -> float:
    r"""The `angle_error` in degrees of networks of multiplicity 1 at the stop, to leading order in `scale` and `stop`.

    .. math:: \frac{2}{\pi}\, \chi\, \varepsilon \sqrt{\frac nF}, \qquad
              F = \frac{\text{stop} \cdot \max|y|}{\kappa \max_i |\hat v \cdot \tilde x_i|}, \quad \tilde x = (x, 1),

    with :math:`\hat v` the predicted direction and :math:`\chi = 1` for one input, in general
    :math:`\chi = \sqrt{\pi/2}\, E\chi_d`, :math:`\chi_d` the length of d independent normal numbers.

    Parameters
    ----------
    data, activation, width, scale, stop
        As in `train_from_small_start`.

    Raises
    ------
    DataError, CapabilityError
        As `condensed_orientations`; for other multiplicities: there growth is no exponential, and the winner takes all.

    Notes
    -----
    Derived here. While f is small, (a, h) of a neuron grows along :math:`(1, \hat v)` from
    :math:`g = (a + \hat v \cdot h)/\sqrt 2` by a factor G, the part :math:`h_\perp` of h stays what it was, and
    :math:`f(x) = \kappa (\hat v \cdot \tilde x)\, G^2 \sum g^2/2`: the error, weighted by mass, is
    :math:`\sum |g||h_\perp| / \sqrt{F \sum g^2}`; g and h are normal.
    *Not checked:* a large width (fluctuations are :math:`O(n^{-1/2})`), and that the stop itself, whose error is
    :math:`O(\text{stop})`, turns neurons by less.
    """
    if activation.multiplicity != 1:
        raise CapabilityError(
            f"this error is that of exponential growth, of multiplicity 1, got {activation!r}; take sb.Tanh()"
        )
    found = condensed_orientations(data, activation)
    rows, d = _rows(data), data.inputs
    top = found.strengths.argmax()
    if isinstance(found, PointOrientations):
        unit = found.directions[top]
    else:
        angle = np.radians(found.angles[top])
        unit = np.array([np.cos(angle), np.sin(angle)])
    height = stop * np.abs(data.y).max() / (abs(activation.leading) * np.abs(rows @ unit).max())
    length = math.sqrt(2) * math.gamma((d + 1) / 2) / math.gamma(d / 2)  # E chi_d
    return float(np.degrees(math.sqrt(2 / math.pi) * length * scale * math.sqrt(width / height)))


def _measured(state: Array) -> tuple[Array, Array, Array]:
    """What `Condensation` is made of."""
    rows = state[1:].T
    return rows, np.sign(state[0]), np.abs(state[0]) * np.linalg.norm(rows, axis=1)


def _rows(data: Dataset | Points) -> Array:
    """(x, 1) of each point, shape (M, d + 1)."""
    return np.column_stack([data.x, np.ones(data.size)])


def _centred(data: Dataset | Points) -> Dataset | Points:
    return data.with_ordinates(data.y - data.weights @ data.y / data.weights.sum())
