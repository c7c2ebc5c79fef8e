"""Flows of networks whose activation has not two slopes: an explicit method of order 8, network by network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.integrate import DOP853
from torch import Tensor

from splinebias._array import Array
from splinebias.networks.network import Network
from splinebias.training.batch import SavingBatch
from splinebias.training.field import Field
from splinebias.training.method import Recorder, Snapshot
from splinebias.training.stopping import Limits

_FINER = 1e-3  # tolerance of the parameters, relative to that of f: order 8 makes digits cheap
_FINEST = 1e-13


class ExplicitBatch(SavingBatch):
    r"""Flows of one width under way, in dual coordinates z: :math:`z' = -J^T \omega r - \tfrac{\mu}{\kappa} z`.

    Parameters
    ----------
    start, field, rtol, weight_decay, saveat, limits, records
        As in `NeuronBatch`.
    """

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
        dual = field.mirror.to_dual(start.theta)
        super().__init__(field.at(dual), limits, records, saveat)
        self._tolerances: list[tuple[tuple[float, float], tuple[float, float]]] = []  # of each, at the start and at least
        self._solvers = [self._solver(j, dual[j], rtol * _FINER, weight_decay) for j in range(len(records))]

    def _solver(self, j: int, dual: Tensor, rtol: float, weight_decay: float) -> DOP853:
        field = self._state.field.of_networks(slice(j, j + 1))
        decay = weight_decay * field.mirror.inverse_hessian(self._state.theta[j : j + 1])[0]
        if field.mirror.unit is not None:
            decay = decay / field.mirror.unit**2  # 1 / kappa, whatever the unit
        decay[-1] = 0.0

        def velocity(_: float, z: Array) -> Array:
            state = field.at(torch.from_numpy(z)[None])
            force = field.loss.weights * state.residual
            return (-state.linear.vjp(force)[0] - decay * state.dual[0]).numpy()

        z = dual.numpy().copy()
        size = math.sqrt(float(z @ z) / z.size)
        rtol = max(rtol, _FINEST)
        # steps at the limit of stability jitter by their tolerance: it falls with the misfit, or the misfit stays above it
        self._tolerances.append(((rtol, _FINEST), (rtol * size, _FINEST * size + 1e-300)))
        return DOP853(velocity, 0.0, z, self._limits.horizon, rtol=rtol, atol=rtol * size + 1e-300)

    @np.errstate(all="ignore")  # numbers that overflow end the run
    def _advance(self) -> None:
        duals, h, moving = [], [], []
        for solver, row in zip(self._solvers, self._rows, strict=True):
            before = solver.t
            if solver.status == "running":
                share = math.sqrt(row.loss / row.at_start) if row.at_start > 0 else 1.0
                solver.rtol, solver.atol = (max(share * part, least) for part, least in self._tolerances[row.number])
                solver.step()
            row.overflowed = solver.status == "failed" or not np.isfinite(solver.y).all()
            if row.overflowed:
                row.refused = 60  # there is no shorter step to try
            duals.append(torch.from_numpy(solver.y.copy()))
            h.append(solver.t - before)
            moving.append(not row.overflowed)
        new = self._state.field.at(torch.stack(duals))
        for row, grows in zip(self._rows, self._grow(new.theta), strict=True):
            row.idle = 0 if grows else row.idle  # units too small to be seen are no rest
        self._move(moving, h, new)
        self._save(moving)

    def _grow(self, theta: Tensor) -> list[bool]:
        """Whether a unit of each network moves relative to its own size."""
        units = theta[:, :-1].reshape(theta.shape[0], self._state.field.loss.points.shape[0] + 1, -1)
        moves = (units - self._state.theta[:, :-1].reshape(units.shape)).norm(dim=1)
        grow: list[bool] = (moves > 1e-3 * units.norm(dim=1)).any(-1).tolist()
        return grow

    def _save(self, moving: Sequence[bool]) -> None:
        """Snapshots at the times asked for that the last steps have passed."""
        clock = self._state.field.mirror.clock
        for j in np.flatnonzero(moving).tolist():
            solver = self._solvers[j]
            for time in self._due(j, solver.t * clock):
                z = torch.from_numpy(solver.dense_output()(min(time / clock, solver.t)))[None]
                state = self._state.field.of_networks(slice(j, j + 1)).at(z)
                self._kept(j).append(Snapshot(time, float(state.loss[0]), state.network(0)))

    def _keep(self, kept: Sequence[int]) -> None:
        super()._keep(kept)
        self._solvers = [self._solvers[j] for j in kept]

    def _stats(self, ended: Sequence[int]) -> list[dict[str, float]]:
        slowest, fastest = self._state.field.loss.decay_range(self._state.kernel)
        names = ("passes", "lambda_max", "lambda_min")
        found = [(float(self._solvers[j].nfev), float(fastest[j]), float(slowest[j])) for j in ended]
        return [dict(zip(names, values, strict=True)) for values in found]
