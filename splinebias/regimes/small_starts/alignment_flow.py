r"""Early alignment measured: networks of a small balanced start, followed neuron by neuron in direction and log size.

With :math:`v = s \rho`, :math:`w = \rho u`, s = +-1 and the pulls :math:`-\ell'_i`, gradient flow is
:math:`u' = s (I - u u^T) g(u)`, :math:`(\log\rho)' = s\, u \cdot g(u)`,
:math:`g(u) = \frac1M \sum_{u \cdot x_i > 0} -\ell'_i y_i x_i`:
nothing in it is small, whatever :math:`\varepsilon`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_number, whole_number
from splinebias._array import Array
from splinebias.errors import DataError, Outcome
from splinebias.loss import Loss, checked_loss
from splinebias.regimes.alignment import AlignmentMargin, alignment_margin


@dataclass(frozen=True, eq=False)
class AlignmentRun:
    r"""A network of a small balanced start, followed until its loss is small.

    Attributes
    ----------
    predicted : AlignmentMargin
        What the points say.
    signs : Array, shape (n,)
        The s above.
    directions : Array, shape (n, d)
        The u at the end.
    sizes : Array, shape (n,)
        The :math:`\rho` at the end.
    aligned_at : Array, shape (n,)
        Times at which each neuron first was active on its class and on no point of the other; infinite if it never was.
    dead : Array of bool, shape (n,)
        Neurons that are active on no point at the end.
    times, losses, stable_ranks : Array, shape (steps + 1,)
        Time, mean loss and stable rank :math:`\|W\|_F^2/\|W\|_2^2` of the hidden weights at every step.
    outcome : Outcome
        CONVERGED: the asked loss was reached; REACHED_TIME, MAX_STEPS otherwise.
    """

    predicted: AlignmentMargin
    signs: Array
    directions: Array
    sizes: Array
    aligned_at: Array
    dead: NDArray[np.bool_]
    times: Array
    losses: Array
    stable_ranks: Array
    outcome: Outcome

    @property
    def alignment_time(self) -> float:
        """Time at which the last of those neurons aligned that do and are not dead; 0 if none did."""
        return float(self.aligned_at[np.isfinite(self.aligned_at)].max(initial=0.0))

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


def train_aligning(
    points: Any,
    labels: Any,
    *,
    width: int,
    scale: float,
    loss: Loss,
    seed: int = 0,
    loss_tol: float = 1e-2,
    max_time: float = 1e12,
    max_steps: int = 100_000,
) -> AlignmentRun:
    r"""Follow a network from :math:`\rho = \varepsilon`, uniform directions and random signs s.

    Parameters
    ----------
    points, labels
        As in `alignment_margin`.
    width : int
        Number n of neurons.
    scale : float
        The size :math:`\varepsilon` above of all neurons, 0 < eps < 1; 1e-16 costs as little as 1e-2.
    loss : Loss
        `Exponential()`, `Logistic()` or `Squared()`.
    seed : int
        Seed of directions and signs; runs of other `scale` start in the same directions.
    loss_tol, max_time, max_steps
        Where to stop: mean loss, time of the flow, number of steps.

    Raises
    ------
    DataError
        As `alignment_margin`; for eps outside (0, 1).

    Notes
    -----
    Midpoint steps of :math:`\min(.02/\max|u'|, .02/\max|(\log\rho)'|, .1/\max|f'|)`. Changes of activity in a step are not
    located: directions move by at most .02 in it.
    """
    predicted = alignment_margin(points, labels)
    x, y = predicted.points, predicted.labels
    n, eps = whole_number(width, "width", at_least=1), real_number(scale, "scale", above=0)
    checked_loss(loss)
    if eps >= 1:
        raise DataError(f"`scale` must be below 1, got {scale!r}: the start is small")
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((n, x.shape[1]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    signs = rng.choice([-1.0, 1.0], n)
    log_size = np.full(n, np.log(eps))
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

    time, aligned_at = 0.0, np.full(n, np.inf)
    record: list[tuple[float, float, float]] = []
    outcome = Outcome.MAX_STEPS
    for _ in range(max_steps):
        margins, turn, growth, change = move(u, log_size)
        aligned = ((u @ x.T > 0) == own).all(axis=1)
        aligned_at = np.where(aligned, np.minimum(aligned_at, time), aligned_at)
        record.append((time, float(loss.value(margins).mean()), _stable_rank(u, log_size)))
        if record[-1][1] <= loss_tol or time >= max_time:
            outcome = Outcome.CONVERGED if record[-1][1] <= loss_tol else Outcome.REACHED_TIME
            break
        fastest = max(np.linalg.norm(turn, axis=1).max() / 0.02, np.abs(growth).max() / 0.02, np.abs(change).max() / 0.1)
        step = min(1 / fastest if fastest > 0 else max_time, max_time - time)
        _, turn, growth, _ = move(_unit(u + step / 2 * turn), log_size + step / 2 * growth)
        u, log_size, time = _unit(u + step * turn), log_size + step * growth, time + step
    times, losses, ranks = np.array(record).T
    dead = np.asarray((u @ x.T <= 0).all(axis=1))
    return AlignmentRun(predicted, signs, u, np.exp(log_size), aligned_at, dead, times, losses, ranks, outcome)


def _unit(u: Array) -> Array:
    return np.asarray(u / np.linalg.norm(u, axis=1, keepdims=True))


def _stable_rank(u: Array, log_size: Array) -> float:
    squares = np.linalg.svd(np.exp(log_size - log_size.max())[:, None] * u, compute_uv=False) ** 2
    return float(squares.sum() / squares[0])
