r"""Early alignment measured: networks of a small balanced start, followed neuron by neuron in direction and log size.

With :math:`v = s \rho`, :math:`w = \rho u`, s = +-1 and the pulls :math:`-\ell'_i`, gradient flow is
:math:`u' = s (I - u u^T) g(u)`, :math:`(\log\rho)' = s\, u \cdot g(u)`,
:math:`g(u) = \frac1M \sum_{u \cdot x_i > 0} -\ell'_i y_i x_i`:
nothing in it is small, whatever :math:`\varepsilon`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.activation import ReLU
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.loss import Exponential, Loss, checked_loss
from splinebias.problem import Problem
from splinebias.regimes.alignment import AlignmentMargin, alignment_margin

_EXPONENTIAL = Exponential()


@dataclass(frozen=True, eq=False)
class Alignment(Drawn):
    r"""A network of a small balanced start, followed until its loss is small.

    Attributes
    ----------
    predicted : AlignmentMargin
        What the points say.
    loss_function : Loss
        The loss that was lowered.
    scale : float
        The size :math:`\varepsilon` of all neurons at the start.
    signs : Array, shape (n,)
        The s above.
    start_directions, directions : Array, shape (n, d)
        The u at the start and at the end.
    sizes : Array, shape (n,)
        The :math:`\rho` at the end.
    aligned_at : Array, shape (n,)
        Times at which each neuron first was active on all points of its class and on none of the other, up to a step;
        infinite if it never was.
    dead : Array of bool, shape (n,)
        Neurons that are active on no point at the end.
    times, losses, stable_ranks : Array, shape (steps + 1,)
        Time, mean loss and stable rank :math:`\|W\|_F^2/\|W\|_2^2` of the hidden weights at every step.
    outcome : Outcome
        CONVERGED: the asked loss was reached; REACHED_TIME, MAX_STEPS otherwise.
    imbalance : float
        Largest :math:`||v_j|/|w_j| - 1|` at the start; the claims are about 0.
    """

    predicted: AlignmentMargin
    loss_function: Loss
    scale: float
    signs: Array
    start_directions: Array
    directions: Array
    sizes: Array
    aligned_at: Array
    dead: NDArray[np.bool_]
    times: Array
    losses: Array
    stable_ranks: Array
    outcome: Outcome
    imbalance: float = 0.0

    @property
    def alignment_time(self) -> float:
        """Time at which the last of those neurons aligned that ever do; 0 if none did."""
        return float(self.aligned_at[np.isfinite(self.aligned_at)].max(initial=0.0))

    @property
    def bound(self) -> float:
        r"""`AlignmentMargin.time_scale` for this loss: the bound on `alignment_time` without its constant, † unchecked."""
        return self.predicted.time_scale() / self.loss_function.first_pull

    @property
    def aligned_before_the_loss_moved(self) -> float:
        """Share of neurons that aligned before the loss had halved, among those that are not dead."""
        alive = ~self.dead
        return float((self.aligned_at[alive] < self.halved_at).mean()) if alive.any() else 0.0

    @property
    def rank_once_aligned(self) -> float:
        """Largest stable rank from `alignment_time` on; the theorem, †, says 2 + o(1)."""
        return float(self.stable_ranks[self.times >= self.alignment_time].max())

    @property
    def halved_at(self) -> float:
        """Time at which the loss first is half of what it was at the start; infinite if it never was."""
        below, half = np.flatnonzero(self.losses <= self.losses[0] / 2), self.losses[0] / 2
        if not below.size:
            return float("inf")
        step = slice(below[0] - 1, below[0] + 1)
        return float(np.interp(-half, -self.losses[step], self.times[step]))

    def late_slope(self, largest: float) -> float:
        r""":math:`\frac{dt}{d(1/L)} \ln(1/L)` where :math:`L \le` `largest`, the median: tends to 1/(4 gamma bar)."""
        late = np.flatnonzero(self.losses <= real_number(largest, "largest", above=0))
        if late.size < 3:
            raise DataError(f"`largest` must leave at least three steps, got {late.size}; train to a lower loss")
        t, inverse = self.times[late], 1 / self.losses[late]
        return float(np.median(np.diff(t) / np.diff(inverse) * np.log((inverse[1:] + inverse[:-1]) / 2)))

    def to_frame(self) -> Any:
        """A row per neuron, as a pandas DataFrame: sign, when it aligned, whether it is dead, its size at the end."""
        return frame_of({"sign": self.signs, "aligned_at": self.aligned_at, "dead": self.dead, "size": self.sizes})

    def history_frame(self) -> Any:
        """A row per step, as a pandas DataFrame: time, loss, stable rank."""
        return frame_of({"time": self.times, "loss": self.losses, "stable_rank": self.stable_ranks})

    def facts(self) -> dict[str, Any]:
        """What was predicted and measured, as numbers by name, for JSON."""
        first = self.loss_function.first_pull
        return {
            "loss": repr(self.loss_function),
            "scale": self.scale,
            "imbalance": self.imbalance,
            "width": self.signs.size,
            "steps": self.times.size - 1,
            "final_loss": float(self.losses[-1]),
            "aligned": float(np.isfinite(self.aligned_at).mean()),
            "dead": float(self.dead.mean()),
            "aligned_before_the_loss_moved": self.aligned_before_the_loss_moved,
            "alignment_time": self.alignment_time,
            "bound": self.bound,
            "halved_at": self.halved_at,
            "halving_predicted": self.predicted.halving_time(self.scale, first),
            "rank_once_aligned": self.rank_once_aligned,
        }

    def __repr__(self) -> str:
        return (
            f"Alignment({self.signs.size} neurons, {self.loss_function!r}, scale {self.scale:g}: aligned by "
            f"{self.alignment_time:.4g}, loss halved at {self.halved_at:.4g}, {self.outcome})"
        )

    def __str__(self) -> str:
        found = self.facts()
        plain = found["alignment_time"] * self.predicted.mean_size * self.loss_function.first_pull
        last = f"at {found['alignment_time']:.4g}; times -l'(0) and the mean |x|: {plain:.3g}"
        rows = [
            ("hypothesis", self.predicted.verdict),
            ("network", f"{found['width']} neurons from size {self.scale:.3g}, {found['loss']}, {found['steps']} steps"),
            ("aligned", f"{found['aligned']:.1%} of neurons, {found['dead']:.1%} dead at the end"),
            ("last one", last if found["aligned"] else "none did"),
            ("bound", self.predicted.bound_in_words(self.bound)),
            ("loss halved", f"at {found['halved_at']:.4g}; leading order {found['halving_predicted']:.4g}"),
            ("in time", f"{found['aligned_before_the_loss_moved']:.1%} of those alive aligned before that"),
            ("stable rank", f"at most {found['rank_once_aligned']:.3f} once aligned"),
        ]
        if self.imbalance > 0:
            rows.insert(1, ("balance", f"violated: |v| and |w| of a neuron differ by up to a share of {self.imbalance:.3g}"))
        return "\n".join(f"{name:<12}{text}" for name, text in rows)


@known_keywords
def alignment(
    points: Any,
    labels: Any = None,
    *,
    width: int = 100,
    scale: float = 1e-8,
    loss: Loss = _EXPONENTIAL,
    seed: int = 0,
    loss_tol: float = 1e-2,
    max_time: float = 1e12,
    max_steps: int = 100_000,
) -> Alignment:
    r"""Follow a network :math:`\sum_j v_j [w_j \cdot x]_+` from :math:`\rho = \varepsilon` and random signs s.

    Parameters
    ----------
    points, labels
        As in `alignment_margin`. Directions are uniform; of a `Problem` those of its law of (w, b).
    width : int
        Number n of neurons.
    scale : float
        The size :math:`\varepsilon` above of all neurons, 0 < eps < 1; 1e-16 costs as little as 1e-2.
    loss : Loss
        `Exponential()`, `Logistic()`, `Squared()` or one of your own.
    seed : int
        Seed of directions and signs; runs of other `scale` start in the same directions.
    loss_tol, max_time, max_steps
        Where to stop: mean loss, time of the flow, number of steps. The first two losses have no minimum.

    Returns
    -------
    Alignment
        When each neuron aligned, which are dead, loss and stable rank at every step; ``plot()``, ``to_frame()``, ``print``.

    Raises
    ------
    DataError
        As `alignment_margin`; for eps outside (0, 1), a loss that is none, and numbers that are not positive.
    CapabilityError
        For a problem whose activation is not ReLU.

    Notes
    -----
    Midpoint steps of :math:`\min(.02/\max|u'|, .02/\max|(\log\rho)'|, .1/\max|f'|)`. Changes of activity in a step are not
    located: directions move by at most .02 in it. The flow is that of all parameters, from
    a balanced start; `train` moves any network by descent.
    Hypotheses checked: :math:`\mu > 0`, not to refuse but to say so (``predicted.holds``). Not checked: that the
    start is small enough for its size not to matter.
    Source: Min, Mallada & Vidal on early neuron alignment, of which the abstract was read; the flow in u and log size
    derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> found = sb.alignment([-2, -1.5, 1.5, 2], [-1, -1, 1, 1], width=20, scale=1e-8)
    >>> found.outcome.name, found.alignment_time < found.halved_at, found.rank_once_aligned < 2
    ('CONVERGED', True, True)
    """
    predicted = alignment_margin(points, labels)
    n, eps = whole_number(width, "width", at_least=1), real_number(scale, "scale", above=0)
    checked_loss(loss)
    if eps >= 1:
        raise DataError(f"`scale` must be below 1, got {scale!r}: the start is small")
    ends = real_number(loss_tol, "loss_tol", above=0), real_number(max_time, "max_time", above=0)
    steps = whole_number(max_steps, "max_steps", at_least=1)
    rng = np.random.default_rng(whole_number(seed, "seed"))
    u = _directions(points, predicted.points.shape[1], n, rng)
    return _followed(predicted, loss, eps, u, rng.choice([-1.0, 1.0], n), (*ends, steps))


def _directions(points: Any, d: int, n: int, rng: np.random.Generator) -> Array:
    """Unit vectors, shape (n, d): uniform, or of the law of (w, b) of a problem."""
    if not isinstance(points, Problem):
        return _unit(rng.standard_normal((n, d)))
    if points.activation.two_slopes != ReLU():
        raise CapabilityError(f"early alignment is about ReLU, got {points.activation!r}; neurons of others never die")
    pairs = n + n % 2  # antisymmetric pairs come two by two: every second direction, each of its own
    w, b, _ = points.initialization.sample(2 * pairs, rng)
    rows = np.column_stack([w.reshape(2 * pairs, -1), b])
    return _unit(rows[:: 2 if points.initialization.antisymmetric else 1][:n])


def _followed(
    predicted: AlignmentMargin, loss: Loss, eps: float, start: Array, signs: Array, ends: tuple[float, float, int]
) -> Alignment:
    """The flow from directions `start`, until a loss, a time or a number of steps."""
    (x, y), (loss_tol, max_time, max_steps) = (predicted.points, predicted.labels), ends
    u, log_size = start, np.full(signs.size, math.log(eps))
    own = np.sign(y) == signs[:, None]

    def move(u: Array, log_size: Array) -> tuple[Array, Array, Array, Array]:
        """Margins, u', (log rho)' and f'."""
        z = u @ x.T
        active, mass = z > 0, signs * np.exp(2 * log_size)
        outputs = mass @ (z * active)
        pull = loss.pull(y * outputs) * y / y.size
        drive = (active * pull) @ x
        along = (drive * u).sum(axis=1)
        turn = signs[:, None] * (drive - along[:, None] * u)
        change = mass @ ((2 * (signs * along)[:, None] * z + turn @ x.T) * active)
        return y * outputs, turn, signs * along, change

    time, aligned_at = 0.0, np.full(signs.size, np.inf)
    record: list[tuple[float, float, float]] = []
    outcome = Outcome.MAX_STEPS
    for _ in range(max_steps):
        margins, turn, growth, change = move(u, log_size)
        aligned = ((u @ x.T > 0) == own).all(axis=1)
        aligned_at = np.where(aligned, np.minimum(aligned_at, time), aligned_at)
        weights = np.exp(log_size - log_size.max())[:, None] * u
        record.append((time, float(loss.value(margins).mean()), stable_rank(weights)))
        if record[-1][1] <= loss_tol or time >= max_time:
            outcome = Outcome.CONVERGED if record[-1][1] <= loss_tol else Outcome.REACHED_TIME
            break
        fastest = max(np.linalg.norm(turn, axis=1).max() / 0.02, np.abs(growth).max() / 0.02, np.abs(change).max() / 0.1)
        step = min(1 / fastest if fastest > 0 else max_time, max_time - time)
        _, turn, growth, _ = move(_unit(u + step / 2 * turn), log_size + step / 2 * growth)
        u, log_size, time = _unit(u + step * turn), log_size + step * growth, time + step
    times, losses, ranks = np.array(record).T
    dead = np.asarray((u @ x.T <= 0).all(axis=1))
    return Alignment(
        predicted, loss, eps, signs, start, u, np.exp(log_size), aligned_at, dead, times, losses, ranks, outcome
    )


def _unit(u: Array) -> Array:
    return np.asarray(u / np.linalg.norm(u, axis=1, keepdims=True))


def stable_rank(weights: Array) -> float:
    r""":math:`\|W\|_F^2/\|W\|_2^2` of hidden weights W, shape (n, d)."""
    squares = np.linalg.svd(weights / np.abs(weights).max(), compute_uv=False) ** 2
    return float(squares.sum() / squares[0])
