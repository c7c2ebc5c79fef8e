r"""Mirror flow followed by exponential steps: the stiffness of the data fit costs nothing.

.. math:: \frac{d}{d\tau} \nabla\Phi(\theta) = -\nabla L(\theta), \qquad L = \tfrac12 \sum_i \omega_i (f(x_i) - y_i)^2,
          \qquad t = n \tau,

the limit of mirror descent for small learning rates, with every parameter (w, b, a, d) trained. What makes descent slow is
the spread of the M decay rates of the data fit, and that part is solved exactly at every step (`_exponential`);
breakpoints that reach a sample and stay there slide along it (`_sliding`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splinebias._check import Array, real_number, real_vector, whole_number
from splinebias.dynamics._exponential import Attempt, ExponentialStep
from splinebias.dynamics._field import FlowField, FlowState
from splinebias.dynamics._sliding import Units
from splinebias.dynamics._steering import Flags, Steering, Tolerances
from splinebias.dynamics.base import Recorder, Run, Snapshot, TrainingMethod
from splinebias.dynamics.mirror import MirrorMap
from splinebias.dynamics.objective import SquaredLoss
from splinebias.errors import DataError, Outcome
from splinebias.network import Network

_ROUNDING = 16  # rounding errors of y: a root mean square residual below means nothing


@dataclass(frozen=True)
class MirrorFlow(TrainingMethod):
    r"""Mirror flow, the limit of `MirrorDescent` for small learning rates, by an exponential integrator.

    Parameters
    ----------
    rtol : float
        Local error per step, relative to the misfit at the start; both are root mean squares of f at the data, with their
        weights. If neither `time` nor `saveat` is given, only the part of the error counts that the rest of
        the flow cannot forget (see Notes).
    max_steps : int
        Most steps to try, counting those taken back.
    time : float
        Training time t = n tau at which to stop; infinity: when `loss_tol` is reached.
    saveat : sequence of float
        Training times at which to keep the network, increasing, > 0, at most `time`. They cost two products with the
        Jacobian each and 24 bytes per unit; the steps are not shortened to meet them.

    Raises
    ------
    DataError
        For a number outside these ranges.

    Notes
    -----
    Ends with CONVERGED (loss at most `loss_tol`), REACHED_TIME, MAX_STEPS, STALLED (the gradient vanishes at a positive
    loss: the advice says the rank of the tangent kernel; or the loss is down to rounding) or DIVERGED (numbers overflow).
    `Run.snapshots` holds the networks of `saveat`; times after a run has come to rest (CONVERGED or STALLED) show its end.

    The error of a step has two parts. *Drift* comes from moving features. *Wander* is an error of the path within the
    range of the Jacobian; as long as features do not move every such path ends at the same network, so it is held at a
    tenth of the present misfit, which keeps the times of `History` to some per cent only. With `time` or `saveat` it is held
    like the drift, which takes several times more steps with potentials that are not quadratic.

    A step costs two evaluations of the network, each with a product with the transposed Jacobian (``stats["passes"]``),
    O(n M) or O(n log M + M^2), and the eigenvectors of an M x M matrix (up to M = 1000; Krylov spaces beyond).
    Steps over jumps of the field, where breakpoints pass samples, are not made shorter than :math:`1/\lambda_{\max}` for the
    sake of accuracy (``stats["floored"]`` counts those that would have been).

    Hypotheses of the infinite-width limit, not checked: a large width.

    References
    ----------
    Jin & Montúfar, JMLR 24(137), 2023; Liang & Montúfar, ICLR 2025 (the flow). Hochbruck & Ostermann, Acta Numerica 19, 2010
    (exponential integrators). Filippov, Kluwer 1988 (sliding).
    """

    rtol: float = 1e-4
    max_steps: int = field(default=10_000, kw_only=True)
    time: float = field(default=math.inf, kw_only=True)
    saveat: Sequence[float] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        real_number(self.rtol, "rtol", above=0, fix="take e.g. 1e-4")
        whole_number(self.max_steps, "max_steps", at_least=1)
        if self.time != math.inf:
            real_number(self.time, "time", above=0, fix="leave it out to train until loss_tol is reached")
        times = real_vector(self.saveat, "saveat") if len(self.saveat) else np.zeros(0)
        if times.size and not (times[0] > 0 and (np.diff(times) > 0).all() and times[-1] <= self.time):
            raise DataError(f"`saveat` must hold increasing times in (0, {self.time:g}], got {list(self.saveat)}; sort them")
        object.__setattr__(self, "saveat", tuple(times.tolist()))

    def run(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: MirrorMap,
        *,
        loss_tol: float,
        rng: np.random.Generator,
        record: Recorder,
    ) -> Run:
        batch = Network(start.theta[None], start.activation, start.skip[None])
        centre = None if mirror.centre is None else mirror.centre[None]
        mirror = MirrorMap(mirror.potential, mirror.width, centre)
        return self.run_batch(batch, loss, mirror, loss_tol=loss_tol, records=[record])[0]

    @torch.no_grad()
    def run_batch(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: MirrorMap,
        *,
        loss_tol: float,
        records: Sequence[Recorder] | None = None,
    ) -> list[Run]:
        """Train many networks of one width at once, each with its own steps; a network that is done leaves the batch.

        Parameters
        ----------
        start : Network
            B networks, theta of shape (B, 3n + 1), as from ``Network.sample(problem, width, seeds)``.
        loss : SquaredLoss
            Their common loss.
        mirror : MirrorMap
            Their mirror map; with a scaled potential its centre has shape (B, 3n + 1).
        loss_tol : float
            Loss to reach.
        records : sequence of Recorder, optional
            One per network.

        Returns
        -------
        list of Run
            As `run` would give for each network alone, up to rounding.
        """
        return _Batch(self, start, loss, mirror, loss_tol, records).finish()


class _Batch:
    """One call of `MirrorFlow.run_batch`: networks under way, and the runs of those that are done."""

    def __init__(
        self,
        method: MirrorFlow,
        start: Network,
        loss: SquaredLoss,
        mirror: MirrorMap,
        loss_tol: float,
        records: Sequence[Recorder] | None,
    ) -> None:
        self._method, self._loss_tol, self._records, self._width = method, loss_tol, records, start.width
        self._horizon = method.time / start.width
        self._field = FlowField(start.activation, loss, mirror)
        self._state = self._field.at(mirror.to_dual(start.theta), Units.none(start.theta.device))
        self._steering = Steering.begin(_numpy(self._state.loss))
        epsilon = torch.finfo(start.theta.dtype).eps
        self._tolerances = Tolerances(
            rtol=method.rtol,
            times_count=math.isfinite(method.time) or bool(method.saveat),
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
        critical = fall <= epsilon * spectrum.largest * (rho * rho).sum(-1)
        found = (spectrum.largest, spectrum.smallest, spectrum.rank, critical)
        self._steering.survey(*(_numpy(values) for values in found))

    def _attempt(self, step: ExponentialStep) -> bool:
        """Try one step of every network; whether any of them moved."""
        steering, like = self._steering, self._state.residual
        drift_tol, wander_tol = self._tolerances.of(np.sqrt(2 * steering.loss), steering.at_start)
        h = steering.propose(self._horizon)
        attempt = step.attempt(torch.as_tensor(h).to(like), torch.as_tensor(drift_tol).to(like))
        error = np.maximum(_numpy(attempt.drift) / drift_tol, _numpy(attempt.wander) / wander_tol)
        settled = self._field.settle(self._state, attempt.end)
        taken = steering.judge(
            h,
            error=error,
            jumps=_numpy(attempt.jumps),
            loss=_numpy(settled.loss),
            rounding=self._tolerances.rounding,
            passes=attempt.passes + (settled is not attempt.end),
        )
        if not taken.any():
            return False
        self._keep_snapshots(step, attempt, h, taken)
        self._state = self._mix(taken, settled)
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
        times = [*self._method.saveat, math.inf]
        while True:
            due = np.array([times[len(self._snapshots[i])] / self._width for i in self._steering.index])
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
        if self._records is None:
            return
        steering = self._steering
        for row in np.flatnonzero(moved).tolist():
            time = float(steering.tau[row]) * self._width
            self._records[steering.index[row]](int(steering.steps[row]), float(steering.loss[row]), time)

    def _outcomes(self) -> list[Outcome | None]:
        """How each network of the batch has ended, or None."""
        return self._steering.outcomes(loss_tol=self._loss_tol, horizon=self._horizon, max_steps=self._method.max_steps)

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
        stats = {name: float(getattr(steering, name)[row]) for name in ("passes", "rejected", "floored", "rank")}
        stats |= {"lambda_max": float(steering.largest[row]), "lambda_min": float(steering.smallest[row])}
        network, loss = self._network(self._state, row), float(steering.loss[row])
        snapshots = self._snapshots[steering.index[row]]
        if outcome in (Outcome.CONVERGED, Outcome.STALLED):  # at rest
            snapshots += [Snapshot(t, loss, network) for t in self._method.saveat[len(snapshots) :]]
        return Run(
            network=network,
            loss=loss,
            steps=int(steering.steps[row]),
            time=float(steering.tau[row]) * self._width,
            outcome=outcome,
            advice=self._advice(row, outcome),
            stats=stats,
            snapshots=tuple(snapshots),
        )

    def _advice(self, row: int, outcome: Outcome) -> str:
        """The advice of `outcome` with the numbers of network number `row`."""
        steering = self._steering
        loss, points = float(steering.loss[row]), self._state.residual.shape[-1]
        if outcome is Outcome.DIVERGED:
            return f"numbers overflowed at loss {loss:.3g}: rescale the data or the initialization, or use float64"
        if outcome is Outcome.STALLED and steering.critical[row]:
            rank = int(steering.rank[row])
            return (
                f"the gradient vanishes at loss {loss:.3g}: the tangent kernel has rank {rank} for {points} points at width "
                f"{self._width}; use a larger width or another seed"
            )
        if outcome is Outcome.STALLED:
            return f"the loss is down to rounding at {loss:.3g}: raise `loss_tol` above that, or use float64"
        if outcome is Outcome.MAX_STEPS:
            return f"max_steps = {self._method.max_steps} steps led to loss {loss:.3g}: raise `max_steps` or `rtol`"
        return str(outcome.value)


def _numpy(values: Tensor) -> Any:
    """`values`, shape (B,), as a numpy array, in float64 if they are real."""
    array = values.cpu().numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array
