"""Networks of one width under way, each until it ends: the loop that flow and descent share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from splinebias.errors import Outcome
from splinebias.training.field import State
from splinebias.training.method import Recorder, Run, Snapshot
from splinebias.training.stopping import Limits, Progress, Reason, largest_miss


class Batch(ABC):
    """Networks under way, and the runs of those that are done.

    Parameters
    ----------
    state : State
        Where the B networks start.
    limits : Limits
        When to stop.
    records : sequence of Recorder
        One per network.
    """

    def __init__(self, state: State, limits: Limits, records: Sequence[Recorder]) -> None:
        self._state, self._limits, self._records = state, limits, records
        self._rows = [Progress(number, loss) for number, loss in enumerate(state.loss.tolist())]
        self._runs: dict[int, Run] = {}
        for row in self._rows:
            self._note(row)

    def finish(self) -> list[Run]:
        """Take steps until every network is done."""
        self._retire()
        while self._rows:
            self._advance()
            self._retire()
        return [self._runs[number] for number in sorted(self._runs)]

    @abstractmethod
    def _advance(self) -> None:
        """Try a step of every network, until one has moved or ends."""

    @abstractmethod
    def _stats(self, ended: Sequence[int]) -> list[dict[str, float]]:
        """Named numbers of the networks number `ended` of the batch, which are done."""

    def _numbers(self, j: int, stats: Mapping[str, float]) -> Mapping[str, object]:
        """What advice of the method's own speaks of, for network number `j` of the batch."""
        return {"max_steps": self._limits.max_steps}

    def _move(self, taken: Sequence[bool], h: Sequence[float], new: State) -> None:
        """Move on to `new` by steps of sizes `h` where they were `taken`."""
        moved = []
        for row, good, size, loss in zip(self._rows, taken, h, new.loss.tolist(), strict=True):
            if good:
                row.advance(size, loss, self._limits.horizon)
            else:
                row.refuse()
            moved.append(good and not row.exploded)
            if moved[-1]:
                self._note(row)
        if all(moved):
            self._state = new
        elif any(moved):
            self._state = self._state.moved(moved, new)

    def _note(self, row: Progress) -> None:
        """Tell the recorder of a network where it is."""
        self._records[row.number](row.steps, row.loss, row.tau * self._state.field.mirror.clock)

    def _reasons(self) -> list[Reason | None]:
        """Why each network ends here, or None."""
        return [row.reason(self._limits) for row in self._rows]

    def _retire(self) -> None:
        """Take the networks that are done out of the batch."""
        reasons = self._reasons()
        if not any(reasons):
            return
        ended = {j: reason for j, reason in enumerate(reasons) if reason is not None}
        for (j, reason), stats in zip(ended.items(), self._stats(list(ended)), strict=True):
            self._runs[self._rows[j].number] = self._run(j, reason, stats)
        self._keep([j for j in range(len(reasons)) if j not in ended])

    def _keep(self, kept: Sequence[int]) -> None:
        """Go on with the networks number `kept` only."""
        self._rows = [self._rows[j] for j in kept]
        if kept:
            self._state = self._state.of_networks(kept)

    def _run(self, j: int, reason: Reason, stats: dict[str, float]) -> Run:
        """The run of network number `j` of the batch, which ends for `reason`."""
        row, state, network = self._rows[j], self._state, self._state.network(j)
        stats = stats | state.field.loss.facts(state.values[j])
        points = state.field.loss.points[0] if network.inputs == 1 else state.field.loss.points[:-1]
        numbers: dict[str, object] = {"loss": row.loss, "points": points.shape[-1], "width": network.width}
        numbers["missed"] = row.missed
        if reason.outcome is Outcome.STALLED and not self._limits.labels:
            numbers["worst"] = largest_miss(network, state.residual[j], points)
        return Run(
            network=network,
            loss=row.loss,
            steps=row.steps,
            time=row.tau * state.field.mirror.clock,
            outcome=reason.outcome,
            advice=reason.advise({**numbers, **stats, **self._numbers(j, stats)}),
            stats=stats,
        )


class SavingBatch(Batch):
    """Networks under way of which some are kept at given times.

    Parameters
    ----------
    state, limits, records
        As in `Batch`.
    saveat : sequence of float
        Training times at which to keep the networks, increasing.
    """

    def __init__(self, state: State, limits: Limits, records: Sequence[Recorder], saveat: Sequence[float]) -> None:
        super().__init__(state, limits, records)
        self._saveat = saveat
        self._snapshots: list[list[Snapshot]] = [[] for _ in records]

    def _kept(self, j: int) -> list[Snapshot]:
        """What was kept so far of network number `j` of the batch."""
        return self._snapshots[self._rows[j].number]

    def _due(self, j: int, time: float) -> Iterator[float]:
        """The times asked for up to `time`, of network number `j`; append a snapshot of each to `_kept` before the next."""
        kept = self._kept(j)
        while len(kept) < len(self._saveat) and time >= self._saveat[len(kept)] * (1 - 1e-12):  # rounding loses none
            yield self._saveat[len(kept)]

    def _run(self, j: int, reason: Reason, stats: dict[str, float]) -> Run:
        run, snapshots = super()._run(j, reason, stats), self._kept(j)
        if run.outcome in (Outcome.CONVERGED, Outcome.STALLED):  # at rest
            snapshots += [Snapshot(t, run.loss, run.network) for t in self._saveat[len(snapshots) :]]
        return replace(run, snapshots=tuple(snapshots))
