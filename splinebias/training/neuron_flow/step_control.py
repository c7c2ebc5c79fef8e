"""Control of a batch of flows of neurons: sizes of the steps and what is accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splinebias._array import Array
from splinebias.neurons.sectors import Flags
from splinebias.training.neuron_flow.state import NeuronState
from splinebias.training.neuron_flow.step import Attempt, NeuronStep


class StepControl:
    """How long the next steps of B networks are.

    Parameters
    ----------
    loss : Array, shape (B,)
        L at the start.
    rtol : float
        Error of a step at the data, relative to the misfit at the start, and of a neuron's parameters, relative to them.
    rounding : float
        A root mean square residual that may be rounding.
    labels : bool
        Whether the loss is one of labels: it has no misfit, and the tolerance is that of the start throughout.

    Attributes
    ----------
    h : Array
        Sizes of the next steps (nan: not known yet).
    growth : Array of int
        Steps whose size followed the growth of the neurons.
    """

    def __init__(self, loss: Array, rtol: float, rounding: float, *, labels: bool = False) -> None:
        self._labels = labels
        self._at_start, self._rtol, self._rounding = np.sqrt(2 * loss), rtol, rounding
        self.h, self._most = np.full(loss.size, np.nan), np.full(loss.size, 10.0)
        self.growth = np.zeros(loss.size, dtype=np.int64)
        self._grows = np.zeros(loss.size, dtype=bool)

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with the networks number `kept` only."""
        for name in ("_at_start", "h", "_most", "growth", "_grows"):
            setattr(self, name, getattr(self, name)[kept])

    def _tolerance(self, loss: Array) -> Array:
        misfit = np.inf if self._labels else np.sqrt(2 * loss)
        return np.maximum(np.minimum(self._rtol * self._at_start, 0.5 * misfit), self._rounding)

    def propose(self, state: NeuronState, step: NeuronStep) -> Array:
        """Sizes of the next steps, shape (B,).

        A step in which neurons could grow by more than a factor e must leave their sum within the tolerance: such a step
        does not see how residuals answer. Where it does, as on the plateau after a small start, neurons are exact at any
        size.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.log(self._tolerance(state.loss) / state.size) / 2
            bound = np.maximum(room, 1.0) / state.speed
            first = np.where(room > 1, bound, min(self._rtol, 1.0) ** (1 / 3) / step.largest)
            h = np.where(np.isnan(self.h), first, self.h)
            rest = np.where(state.medium.decay > 0, np.inf, 40 / step.smallest)  # nothing happens after 40 e-foldings
            blind = (room > 1) | self._labels  # on a plateau the spectrum says nothing, and label losses never rest
            rest = np.where(blind, np.inf, rest)  # of what is there
        self._grows = bound < h
        self.h = np.minimum(np.minimum(h, rest), bound)
        return self.h

    def judge(self, state: NeuronState, attempt: Attempt, h: Array) -> Flags:
        """Which steps of sizes `h` are taken; sizes the next ones, too."""
        same = (1 + 64 * np.finfo(float).eps) * state.loss + self._rounding**2 / 2  # up to rounding
        with np.errstate(all="ignore"):
            loss = attempt.end.loss
            error = np.maximum(attempt.error / self._tolerance(state.loss), attempt.turn / self._rtol)
            finite = np.isfinite(error) & np.isfinite(loss) & attempt.complete
            factor = np.where(finite, 0.9 * error ** (-1 / 3), 0.0)
        taken: Flags = finite & (error <= 1) & ((loss <= same) | (state.medium.decay > 0))
        longer, shorter = h * np.clip(factor, 0.1, self._most), h * np.clip(factor, 0.1, 0.5)
        longer = np.where(h < self.h, np.maximum(longer, self.h), longer)  # it was cut short by a time asked for
        self.h = np.where(taken, longer, shorter)
        self._most = np.where(taken, np.minimum(1.5 * self._most, 100.0), 1.5)
        self.growth = self.growth + (taken & self._grows)
        return taken
