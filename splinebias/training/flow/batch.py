"""A batch of flows under way: exponential steps until every network is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splinebias._array import Array
from splinebias.networks.network import Network
from splinebias.training.batch import SavingBatch
from splinebias.training.field import Field
from splinebias.training.flow.exponential_step import Attempt, ExponentialStep
from splinebias.training.flow.step_control import Flags, StepControl
from splinebias.training.flow.vector_field import FlowField, FlowState
from splinebias.training.method import Recorder, Snapshot
from splinebias.training.stopping import Limits

_SETTLED = 1e4  # times in units of the fastest mode after which the kernel of a network is judged by what it cannot reach


class FlowBatch(SavingBatch):
    """Flows of one width under way, each with steps of its own.

    Parameters
    ----------
    start : Network
        The B networks.
    field : Field
        What moves them.
    rtol : float
        Local error per step, relative to the misfit at the start.
    saveat : sequence of float
        Training times at which to keep the networks, increasing.
    limits : Limits
        When to stop.
    records : sequence of Recorder
        One per network.
    """

    _state: FlowState

    def __init__(
        self,
        start: Network,
        field: Field,
        rtol: float,
        saveat: Sequence[float],
        limits: Limits,
        records: Sequence[Recorder],
    ) -> None:
        state = FlowField(**vars(field)).at(field.mirror.to_dual(start.theta))
        super().__init__(state, limits, records, saveat)
        self._control, self._rtol = StepControl(_numpy(state.loss)), rtol
        self._times_count = math.isfinite(limits.horizon) or bool(saveat)
        # a root mean square residual below 16 rounding errors of y means nothing
        self._rounding = 16 * torch.finfo(start.theta.dtype).eps * float(field.loss.y.abs().max())

    def _advance(self) -> None:
        step = ExponentialStep(self._state)
        self._survey(step)
        while not any(self._reasons()) and not self._attempt(step):
            pass

    def _keep(self, kept: Sequence[int]) -> None:
        super()._keep(kept)
        self._control.keep(kept)

    def _survey(self, step: ExponentialStep) -> None:
        """Take note of the spectrum, and of networks whose gradient vanishes to rounding."""
        spectrum, rho, control = step.spectrum, self._state.rho, self._control
        fall = (rho * spectrum.matvec(rho)).sum(-1)  # -dL/dtau
        epsilon = rho.shape[-1] * torch.finfo(rho.dtype).eps
        critical = fall <= epsilon * spectrum.scale * (rho * rho).sum(-1)
        missed = _numpy(spectrum.missed(rho))
        control.largest, control.smallest, control.rank = map(_numpy, (spectrum.largest, spectrum.smallest, spectrum.rank))
        for row, flat, largest, share in zip(self._rows, critical.tolist(), control.largest, missed, strict=True):
            row.critical, row.broken, row.missed = (
                flat,
                not math.isfinite(largest),
                float(share) if row.tau * largest > _SETTLED else 0.0,
            )

    @np.errstate(all="ignore")  # numbers that overflow are judged below
    def _attempt(self, step: ExponentialStep) -> bool:
        """Try one step of every network; whether any of them moved."""
        control, like = self._control, self._state.rho
        drift_tol, wander_tol = control.tolerances(self._rtol, self._rounding, times_count=self._times_count)
        tau = np.array([row.tau for row in self._rows])
        h = control.propose(self._limits.horizon - tau, self._rtol)
        attempt = step.attempt(torch.as_tensor(h).to(like), torch.as_tensor(drift_tol).to(like))
        error = np.maximum(_numpy(attempt.drift) / drift_tol, _numpy(attempt.wander) / wander_tol)
        jumps, landing, loss, noise = map(_numpy, (attempt.jumps, attempt.landing, attempt.end.loss, attempt.end.rounding))
        taken = control.judge(
            h, error=error, jumps=jumps, landing=landing, loss=loss, noise=noise, rounding=self._rounding, rtol=self._rtol
        )
        for row, finite in zip(self._rows, np.isfinite(loss) & np.isfinite(error), strict=True):
            row.overflowed = not finite
        held = _numpy(torch.bincount(attempt.end.held.row, minlength=h.size))
        control.passes, control.held = control.passes + attempt.passes, np.maximum(control.held, np.where(taken, held, 0))
        self._keep_snapshots(step, attempt, h, tau, taken)
        self._move(taken.tolist(), h.tolist(), attempt.end)
        return bool(taken.any())

    def _keep_snapshots(self, step: ExponentialStep, attempt: Attempt, h: Array, tau: Array, taken: Flags) -> None:
        """Snapshots at the requested times that the steps `taken` of sizes `h` from `tau` pass."""
        times, kept = [*self._saveat, math.inf], [self._kept(j) for j in range(len(self._rows))]
        while True:
            sigma = np.array([times[len(found)] / self._state.field.mirror.clock for found in kept]) - tau
            passed = taken & (sigma <= h * (1 + 1e-12))  # rounding must not lose a time at the very end
            if not passed.any():
                return
            inside = np.where(passed, np.minimum(sigma, h), 0.0)
            state = step.state_at(attempt, torch.as_tensor(inside).to(self._state.rho))
            for j in np.flatnonzero(passed).tolist():
                kept[j].append(Snapshot(times[len(kept[j])], float(state.loss[j]), state.network(j)))

    def _stats(self, ended: Sequence[int]) -> list[dict[str, float]]:
        found = {name: getattr(self._control, name) for name in ("passes", "jumped", "floored", "held", "rank")}
        found |= {"lambda_max": self._control.largest, "lambda_min": self._control.smallest}
        rows = self._rows
        return [{"rejected": float(rows[j].rejected)} | {name: float(v[j]) for name, v in found.items()} for j in ended]


def _numpy(values: Tensor) -> Any:
    """`values`, shape (B,), as a numpy array, in float64 if they are real."""
    array = values.cpu().numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array
