"""A batch of flows of neurons under way: exact steps until every network is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from splinebias._array import Array
from splinebias.errors import Outcome
from splinebias.networks.network import Network
from splinebias.neurons.sectors import Flags
from splinebias.training.batch import SavingBatch
from splinebias.training.field import Field
from splinebias.training.method import Recorder, Run, Snapshot
from splinebias.training.neuron_flow.state import Medium, NeuronState
from splinebias.training.neuron_flow.step import NeuronStep
from splinebias.training.neuron_flow.step_control import StepControl
from splinebias.training.stopping import Limits, Reason


class NeuronBatch(SavingBatch):
    """Flows of one width under way, each with steps of its own.

    Parameters
    ----------
    start : Network
        The B networks.
    field : Field
        Their loss and clock.
    rtol, weight_decay : float
        As in `NeuronFlow`.
    saveat : sequence of float
        Training times at which to keep the networks, increasing.
    limits : Limits
        When to stop.
    records : sequence of Recorder
        One per network.
    """

    _state: NeuronState  # type: ignore[assignment]

    def __init__(
        self,
        start: Network,
        field: Field,
        rtol: float,
        weight_decay: float,
        saveat: Sequence[float],
        limits: Limits,
        records: Sequence[Recorder],
    ) -> None:
        state = Medium.of(start, field, weight_decay).at(start)
        super().__init__(state, limits, records, saveat)  # type: ignore[arg-type]
        rounding = 16 * np.finfo(float).eps * float(field.loss.y.abs().max())
        self._control = StepControl(state.loss, rtol, rounding, labels=limits.labels)
        self._counts = np.zeros((3, len(records)), dtype=np.int64)  # of events, of undetermined ones, of passes
        self._spectrum = NeuronStep(state)

    def _advance(self) -> None:
        state, step = self._state, NeuronStep(self._state)
        self._survey(step)
        while not any(self._reasons()):
            h = np.minimum(self._control.propose(state, step), self._until())
            with np.errstate(all="ignore"):  # numbers that overflow are judged below
                attempt = step.attempt(h)
            taken = self._control.judge(state, attempt, h)
            for row, finite in zip(self._rows, np.isfinite(attempt.error), strict=True):
                row.overflowed = not finite
            self._counts[2] += 2
            self._counts[:2] += np.where(taken, [attempt.events, attempt.undetermined], 0)
            self._move(taken.tolist(), h.tolist(), attempt.end)  # type: ignore[arg-type]
            self._save(taken)
            if taken.any():
                return

    def _survey(self, step: NeuronStep) -> None:
        """Take note of the spectrum, of networks at rest, and of those that only seem to be."""
        self._spectrum, state = step, self._state
        for row, finite in zip(self._rows, step.finite, strict=True):
            row.broken = not finite
        epsilon = state.rho.shape[-1] * np.finfo(float).eps
        still = step.fall() <= epsilon * step.largest * (state.decaying**2).sum(-1)
        idle = np.array([row.idle >= self._limits.patience // 2 for row in self._rows])
        if not (still | idle).any():
            return
        force = np.abs(state.force(state.rho))
        speed, bias = state.speed, np.abs(state.force(state.rho).sum(-1)) / force.sum(-1)
        relative = speed / state.medium.rate / (force @ state.medium.sectors.lengths)
        at_rest = still & (relative <= epsilon) & (bias <= 1e-8) & (state.medium.decay == 0)
        # neurons too small to be seen that grow are no rest; where a loss is flat to rounding, speeds are to its square root
        grows = (relative > 1e-5) & (speed * np.nan_to_num(self._control.h) > 1e-3)
        for row, rest, grow in zip(self._rows, at_rest.tolist(), grows.tolist(), strict=True):
            row.critical, row.idle = rest, 0 if grow else row.idle

    def _until(self) -> Array:
        """Flow time to the next time asked for, shape (B,)."""
        clock, saveat = self._state.field.mirror.clock, self._saveat
        times = [*saveat, math.inf]
        stops = [min(times[len(self._kept(j))] / clock, self._limits.horizon) for j in range(len(self._rows))]
        return np.array([stop - row.tau for stop, row in zip(stops, self._rows, strict=True)])

    def _save(self, taken: Flags) -> None:
        """Snapshots of the networks that have reached a time of `saveat`."""
        if not self._saveat:
            return
        for j in np.flatnonzero(taken).tolist():
            row = self._rows[j]
            for time in self._due(j, row.tau * self._state.field.mirror.clock):
                self._kept(j).append(Snapshot(time, row.loss, self._state.network(j)))

    def _keep(self, kept: Sequence[int]) -> None:
        super()._keep(kept)
        self._control.keep(kept)
        self._counts = self._counts[:, kept]

    def _stats(self, ended: Sequence[int]) -> list[dict[str, float]]:
        spectrum = self._spectrum if self._spectrum.largest.size == len(self._rows) else NeuronStep(self._state)
        names = ("events", "undetermined", "passes")
        found = dict(zip(names, self._counts, strict=True)) | {"growth": self._control.growth}
        found |= {"sliding": self._state.neurons.on_line.sum(-1), "dead": self._state.dead, "rank": spectrum.rank}
        found |= {"lambda_max": spectrum.largest, "lambda_min": spectrum.smallest}
        rows = self._rows
        return [{"rejected": float(rows[j].rejected)} | {name: float(v[j]) for name, v in found.items()} for j in ended]

    def _run(self, j: int, reason: Reason, stats: dict[str, float]) -> Run:
        run = super()._run(j, reason, stats)
        return replace(run, advice="; ".join([run.advice, *_remarks(run)]))


def _remarks(run: Run) -> list[str]:
    """What happened to neurons that the reason for the end does not tell."""
    found, width = [], run.network.width
    if run.outcome is Outcome.STALLED and (dead := int(run.stats["dead"])):
        found.append(f"{dead} of {width} neurons are active at no datum, and move no more")
    if count := int(run.stats["undetermined"]):
        found.append(
            f"{count} of {width} neurons left a sample, or w = b = 0, though more than one motion solved the flow, as where "
            "the output weight of one that slides changes sign: descent may end elsewhere"
        )
    return found
