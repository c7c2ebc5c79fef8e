"""Where batches are computed: in this process, in local processes, on a Dask cluster, or on any executor of the user's.

All of them are `concurrent.futures` executors, the interface that the standard library, loky, Dask
(``Client.get_executor``) and mpi4py (``mpi4py.futures``) share. Joblib's backends were the alternative: a
`joblib.Parallel` call is over when one worker dies, and what was under way cannot be handed in again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, Protocol

from splinebias.errors import CapabilityError, DataError, StudyStopped

_WATCH = 0.5  # seconds between two looks at whether the coordinator lives
_CONNECT = 5  # seconds to reach a scheduler
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 2.0  # seconds for loky to end its workers
_AHEAD = 2  # batches under way per local process: one that runs, one that waits for it


class Pool(Protocol):
    """What `execute` needs of a place to compute."""

    @property
    def window(self) -> float:
        """Most batches to hand in at once."""

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        """Start `work` on `batch`."""

    def obstacle(self) -> str:
        """What keeps all work from being done at present, in words; empty if nothing is known to."""

    def renew(self) -> None:
        """Get workers back after some were lost.

        Raises
        ------
        StudyStopped
            If this pool cannot.
        """

    def close(self) -> None:
        """End all work; local workers are gone afterwards."""


class InProcess:
    """This process: one batch at a time."""

    window = 1

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(batch))
        return future

    def obstacle(self) -> str:
        return ""

    def renew(self) -> None:
        raise AssertionError("this process cannot be lost to itself")

    def close(self) -> None:
        pass


class LocalProcesses:
    """`jobs` processes of one thread each (loky), replaced when one dies; they end with this process, however it ends.

    Each calls `prepare`, which does not raise, before the first batch reaches it. One that is killed while it sends a result
    leaves half of it, and loky reads on for the other half without end: the death is then still there when it is looked for
    again, and `_cut_off` ends the reading.
    """

    def __init__(self, jobs: int, prepare: Callable[[], None]) -> None:
        self._jobs, self._prepare = jobs, prepare
        self._executor = self._started()
        self._dead = False

    @property
    def window(self) -> float:
        return _AHEAD * self._jobs

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        with _without_interrupts():  # workers are started here, and inherit what is blocked
            future: Future[Any] = self._executor.submit(work, batch)
        return future

    def obstacle(self) -> str:
        workers = list(self._executor._processes.values())
        before, self._dead = self._dead, bool(wait([worker.sentinel for worker in workers], timeout=0))
        if before and self._dead:
            _cut_off(workers, self._executor._result_queue)
        return ""

    def renew(self) -> None:
        self.close()
        self._executor = self._started()

    def close(self) -> None:
        workers, results = list(self._executor._processes.values()), self._executor._result_queue
        manager = self._executor._executor_manager_thread
        self._executor.shutdown(wait=False, kill_workers=True)
        if manager is not None:
            manager.join(_PATIENCE)
            if manager.is_alive():
                _cut_off(workers, results)
                manager.join()
        self._dead = False

    def _started(self) -> Any:
        from loky import ProcessPoolExecutor

        _start_trackers()
        environment = dict.fromkeys(_THREADS, "1")
        start = (os.getpid(), self._prepare)
        return ProcessPoolExecutor(self._jobs, initializer=_attach, initargs=start, env=environment)


def _start_trackers() -> None:
    """Start the two processes that clean up after workers: their start, at the first worker's, would let interrupts through.

    loky's would tell, at the end, of locks that killed workers had, and that are gone by then: nobody's concern.
    """
    from multiprocessing.resource_tracker import ensure_running

    from loky.backend import resource_tracker

    ensure_running()
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _cut_off(workers: Sequence[Any], results: Any) -> None:
    """Let loky see that nothing more comes through the pipe of results: nobody is left who could write."""
    for worker in workers:
        if not wait([worker.sentinel], timeout=0):
            os.kill(worker.pid, signal.SIGKILL)
    results._writer.close()


class Given:
    """An executor that belongs to the caller, who also closes it."""

    window = float("inf")

    def __init__(self, executor: Executor) -> None:
        if not isinstance(executor, Executor):
            raise DataError(
                f"`executor` must be a concurrent.futures.Executor, got {executor!r}; use ProcessPoolExecutor(4) or jobs=4"
            )
        self._executor = executor
        self._futures: set[Future[Any]] = set()

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        import cloudpickle

        content = cloudpickle.dumps((work, batch))  # not every executor can pickle a law that is defined in a script
        try:
            future: Future[Any] = self._executor.submit(_done, content)
        except Exception as error:
            raise StudyStopped(f"the executor takes no work: {error}; run the same call again with another one") from None
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def obstacle(self) -> str:
        return ""

    def renew(self) -> None:
        raise StudyStopped("the executor has lost a worker and is broken; run the same call again with a new one")

    def close(self) -> None:
        for future in list(self._futures):
            future.cancel()


class Dask(Given):
    """The workers of a Dask cluster, whose scheduler finds another worker for what a dead one was at."""

    def __init__(self, address: str) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise CapabilityError(
                "a scheduler needs Dask, which is not installed; pip install 'splinebias[distributed]', or use jobs"
            ) from None
        self._address, self._client = address, _reached(address)
        super().__init__(self._client.get_executor(pure=False))

    def obstacle(self) -> str:
        with suppress(OSError):  # a scheduler that has gone shows in the work
            if not self._client.scheduler_info()["workers"]:
                start = f"dask worker {self._address} --nthreads 1"
                return f"the scheduler {self._address} has no workers: waiting for them; start some with `{start}`"
        return ""

    def renew(self) -> None:
        pass  # the scheduler's affair

    def close(self) -> None:
        super().close()
        with _quiet():  # the study says itself that a scheduler has gone
            self._client.close(timeout=_CONNECT)


def _reached(address: str) -> Any:
    """A client of the scheduler at `address`."""
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as thread:  # where no event loop runs yet, as one does in a notebook
            thread.submit(asyncio.run, _asked(address)).result()
        client: Any = Client  # untyped
        return client(address, timeout=_CONNECT, set_as_default=False)
    except Exception as error:  # whatever else listens there may send anything
        raise DataError(
            "`scheduler` must be the address of a running Dask scheduler such as tcp://127.0.0.1:8786, got "
            f"{address!r}, where none answers within {_CONNECT} s ({type(error).__name__}); "
            "start one with `dask scheduler`"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's client logs nothing, and so no traceback of a connection that it was trying to get back."""
    logger = logging.getLogger("distributed.client")
    logger.addFilter(_nothing)
    try:
        yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


async def _asked(address: str) -> None:
    """Ask the scheduler who it is: a client would wait without end for something that listens and says nothing."""
    from distributed.core import rpc

    connection: Any = rpc
    scheduler = connection(address)
    try:
        await asyncio.wait_for(scheduler.identity(), _CONNECT)
    finally:
        await scheduler.close_rpc()


def _done(content: bytes) -> Any:
    """In a worker: the work that `Given` packed."""
    work, batch = pickle.loads(content)
    return work(batch)


def is_loss(error: BaseException) -> bool:
    """Whether an exception says that a worker died, and nothing about the work."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def check_picklable(batch: Any) -> None:
    """Refuse, before any worker is started, what cannot be sent to one.

    Raises
    ------
    DataError
        With what is wrong with it.
    """
    import cloudpickle

    try:
        cloudpickle.dumps(batch)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise DataError(
            f"the problem must be picklable to be sent to workers, got {error}; define its laws at the top level of "
            "a module, or use jobs=1"
        ) from None


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block, and never reach the processes that are started in it.

    Both are sent to whole groups of processes, by terminals and by batch systems; the coordinator ends its workers itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _attach(parent: int, prepare: Callable[[], None]) -> None:
    """In a worker: leave Ctrl-C to the coordinator, end when it does, even if it is killed, and get ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH)
        os._exit(1)

    threading.Thread(target=watch, name="coordinator-watch", daemon=True).start()
    prepare()
