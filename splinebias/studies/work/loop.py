"""The loop of a study: hand batches to a pool, take results as they come, try again what died with its worker."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from splinebias.errors import SplinebiasError, StudyStopped
from splinebias.studies.work.pools import Pool, is_loss

RETRIES = 2
"""How often a batch whose worker died is tried again."""

_LOOK = 1.0  # seconds between two chances for a signal to be seen


@dataclass(eq=False)
class Loop:
    """Computes ``work(batch)`` for all batches, in their order as far as workers allow.

    Parameters
    ----------
    waiting : iterator
        The batches to do; they can be sent to other processes. The next one is asked for when there is room for it.
    work : callable
        What to do with each; it does not raise.
    pool : Pool
        Where.
    deliver : callable
        Called as ``deliver(batch, result)`` in this process, in the order of completion.
    give_up : callable
        Called as ``give_up(batch)`` for a batch whose worker died `RETRIES` + 1 times.
    say : callable
        Called as ``say(line)`` when a worker has died, or something has kept all work from being done for some seconds.

    Notes
    -----
    When a process of a local pool dies, nothing tells which batch killed it. All that were under way are suspects, and tried
    again one at a time, so that a batch that kills its workers takes no other one down with it.
    """

    waiting: Iterator[Any]
    work: Callable[[Any], Any]
    pool: Pool
    deliver: Callable[[Any, Any], None]
    give_up: Callable[[Any], None]
    say: Callable[[str], None] = lambda line: None
    _flying: dict[Future[Any], Any] = field(default_factory=dict, init=False)
    _suspects: deque[Any] = field(default_factory=deque, init=False)
    _losses: Counter[Any] = field(default_factory=Counter, init=False)
    """How many workers each batch has lost that is not done."""
    _finished: queue.SimpleQueue[Future[Any]] = field(default_factory=queue.SimpleQueue, init=False)

    def run(self) -> None:
        """Until all is done.

        Raises
        ------
        StudyStopped
            If the pool is lost for good, or `work` cannot be done on its workers at all.
        """
        obstructed = 0  # looks in a row at which the pool had an obstacle
        while self._fill():
            try:
                future = self._finished.get(timeout=_LOOK)
            except queue.Empty:
                obstacle = self.pool.obstacle()
                obstructed = obstructed + 1 if obstacle else 0
                if obstructed == 4:  # worth a line, once
                    self.say(obstacle)
            else:
                obstructed = 0
                self._take(future)

    def _fill(self) -> bool:
        """Hand in what there is room for; whether anything is under way."""
        while self._has_room():
            batch = self._suspects.popleft() if self._suspects else next(self.waiting, None)
            if batch is None:
                break
            self._start(batch)
        return bool(self._flying)

    def _has_room(self) -> bool:
        """Whether another batch may be handed in: one that is suspected, or has lost a worker, runs alone."""
        if self._suspects or any(batch in self._losses for batch in self._flying.values()):
            return not self._flying
        return len(self._flying) < self.pool.window

    def _start(self, batch: Any) -> None:
        try:
            future = self.pool.submit(self.work, batch)
        except Exception as error:
            if not is_loss(error):
                raise
            self.waiting = chain([batch], self.waiting)
            self._lose([*self._flying.values()])
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
                self.give_up(batch)
            else:
                self._lose([batch, *self._flying.values()])
            return
        self._losses.pop(batch, None)
        self.deliver(batch, result)

    def _lose(self, batches: list[Any]) -> None:
        """Workers died: renew the pool; `batches` are to be tried again, unless that was done often enough."""
        self._flying.clear()
        self.say("a worker has died (killed, or out of memory): what was under way is tried again, nothing else is lost")
        self.pool.renew()
        for batch in batches:
            self._losses[batch] += 1
            if self._losses[batch] > RETRIES:
                del self._losses[batch]
                self.give_up(batch)
            else:
                self._suspects.append(batch)
