r"""One step of the flow of neurons: residuals averaged over it, neurons exact for the average.

The neurons' motion is exact for constant residuals. Over a step of size h they are replaced by their mean in the flow
:math:`\rho' = -A \rho - 2\mu (\rho + \eta)` (`state`, decay :math:`\mu`),

.. math:: \bar\rho = \varphi_1(-hB) \rho - 2 \mu h\, \varphi_2(-hB) \eta, \qquad B = A + 2\mu,

so stiffness is no limit. First A is that of the start (predictor), then its mean over the way that neurons took (corrector):
that of both ends for those that change steadily; where one arrives at a sample, crosses or leaves it, its part of A jumps,
and counts for the time before and after. Errors of the corrected step, all of third order:

- what the corrector changes at the data, a third of it: the next correction of the mean would be in that proportion;
- the linear model with the mean A against the networks at the end;
  for losses of labels the first is not divided and this is left out: C changes on the way, at the order of the step;
- the order of the motions: the flow of a neuron is :math:`\exp(\Omega)` with :math:`\Omega = \int \mathcal{A}` for commuting
  generators only; the next term of the Magnus series turns h by :math:`\tfrac{1}{12} (ch)^2 |D_0 \times D_1|`, a relative
  error of the neuron's parameters that networks with small parameters do not show.

The order is 2. Source: derived here (the exact steps of neurons); Hochbruck & Ostermann, Acta Numerica 19 (2010), section 2;
Blanes, Casas, Oteo & Ros, Physics Reports 470 (2009), for the Magnus series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.neurons.sectors import Flags, Whole
from splinebias.training.neuron_flow.state import NeuronState


@dataclass(frozen=True, eq=False)
class Attempt:
    """A step of each network that may be taken.

    Attributes
    ----------
    end : NeuronState
        Where it ends.
    error, turn : Array, shape (B,)
        Root mean square error at the data, and the angle of the Magnus term.
    events, undetermined : Array of int, shape (B,)
        As in `Journey`.
    complete : Array of bool, shape (B,)
        Whether every event was located.
    """

    end: NeuronState
    error: Array
    turn: Array
    events: Whole
    undetermined: Whole
    complete: Flags


class NeuronStep:
    """Steps from one state; what does not depend on their size is computed once.

    Attributes
    ----------
    largest, smallest : Array, shape (B,)
        Largest eigenvalue of A, and the smallest above rounding.
    rank : Array of int, shape (B,)
        Number of eigenvalues above rounding.
    """

    def __init__(self, start: NeuronState) -> None:
        self._start = start
        operator = start.operator
        self.finite: Flags = np.asarray(np.isfinite(operator).all((-1, -2)))
        self._rates, self._vectors = np.linalg.eigh(np.where(self.finite[:, None, None], operator, 0.0))
        self.largest = np.where(self.finite, self._rates[:, -1], np.inf)
        above = self._rates > np.finfo(float).eps * self._rates.shape[-1] * self._rates[:, -1:]
        self.rank = above.sum(-1)
        self.smallest = np.where(above, self._rates, np.inf).min(-1)

    def fall(self) -> Array:
        """-dL/dtau without decay, shape (B,)."""
        coordinates = _times(self._start.decaying, self._vectors)
        fall: Array = (self._rates * coordinates**2).sum(-1)
        return fall

    def attempt(self, h: Array) -> Attempt:
        """Steps of sizes `h`, shape (B,)."""
        start = self._start
        mean, _ = _mean_and_end(start, self._rates, self._vectors, h)
        first, way = start.flown(mean, h)
        middle = start.operator_until(first, way.late)
        finite = np.isfinite(middle).all((-1, -2)) & way.complete
        rates, vectors = np.linalg.eigh(np.where(finite[:, None, None], middle, 0.0))
        mean, expected = _mean_and_end(start, rates, vectors, h)
        end, journey = start.flown(mean, h)
        error = np.maximum(_norm(end.rho - first.rho) / 3, _norm(end.rho - expected))
        if start.medium.labels:
            error = _norm(end.seen - first.seen)
        return Attempt(
            end=end,
            error=np.where(finite, error, np.inf),
            turn=_turn(start, end, h),
            events=journey.events,
            undetermined=journey.undetermined,
            complete=finite & journey.complete,
        )


def _norm(rho: Array) -> Array:
    norm: Array = np.sqrt((rho * rho).sum(-1))
    return norm


def _mean_and_end(start: NeuronState, rates: Array, vectors: Array, h: Array) -> tuple[Array, Array]:
    """The mean of the residual over the step in the linear flow with eigenpairs of A, and its end, each (B, M)."""
    decay = start.medium.decay[:, None]
    rho = _times(start.decaying, vectors)
    exponent = h[:, None] * (np.maximum(rates, 0.0) + 2 * decay)
    first, left = _phi(exponent), np.exp(-exponent)
    mean, end = first * rho, left * rho
    if decay.any():
        pull = -2 * decay * h[:, None] * _times(start.pull, vectors)
        mean, end = mean + _second_phi(exponent, first) * pull, end + first * pull
    back = vectors.transpose(0, 2, 1)
    return start.stiffness * _times(mean, back), start.stiffness * _times(end, back)


def _times(rows: Array, matrices: Array) -> Array:
    """Row times matrix for each network, (B, M) and (B, M, M) to (B, M)."""
    product: Array = (rows[:, None] @ matrices)[:, 0]
    return product


def _phi(s: Array) -> Array:
    """phi_1(-s) = (1 - e^-s)/s for s >= 0."""
    safe = np.where(s > 0, s, 1.0)
    return np.where(s > 0, -np.expm1(-safe) / safe, 1.0)


def _second_phi(s: Array, first: Array) -> Array:
    """phi_2(-s) = (1 - phi_1(-s))/s for s >= 0."""
    small = s < 1e-2
    series = 0.5 - s / 6 * (1 - s / 4 * (1 - s / 5 * (1 - s / 6 * (1 - s / 7))))
    return np.where(small, series, (1 - first) / np.where(small, 1.0, s))


def _turn(start: NeuronState, end: NeuronState, h: Array) -> Array:
    """The angle of the Magnus term in the sectors that hold neurons at both ends, the largest of each network, (B,)."""
    medium = start.medium
    one, other = start.drives, end.drives
    cross = np.abs(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])
    largest = np.where(start.occupied & end.occupied, cross, 0.0).max(-1)
    turn: Array = (medium.rate * h) ** 2 / 12 * largest
    return turn
