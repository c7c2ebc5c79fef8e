"""Where batches are computed: in this process, in local processes, on a Dask cluster, or on any executor of the user's.

All of them are `concurrent.futures` executors, the interface that the standard library, loky, Dask
(``Client.get_executor``) and mpi4py (``mpi4py.futures``) share.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from splinebias.errors import CapabilityError, DataError, StudyStopped
from splinebias.studies.work.interrupts import blocked

_CONNECT = 5  # seconds to reach a scheduler


class Pool(ABC):
    """A place to compute, as `loop.Loop` needs it."""

    window: float = float("inf")
    """Most batches to hand in at once."""

    @abstractmethod
    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        """Start `work` on `batch`."""

    def obstacle(self) -> str:
        """What keeps all work from being done at present, in words; empty if nothing is known to."""
        return ""

    def renew(self) -> None:
        """Get workers back after some were lost.

        Raises
        ------
        StudyStopped
            If this pool cannot, or has none to lose.
        """
        raise StudyStopped("workers were lost that this pool cannot replace; what is finished is kept, run it again")

    def close(self) -> None:  # noqa: B027 (most pools own nothing that has to end)
        """End all work; local workers are gone afterwards."""


class InProcess(Pool):
    """This process: one batch at a time."""

    window = 1

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        """A future that is done: `work` has been."""
        future: Future[Any] = Future()
        future.set_result(work(batch))
        return future


class LocalProcesses(Pool):
    """`jobs` processes of one thread each (loky), replaced when one dies; they end with this process, however it ends.

    Results come in files, see `_Filed`.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self.window = 2 * jobs  # one that runs, one that waits for it
        self._folder = tempfile.TemporaryDirectory(prefix="splinebias-")
        self._executor = self._started()

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        """Start `work` on `batch`, and workers if there are not enough of them."""
        with blocked():  # they inherit what is blocked, and say themselves what they take once they are there
            future: Future[Any] = self._executor.submit(_filed, work, batch, self._folder.name)
        return future

    def renew(self) -> None:
        """End what is left of the workers; others start with the next batch."""
        self._executor.shutdown(kill_workers=True)
        self._executor = self._started()

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self._executor.shutdown(kill_workers=True)
        self._folder.cleanup()

    def _started(self) -> Any:
        """An executor, and the two processes that clean up after its workers.

        The first worker would start them if they were not there, and they would let interrupts through to it. loky's would
        tell, at the end, of locks that killed workers had, and that are gone by then: nobody's concern.
        """
        from loky import ProcessPoolExecutor

        resource_tracker.ensure_running()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        before = os.environ.get("PYTHONWARNINGS")
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
        try:  # the executor's locks start loky's tracker
            start = (os.getpid(), self._folder.name)
            return ProcessPoolExecutor(self._jobs, initializer=_attach, initargs=start, env=threads)
        finally:
            del os.environ["PYTHONWARNINGS"]
            if before is not None:
                os.environ["PYTHONWARNINGS"] = before


class _Filed:
    """A result that a worker has written to a file; pickled, it is the name, and read back it is the result.

    A worker that is killed while it writes a long message into the pipe of results leaves half of it, and loky waits for
    the other half without end. A message of less than ``select.PIPE_BUF`` bytes is written whole or not at all.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return _fetched, (self.path,)


def _filed(work: Callable[[Any], Any], batch: Any, folder: str) -> _Filed:
    """In a worker: do the work, and write its result to a new file in `folder`."""
    content = pickle.dumps(work(batch))
    handle, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return _Filed(path)


def _fetched(path: str) -> Any:
    """Here: the result in a file, which is of no use then."""
    content = Path(path).read_bytes()
    Path(path).unlink()
    return pickle.loads(content)


class Given(Pool):
    """An executor that belongs to the caller, who also closes it."""

    def __init__(self, executor: Executor) -> None:
        if not isinstance(executor, Executor):
            raise DataError(
                f"`executor` must be a concurrent.futures.Executor, got {executor!r}; use ProcessPoolExecutor(4) or jobs=4"
            )
        self._executor = executor
        self._futures: set[Future[Any]] = set()

    def submit(self, work: Callable[[Any], Any], batch: Any) -> Future[Any]:
        """Start `work` on `batch`; StudyStopped if the executor refuses."""
        import cloudpickle

        content = cloudpickle.dumps((work, batch))  # not every executor can pickle a law that is defined in a script
        try:
            future: Future[Any] = self._executor.submit(_done, content)
        except Exception as error:
            raise StudyStopped(f"the executor takes no work: {error}; run the same call again with another one") from None
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def renew(self) -> None:
        """Refused: whoever made the executor has to make another one."""
        raise StudyStopped("the executor has lost a worker and is broken; run the same call again with a new one")

    def close(self) -> None:
        """Take back what has not begun."""
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
        """That there are no workers, if it is so."""
        with suppress(OSError):  # a scheduler that has gone shows in the work
            if not self._client.scheduler_info()["workers"]:
                start = f"dask worker {self._address} --nthreads 1"
                return f"the scheduler {self._address} has no workers: waiting for them; start some with `{start}`"
        return ""

    def renew(self) -> None:
        """The scheduler does that."""

    def close(self) -> None:
        """Take back what has not begun, and leave the scheduler."""
        super().close()
        logger = logging.getLogger("distributed.client")
        logger.addFilter(_nothing)  # the study says itself that a scheduler has gone
        try:
            self._client.close(timeout=_CONNECT)
        finally:
            logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    """Takes the place of a logger: it says nothing."""
    return False


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


def _attach(parent: int, folder: str) -> None:
    """In a worker: leave Ctrl-C to the coordinator, and end when it does, even if it is killed, with `folder`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="coordinator-watch", daemon=True).start()
