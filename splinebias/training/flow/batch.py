"""A batch of flows under way: the loop of `MirrorFlow`, from the start of the networks to their runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splinebias._arguments import Array
from splinebias.errors import Outcome
from splinebias.networks.network import Network
from splinebias.training.flow.exponential_step import Attempt, ExponentialStep
from splinebias.training.flow.held_breakpoints import Units
from splinebias.training.flow.step_control import Flags, Steering, Tolerances
from splinebias.training.flow.vector_field import FlowField, FlowState
from splinebias.training.losses import SquaredLoss
from splinebias.training.method import Recorder, Run, Snapshot
from splinebias.training.mirror_map import BatchMirrorMap

_ROUNDING = 16  # rounding errors of y: a root mean square residual below means nothing
_VISIBLE = 1e-6  # share of the misfit at the start above which what is left at rest is no rounding


@dataclass(frozen=True)
class Goal:
    """When to stop and what to keep: the fields of `MirrorFlow`, and the loss to reach."""

    loss_tol: float
    rtol: float
    max_steps: int
    time: float
    saveat: tuple[float, ...]

    @property
    def times_count(self) -> bool:
        """Whether the times along the trajectory must be right, not only its end."""
        return math.isfinite(self.time) or bool(self.saveat)


class FlowBatch:
    """Networks under way, and the runs of those that are done.

    Parameters
    ----------
    start : Network
        B networks, theta of shape (B, 3n + 1).
    loss : SquaredLoss
        Their loss.
    mirror : MirrorMap or MirrorMaps
        Their mirror map; its centre, if it has one, has shape (B, 3n + 1).
    goal : Goal
        When to stop and what to keep.
    records : sequence of Recorder
        One per network, or none at all.
    """

    def __init__(
        self, start: Network, loss: SquaredLoss, mirror: BatchMirrorMap, goal: Goal, records: Sequence[Recorder] = ()
    ) -> None:
        self._goal, self._records, self._width = goal, records, start.width
        self._clock, self._horizon = mirror.clock, goal.time / mirror.clock
        self._field = FlowField(start.activation, loss, mirror)
        self._state = self._field.at(mirror.to_dual(start.theta), Units.none(start.theta.device))
        self._steering = Steering.begin(_numpy(self._state.loss))
        epsilon = torch.finfo(start.theta.dtype).eps
        self._tolerances = Tolerances(
            rtol=goal.rtol,
            times_count=goal.times_count,
            rounding=_ROUNDING * epsilon * float(loss.y.abs().max()),
        )
        self._runs: list[Run | None] = [None] * start.theta.shape[0]
        self._snapshots: list[list[Snapshot]] = [[] for _ in self._runs]
        self._note(np.ones(len(self._runs), dtype=bool))

    def finish(self) -> list[Run]:
        """Take steps until every network is done."""
        self._retire()
        while self._steering.index.size:
            step = ExponentialStep(self._field, self._state)
            self._survey(step)
            if self._retire():
                continue  # the batch is smaller now
            while not self._attempt(step) and not any(self._outcomes()):
                pass
            self._retire()
        return [run for run in self._runs if run is not None]

    def _survey(self, step: ExponentialStep) -> None:
        """Take note of the spectrum, and of networks whose gradient vanishes to rounding."""
        spectrum, rho = step.spectrum, self._state.residual
        fall = (rho * spectrum.matvec(rho)).sum(-1)  # -dL/dtau
        epsilon = rho.shape[-1] * torch.finfo(rho.dtype).eps
        critical = fall <= epsilon * spectrum.scale * (rho * rho).sum(-1)
        found = (spectrum.largest, spectrum.smallest, spectrum.rank, critical)
        self._steering.survey(*(_numpy(values) for values in found))

    @np.errstate(all="ignore")  # numbers that overflow are judged below
    def _attempt(self, step: ExponentialStep) -> bool:
        """Try one step of every network; whether any of them moved."""
        steering, like = self._steering, self._state.residual
        drift_tol, wander_tol = self._tolerances.of(np.sqrt(2 * steering.loss), steering.at_start)
        h = steering.propose(self._horizon, self._goal.rtol)
        attempt = step.attempt(torch.as_tensor(h).to(like), torch.as_tensor(drift_tol).to(like))
        error = np.maximum(_numpy(attempt.drift) / drift_tol, _numpy(attempt.wander) / wander_tol)
        taken = steering.judge(
            h,
            error=error,
            jumps=_numpy(attempt.jumps),
            held=_numpy(attempt.end.held.per_network(h.size)),
            loss=_numpy(attempt.end.loss),
            noise=_numpy(attempt.end.rounding),
            rounding=self._tolerances.rounding,
            passes=attempt.passes,
        )
        if not taken.any():
            return False
        self._keep_snapshots(step, attempt, h, taken)
        self._state = self._mix(taken, attempt.end)
        steering.advance(taken, h, _numpy(self._state.loss), self._horizon)
        self._note(taken)
        return True

    def _mix(self, taken: Flags, new: FlowState) -> FlowState:
        """`new` for the networks whose step was taken, the present state for the others."""
        if taken.all():
            return new
        old, mask = self._state, torch.as_tensor(taken, device=new.dual.device)
        held = old.held.where(~mask[old.held.row]).join(new.held.where(mask[new.held.row]))
        return self._field.at(torch.where(mask[:, None], new.dual, old.dual), held)

    def _keep_snapshots(self, step: ExponentialStep, attempt: Attempt, h: Array, taken: Flags) -> None:
        """Snapshots at the requested times that the steps `taken` pass."""
        times = [*self._goal.saveat, math.inf]
        while True:
            due = np.array([times[len(self._snapshots[i])] / self._clock for i in self._steering.index])
            sigma = due - self._steering.tau
            passed = taken & (sigma <= h * (1 + 1e-12))  # rounding must not lose a time at the very end
            if not passed.any():
                return
            inside = np.where(passed, np.minimum(sigma, h), 0.0)
            state = step.state_at(attempt, torch.as_tensor(inside).to(self._state.residual))
            for row in np.flatnonzero(passed).tolist():
                kept = self._snapshots[self._steering.index[row]]
                kept.append(Snapshot(times[len(kept)], float(state.loss[row]), self._network(state, row)))

    def _note(self, moved: Flags) -> None:
        """Tell the recorders."""
        if not self._records:
            return
        steering = self._steering
        for row in np.flatnonzero(moved).tolist():
            time = float(steering.tau[row]) * self._clock
            self._records[steering.index[row]](int(steering.steps[row]), float(steering.loss[row]), time)

    def _outcomes(self) -> list[Outcome | None]:
        """How each network of the batch has ended, or None."""
        return self._steering.outcomes(loss_tol=self._goal.loss_tol, horizon=self._horizon, max_steps=self._goal.max_steps)

    def _retire(self) -> bool:
        """Take the networks that are done out of the batch; whether there were any."""
        outcomes = self._outcomes()
        if not any(outcomes):
            return False
        for row, outcome in enumerate(outcomes):
            if outcome is not None:
                self._runs[self._steering.index[row]] = self._run(row, outcome)
        kept = np.array([outcome is None for outcome in outcomes])
        self._steering = self._steering.of_networks(kept)
        if kept.any():
            mask = torch.as_tensor(kept, device=self._state.dual.device)
            self._field = self._field.of_networks(mask)
            self._state = self._field.at(self._state.dual[mask], self._state.held.of_networks(mask))
        return True

    def _network(self, state: FlowState, row: int) -> Network:
        """Network number `row` of a state, with its skip part, as a copy."""
        skip = self._field.loss.skip(state.linear.value[row])
        return Network(state.theta[row].clone(), self._field.activation, skip)

    def _run(self, row: int, outcome: Outcome) -> Run:
        """The run of network number `row` of the batch, which has ended with `outcome`."""
        steering = self._steering
        counts = ("passes", "rejected", "jumped", "floored", "held", "rank")
        stats = {name: float(getattr(steering, name)[row]) for name in counts}
        stats |= {"lambda_max": float(steering.largest[row]), "lambda_min": float(steering.smallest[row])}
        network, loss = self._network(self._state, row), float(steering.loss[row])
        snapshots = self._snapshots[steering.index[row]]
        if outcome in (Outcome.CONVERGED, Outcome.STALLED):  # at rest
            snapshots += [Snapshot(t, loss, network) for t in self._goal.saveat[len(snapshots) :]]
        return Run(
            network=network,
            loss=loss,
            steps=int(steering.steps[row]),
            time=float(steering.tau[row]) * self._clock,
            outcome=outcome,
            advice=self._advice(row, outcome),
            stats=stats,
            snapshots=tuple(snapshots),
        )

    def _advice(self, row: int, outcome: Outcome) -> str:
        """The advice of `outcome` with the numbers of network number `row`."""
        loss = float(self._steering.loss[row])
        if outcome is Outcome.DIVERGED:
            return f"numbers overflowed at loss {loss:.3g}: rescale the data or the initialization, or use float64"
        if outcome is Outcome.STALLED:
            return self._advice_at_rest(row, loss)
        if outcome is Outcome.MAX_STEPS:
            return f"max_steps = {self._goal.max_steps} steps led to loss {loss:.3g}: raise `max_steps` or `rtol`"
        return str(outcome.value)

    def _advice_at_rest(self, row: int, loss: float) -> str:
        """Why network number `row` moves no more at `loss`, and what to do."""
        steering = self._steering
        if steering.lost[row] and not steering.critical[row]:
            return f"no step lowers the loss from {loss:.3g}: rescale the data or the initialization, or use float64"
        if not steering.critical[row] and math.sqrt(2 * loss) <= _VISIBLE * steering.at_start[row]:
            return f"the loss is down to rounding at {loss:.3g}: raise `loss_tol` above that, or use float64"
        if steering.critical[row]:
            rank, points = int(steering.rank[row]), self._state.residual.shape[-1]
            reason = f"the gradient vanishes at loss {loss:.3g}: the tangent kernel has rank {rank} for {points} points at"
            reason += f" width {self._width}"
        else:
            reason = f"steps no longer change the loss, {loss:.3g}, beyond rounding"
        return (
            f"{reason}, and f misses {self._worst(row)}; use a larger width, y scaled down, or a law whose breakpoints -b/w "
            "cover the data (training moves them: see sb.laziness)"
        )

    def _worst(self, row: int) -> str:
        """The largest residual of network number `row`, in words, with what is left to bend f there."""
        loss, network = self._field.loss, self._network(self._state, row)
        residual = loss.residual(self._state.linear.value[row])
        worst = int(residual.abs().argmax())
        x, c = float(loss.points[0, worst]), -network.b / network.w
        ends = [f"{float(v):.4g}" for v in (c[c <= x].amax(), c[c >= x].amin())] if (c <= x).any() and (c >= x).any() else []
        near = f" between breakpoints at {' and '.join(ends)}" if ends else ", beyond all breakpoints"
        return f"y by {float(residual[worst]):.3g} at x = {x:.4g}{near}"


def _numpy(values: Tensor) -> Any:
    """`values`, shape (B,), as a numpy array, in float64 if they are real."""
    array = values.cpu().numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array
