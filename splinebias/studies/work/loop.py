"""The loop of a study: hand batches to a pool, take results as they come, try again what died with its worker."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from itertools import chain
from typing import Any, TypeVar

from splinebias.errors import SplinebiasError, StudyStopped
from splinebias.studies.work.pools import Pool, is_loss

RETRIES = 2
"""How often a batch whose worker died is tried again."""

_BATCH = TypeVar("_BATCH")
_RESULT = TypeVar("_RESULT")
_LOOK = 1.0  # seconds between two chances for a signal to be seen
_PATIENCE = 4  # looks at an obstacle after which it is worth a line


def execute(
    batches: Iterable[_BATCH],
    work: Callable[[_BATCH], _RESULT],
    pool: Pool,
    *,
    deliver: Callable[[_BATCH, _RESULT], None],
    give_up: Callable[[_BATCH], None],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Compute ``work(batch)`` for all batches, in their order as far as workers allow.

    Parameters
    ----------
    batches : iterable
        What to do; it can be sent to other processes. The next one is asked for when there is room for it, so that the
        order may follow from results that have been delivered.
    work : callable
        What to do with each; it does not raise.
    pool : Pool
        Where.
    deliver : callable
        Called as ``deliver(batch, result)`` in this process, in the order of completion.
    give_up : callable
        Called as ``give_up(batch)`` for a batch whose worker died `RETRIES` + 1 times.
    say : callable
        Called as ``say(line)`` when something has kept all work from being done for some seconds.

    Raises
    ------
    StudyStopped
        If the pool is lost for good, or `work` cannot be done on its workers at all.

    Notes
    -----
    When a process of a local pool dies, nothing tells which batch killed it. All that were under way are suspects, and tried
    again one at a time, so that a batch that kills its workers takes no other one down with it.
    """
    _Loop(iter(batches), work, pool, deliver, give_up, say).run()


class _Loop:
    """The state of `execute`: what waits, what is under way, what is suspected of killing its worker."""

    def __init__(
        self,
        waiting: Iterator[Any],
        work: Callable[[Any], Any],
        pool: Pool,
        deliver: Callable[[Any, Any], None],
        give_up: Callable[[Any], None],
        say: Callable[[str], None],
    ) -> None:
        self._waiting, self._work, self._pool = waiting, work, pool
        self._deliver, self._give_up, self._say = deliver, give_up, say
        self._flying: dict[Future[Any], Any] = {}
        self._suspects: deque[Any] = deque()
        self._losses: dict[int, int] = {}  # by identity of the batch
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._obstructed = 0  # looks in a row at which the pool had an obstacle

    def run(self) -> None:
        while self._fill():
            try:
                future = self._finished.get(timeout=_LOOK)
            except queue.Empty:
                self._look()
            else:
                self._obstructed = 0
                self._take(future)

    def _look(self) -> None:
        """Say, once, what has been in the way for some seconds."""
        obstacle = self._pool.obstacle()
        self._obstructed = self._obstructed + 1 if obstacle else 0
        if self._obstructed == _PATIENCE:
            self._say(obstacle)

    def _fill(self) -> bool:
        """Hand in what there is room for; whether anything is under way."""
        while self._suspects and not self._flying:
            self._start(self._suspects.popleft())
        while self._has_room():
            try:
                batch = next(self._waiting)
            except StopIteration:
                break
            self._start(batch)
        return bool(self._flying)

    def _has_room(self) -> bool:
        """Whether another batch may be handed in that has lost no worker yet."""
        return not self._suspects and len(self._flying) < self._pool.window and not self._on_trial()

    def _on_trial(self) -> bool:
        """Whether a batch that lost a worker is under way: it runs alone."""
        return bool(self._losses) and any(id(batch) in self._losses for batch in self._flying.values())

    def _start(self, batch: Any) -> None:
        try:
            future = self._pool.submit(self._work, batch)
        except Exception as error:
            if not is_loss(error):
                raise
            self._lose([*self._flying.values()], untouched=batch)
            return
        self._flying[future] = batch
        future.add_done_callback(self._finished.put)

    def _take(self, future: Future[Any]) -> None:
        batch = self._flying.pop(future, None)
        if batch is None:
            return  # of a pool that broke
        try:
            result = future.result()
        except CancelledError:
            raise StudyStopped("the scheduler has gone and taken the work with it; run the same command again") from None
        except SplinebiasError:
            raise
        except Exception as error:
            if not is_loss(error):
                raise StudyStopped(f"a worker could not do the work: {type(error).__name__}: {error}") from error
            if type(error).__name__ == "KilledWorker":  # Dask has tried again already, and knows which batch it was
                self._give_up(batch)
            else:
                self._lose([batch, *self._flying.values()])
            return
        self._losses.pop(id(batch), None)
        self._deliver(batch, result)

    def _lose(self, batches: list[Any], untouched: Any = None) -> None:
        """Workers died: renew the pool; `batches` are to be tried again, unless that was done often enough."""
        self._flying.clear()
        self._pool.renew()
        if untouched is not None:
            self._waiting = chain([untouched], self._waiting)
        for batch in batches:
            self._losses[id(batch)] = self._losses.get(id(batch), 0) + 1
            if self._losses[id(batch)] > RETRIES:
                del self._losses[id(batch)]
                self._give_up(batch)
            else:
                self._suspects.append(batch)
