"""Execution: the same bits wherever a study is computed, and whatever happens to it on the way."""

import json
import os
import pickle
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest
import scipy.stats as st
from click.testing import CliRunner
from marks import nightly
from problems import SET_A, SET_B, UNIFORM

import splinebias as sb
from splinebias.cli.main import main
from splinebias.studies.row import FAILED, LOST
from splinebias.studies.spec import run_seed
from splinebias.studies.store.reading import status
from splinebias.studies.store.schema import connect
from splinebias.studies.work.batch import batches, together
from splinebias.studies.work.loop import RETRIES, Loop
from splinebias.studies.work.pools import InProcess, LocalProcesses, Pool, _Filed

A = sb.Problem(SET_A, UNIFORM)
B = sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
SMALL = sb.StudySpec({"A": A, "B": B}, [20, 80], range(3), loss_tol=1e-3)
LONG = sb.StudySpec({"A": A, "B": B}, [60, 180, 540, 1620], range(24), loss_tol=1e-4)  # some five seconds
PROGRAM = [sys.executable, "-c", "from splinebias.cli.main import main; main(prog_name='splinebias')"]


@pytest.fixture(autouse=True)
def interruptible():
    """Interrupts arrive, here and in child processes, also if the tests run in the background, where shells ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def bits(path):
    """Everything a store knows of its runs but when and how quickly they were done."""
    with closing(connect(path)) as file:
        columns = [name for _, name, *_ in file.execute("PRAGMA table_info(runs)")]
        kept = ", ".join(name for name in columns if name not in ("seconds", "finished", "environment"))
        return file.execute(f"SELECT {kept} FROM runs ORDER BY key, width, seed").fetchall()


def rows(grid):
    return repr([row._replace(seconds=0.0) for part in grid.parts for row in part.rows])


# -- the loop, with pools that do what they are told ------------------------------------------------------------------


class Fragile:
    """A pool whose workers die of some batches: always, or a given number of times."""

    window = 4

    def __init__(self, deadly):
        self.deadly, self.renewed, self.order = dict(deadly), 0, []
        self._flying = []

    def submit(self, work, batch):
        future = Future()
        self._flying.append((future, batch))
        self.order.append(batch)
        if len(self._flying) == self.window or batch in self.deadly or self.alone:
            self._finish(work)
        return future

    alone = False

    def _finish(self, work):
        flying, self._flying = self._flying, []
        killer = next((batch for _, batch in flying if self.deadly.get(batch, 0) > 0), None)
        if killer is not None:
            self.deadly[killer] -= 1
        for future, batch in flying:
            if killer is None:
                future.set_result(work(batch))
            else:
                future.set_exception(BrokenExecutor("a worker died"))

    def renew(self):
        self.renewed += 1
        self.alone = True  # from here on every batch is finished at once

    def close(self):
        pass


class Deadly(InProcess):
    """Every worker dies at once."""

    def submit(self, work, batch):
        future = Future()
        future.set_exception(BrokenExecutor("a worker died"))
        return future

    def renew(self):
        pass


class OnceDeadly(Deadly):
    """The first worker dies, the next ones work."""

    alive = False

    def submit(self, work, batch):
        return InProcess.submit(self, work, batch) if self.alive else super().submit(work, batch)

    def renew(self):
        self.alive = True


def execute(batches, *how, **more):
    Loop(iter(batches), *how, **more).run()


def executed(pool, number=8):
    done, lost = [], []
    execute(range(number), lambda batch: batch**2, pool, deliver=lambda *pair: done.append(pair), give_up=lost.append)
    return done, lost


def test_results_arrive_once_each():
    done, lost = executed(InProcess())
    assert done == [(batch, batch**2) for batch in range(8)]
    assert lost == []


def test_what_dies_with_its_worker_is_tried_again():
    pool = Fragile({2: 1})
    done, lost = executed(pool)
    assert sorted(done) == [(batch, batch**2) for batch in range(8)]
    assert (lost, pool.renewed) == ([], 1)


def test_a_batch_that_kills_its_workers_takes_no_other_one_down():
    pool = Fragile({2: 10**9})
    done, lost = executed(pool)
    assert lost == [2]
    assert sorted(batch for batch, _ in done) == [0, 1, 3, 4, 5, 6, 7]
    assert pool.order.count(2) == RETRIES + 1


def test_other_errors_of_a_worker_stop_the_study():
    class Foreign(InProcess):
        def submit(self, work, batch):
            future = Future()
            future.set_exception(ModuleNotFoundError("No module named 'splinebias'"))
            return future

    with pytest.raises(sb.StudyStopped, match="a worker could not do the work: ModuleNotFoundError"):
        executed(Foreign())


def test_the_next_batch_is_chosen_when_there_is_room_for_it():
    """Results that have been delivered decide what is handed in next."""
    done, waiting = [], [1, 2, 3, 4]

    def largest_or_smallest():
        while waiting:
            yield waiting.pop(waiting.index(max(waiting) if len(done) % 2 else min(waiting)))

    execute(largest_or_smallest(), abs, InProcess(), deliver=lambda batch, _: done.append(batch), give_up=done.remove)
    assert done == [1, 4, 2, 3]


def test_what_a_broken_pool_did_not_take_is_handed_in_again():
    class Broken(InProcess):
        def __init__(self):
            self.broken = False

        def submit(self, work, batch):
            if batch == 3 and not self.broken:
                self.broken = True
                raise BrokenExecutor("a worker died")
            return super().submit(work, batch)

        def renew(self):
            pass

    done, lost = executed(Broken())
    assert [batch for batch, _ in done] == list(range(8))
    assert lost == []


def test_a_pool_that_is_found_broken_when_others_are_under_way_ends_nothing():
    """All that were under way are tried again, and the rest is done, too."""

    class Broken(Pool):
        window = 4

        def __init__(self):
            self.broken = False

        def submit(self, work, batch):
            if batch == 3 and not self.broken:
                self.broken = True
                raise BrokenExecutor("a worker died")
            future = Future()
            if self.broken:
                future.set_result(work(batch))
            return future

        def renew(self):
            pass

    done, lost = executed(Broken())
    assert sorted(batch for batch, _ in done) == list(range(8))
    assert lost == []


class Blocked(InProcess):
    """A pool that does nothing until it has been asked `looks` times what is in its way."""

    def __init__(self, looks):
        self.looks, self.left = looks, []

    def submit(self, work, batch):
        future = Future()
        self.left.append((future, work, batch))
        self.obstructed = self.looks
        return future

    def obstacle(self):
        self.obstructed -= 1
        if self.obstructed > 0:
            return "no workers"
        future, work, batch = self.left.pop()
        future.set_result(work(batch))
        return ""


@pytest.mark.parametrize(("looks", "lines"), [(2, []), (20, ["no workers"] * 3)])
def test_what_keeps_all_work_from_being_done_is_said_once_after_some_seconds(looks, lines, monkeypatch):
    monkeypatch.setattr(import_module("splinebias.studies.work.loop"), "_LOOK", 0.01)
    done, said = [], []
    execute(range(3), abs, Blocked(looks), deliver=lambda *pair: done.append(pair), give_up=done.remove, say=said.append)
    assert done == [(batch, batch) for batch in range(3)]
    assert said == lines  # once for every time that it was so


def test_a_dead_worker_is_told_of_in_one_line():
    said, done = [], []
    execute(range(2), abs, OnceDeadly(), deliver=lambda *pair: done.append(pair), give_up=done.remove, say=said.append)
    assert sorted(done) == [(0, 0), (1, 1)]
    assert said == ["a worker has died (killed, or out of memory): what was under way is tried again, nothing else is lost"]


# -- batches ----------------------------------------------------------------------------------------------------------


def test_batches_follow_from_the_specification_and_keep_all_widths_at_one_pace():
    spec = sb.StudySpec({"A": A, "B": B}, [60, 180, 540, 1620], range(48))  # two batches for a case and a width
    limits = [sb.predict(case.problem) for case in spec.cases]
    made = list(batches(spec, limits, [set(), set()]))
    first = [(batch.case, batch.width) for batch in made[:8]]
    assert first == [(case, width) for case in (0, 1) for width in (1620, 540, 180, 60)]
    all_of = Counter((batch.case, batch.width) for batch in made)
    for cut in range(8, len(made)):
        some = Counter((batch.case, batch.width) for batch in made[:cut])
        shares = [(some[key] / count, 1 / count) for key, count in all_of.items()]
        assert min(share for share, _ in shares) >= max(share - step for share, step in shares)
    runs = [(batch.case, batch.width, seed) for batch in made for seed in batch.seeds]
    assert len(runs) == len(set(runs)) == len(spec)
    done = [{(540, seed) for seed in range(32)}, set()]
    rest = list(batches(spec, limits, done))
    assert {batch.seeds for batch in rest} <= {batch.seeds for batch in made}
    assert sum(len(batch.seeds) for batch in rest) == len(spec) - 32


def test_seeds_share_a_batch_whatever_other_seeds_there_are():
    """Groups only lose members when seeds are left out: full groups never change when seeds are added."""
    everyone = together(range(100), 1000)
    for some in (range(50), range(7, 93), range(0, 100, 3)):
        assert all(any(set(group) <= set(full) for full in everyone) for group in together(some, 1000))


def test_a_run_that_raises_is_recorded_and_the_others_of_its_batch_are_not_lost(monkeypatch):
    module = import_module("splinebias.training.ensemble")
    ensemble = module.train_ensemble

    def failing(problem, width, seeds, **options):
        if run_seed(1, 80) in seeds:
            raise np.linalg.LinAlgError("did not converge")
        return ensemble(problem, width, seeds, **options)

    monkeypatch.setattr(module, "train_ensemble", failing)
    grid = sb.study_grid(SMALL)
    outcomes = {(row.width, row.seed): row.outcome for row in grid.part(problem="A").rows}
    assert outcomes.pop((80, 1)) == FAILED
    assert set(outcomes.values()) == {"CONVERGED"}
    (row,) = (row for row in grid.parts[0].rows if row.outcome == FAILED)
    assert row.reason == "LinAlgError: did not converge"
    assert not row.ok
    assert "left out: 1 FAILED of 6 runs" in str(grid.parts[0])
    with pytest.raises(sb.DataError, match="a run that has a network, got 80, 1"):
        grid.parts[0].function(80, 1)


# -- the same bits everywhere -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return rows(sb.study_grid(SMALL))


@pytest.mark.parametrize("jobs", [2, nightly(4)])
def test_the_same_bits_whatever_the_number_of_processes(jobs, small):
    assert rows(sb.study_grid(SMALL, jobs=jobs)) == small


def test_the_same_bits_with_an_executor_of_the_users(small):
    with ThreadPoolExecutor(3) as executor:
        assert rows(sb.study_grid(SMALL, executor=executor)) == small
        assert executor.submit(abs, -1).result() == 1  # still open


def test_a_lost_run_is_tried_again_by_the_next_call(tmp_path, monkeypatch, small):
    path = tmp_path / "study.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(import_module("splinebias.studies.study"), "_pool", lambda *_: Deadly())
        grid = sb.study_grid(SMALL, store=path)
    assert {row.outcome for part in grid.parts for row in part.rows} == {LOST}
    assert (status(path).done, status(path).lost) == (0, 12)
    assert rows(sb.study_grid(SMALL, store=path)) == small


@pytest.mark.parametrize("last", [6, 12])
def test_a_store_that_is_replaced_stops_the_study_and_its_runs_are_not_taken_for_those_of_another(last, tmp_path):
    path, other = tmp_path / "study.sqlite", tmp_path / "other.sqlite"
    sb.study(A, [20], [0], loss_tol=1e-2, store=other)

    def replace(finished, _):
        if finished == last:
            other.replace(path)

    with pytest.raises(sb.StudyStopped, match="study.sqlite was replaced by another file while its study was at work"):
        sb.study_grid(SMALL, store=path, progress=replace)
    assert status(path).done == 1


def test_what_cannot_be_pickled_is_refused_before_any_worker_starts(monkeypatch):
    class Law:
        """A uniform law that does not travel."""

        def __init__(self):
            self.law, self.lock = st.uniform(-1, 2), threading.Lock()

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return getattr(self.law, name)

    problem = sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), Law()))
    monkeypatch.setattr(LocalProcesses, "_started", None)
    with pytest.raises(sb.DataError, match="the problem must be picklable to be sent to workers"):
        sb.study(problem, [20], [0], jobs=2, loss_tol=1e-3)
    assert sb.study(problem, [20], [0], loss_tol=1e-3).rows[0].ok


def test_every_case_is_looked_at_before_any_worker_starts(monkeypatch):
    class Locked(type(st.uniform(0, 1))):
        """A law that does not travel, in the second case only."""

        def __reduce__(self):
            raise TypeError("cannot pickle 'Locked' object")

    law = sb.Initialization(sb.Rademacher(), Locked(st.uniform, -2, 4))
    monkeypatch.setattr(LocalProcesses, "_started", None)
    with pytest.raises(
        sb.DataError, match="the problem must be picklable to be sent to workers, got cannot pickle 'Locked'"
    ):
        sb.study_grid(sb.StudySpec({"A": A, "C": sb.Problem(SET_A, law)}, [20], [0], loss_tol=1e-3), jobs=2)


def test_an_executor_need_not_know_how_to_pickle_a_law_of_a_script(small):
    """What is defined in a function travels by value, which the standard library's executors cannot do."""

    class Same(sb.Abs):
        """An activation that no other process can import."""

    spec = sb.StudySpec(sb.Problem(SET_A, UNIFORM, Same()), [20], range(2), loss_tol=1e-3)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        assert rows(sb.study_grid(spec, executor=executor)) == rows(sb.study_grid(spec))
        assert rows(sb.study_grid(SMALL, executor=executor)) == small


@pytest.mark.parametrize("executor", [5, ThreadPoolExecutor, map])
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(sb.DataError, match="`executor` must be a concurrent.futures.Executor, got"):
        sb.study_grid(SMALL, executor=executor)


def test_an_executor_that_takes_no_work_stops_the_study(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        pass
    with pytest.raises(
        sb.StudyStopped, match="takes no work: cannot schedule new futures after shutdown; run the same call"
    ):
        sb.study_grid(SMALL, executor=executor, store=tmp_path)


def test_ways_to_compute_exclude_each_other():
    with pytest.raises(sb.DataError, match="`jobs` > 1, `scheduler` and `executor` exclude each other"):
        sb.study_grid(SMALL, jobs=2, scheduler="tcp://127.0.0.1:8786")


def test_an_address_of_no_scheduler_is_refused_within_ten_seconds():
    began = time.monotonic()
    with pytest.raises(sb.DataError, match="of a running Dask scheduler such as .*, got 'nonsense://127.0.0.1:9'"):
        sb.study_grid(SMALL, scheduler="nonsense://127.0.0.1:9")
    assert time.monotonic() - began < 10


@pytest.mark.nightly
def test_a_scheduler_that_does_not_answer_is_refused_within_ten_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # something that listens and is no scheduler
        addresses = ["tcp://127.0.0.1:9", f"tcp://127.0.0.1:{silent.getsockname()[1]}"]
        for address in addresses:
            began = time.monotonic()
            with pytest.raises(sb.DataError, match=f"of a running Dask scheduler such as .*, got '{address}'"):
                sb.study_grid(SMALL, scheduler=address)
            assert time.monotonic() - began < 10


# -- disturbances -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What LONG gives in one process."""
    path = tmp_path_factory.mktemp("undisturbed") / "study.sqlite"
    sb.study_grid(LONG, store=path)
    return bits(path)


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "study.toml"
    LONG.to_toml(path)
    return path


@contextmanager
def coordinator(spec, *options, **process):
    """A study under way in a process of its own."""
    run = subprocess.Popen(
        [*PROGRAM, "study", str(spec), *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **process
    )
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


def wait_for_runs(path, run, least=1):
    """Until `least` runs are in the store and the study is under way."""
    for _ in range(600):
        if path.exists() and path.stat().st_size and run.poll() is None:
            try:
                if status(path).done >= least:
                    return
            except sb.DataError as error:
                assert "its study was stopped before it began" in str(error)  # which is not so: it begins
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.1)
    raise AssertionError("no run was finished within a minute")


def finish(spec, *options):
    """The same command, to its end."""
    done = subprocess.run([*PROGRAM, "study", str(spec), *options], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = status(spec.with_suffix(".sqlite"))
    assert (found.done, found.lost) == (found.total, 0)
    assert done.returncode == (found.failed > 0)


@pytest.mark.nightly
def test_a_killed_coordinator_loses_what_was_under_way_only_and_leaves_no_worker(spec, undisturbed):
    path = spec.with_suffix(".sqlite")
    with coordinator(spec, "--jobs", "2") as run:
        wait_for_runs(path, run)
        workers = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    done = status(path).done
    assert 0 < done < len(LONG)
    assert status(path).holder is None
    assert set(bits(path)) <= set(undisturbed)
    finish(spec, "--jobs", "2")
    assert bits(path) == undisturbed


@pytest.mark.nightly
def test_a_killed_worker_is_replaced(spec, undisturbed):
    path = spec.with_suffix(".sqlite")
    with coordinator(spec, "--jobs", "2") as run:
        wait_for_runs(path, run)
        workers = [p for p in psutil.Process(run.pid).children() if "resource_tracker" not in " ".join(p.cmdline())]
        workers[0].kill()
        run.wait(timeout=120)
    assert bits(path) == undisturbed


@pytest.mark.nightly
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_says_how_to_go_on(sent, spec, undisturbed):
    path = spec.with_suffix(".sqlite")
    with coordinator(spec, "--jobs", "2", start_new_session=True) as run:
        wait_for_runs(path, run)
        os.killpg(run.pid, sent)  # as a terminal does: to workers, too
        _, text = run.communicate(timeout=30)
    assert run.returncode == 130, text
    (line,) = text.splitlines()
    assert (
        line == f"Stopped. {status(path).done} of {len(LONG)} runs are kept in {path}; the same command goes on from there."
    )
    finish(spec)
    assert bits(path) == undisturbed


class Forgetful:
    """Interrupts its process while it is freed, when exceptions are lost."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_loses_still_stops_the_study(tmp_path):
    def progress(done, total):
        Forgetful()

    with pytest.raises(KeyboardInterrupt) as interrupt:
        sb.study_grid(SMALL, store=tmp_path / "study.sqlite", progress=progress)
    (note,) = interrupt.value.__notes__
    assert "runs are kept in" in note and "study.sqlite; the same call goes on from there" in note
    with pytest.raises(KeyboardInterrupt) as interrupt:
        sb.study_grid(SMALL, progress=progress)
    assert "are lost; with store=... they are kept" in interrupt.value.__notes__[0]
    assert 0 < status(tmp_path / "study.sqlite").done < len(SMALL)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def blocked_signals(_):
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_are_started_deaf_to_an_interrupt_and_this_process_is_not():
    """Before they can say so themselves: one that comes while they import would print their traceback."""
    pool = LocalProcesses(1)
    try:
        assert {signal.SIGINT, signal.SIGTERM} <= pool.submit(blocked_signals, None).result()
    finally:
        pool.close()
    assert not {signal.SIGINT, signal.SIGTERM} & blocked_signals(None)


class Fatal:
    """A result that kills its worker while it is written, the first time, and is 49 later."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        if not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return int, (49,)


def test_a_worker_that_dies_while_it_hands_over_a_result_is_noticed(tmp_path):
    pool, found = LocalProcesses(2), []
    try:
        execute([tmp_path / "died"], Fatal, pool, deliver=lambda _, result: found.append(result), give_up=fail)
    finally:
        pool.close()
    assert found == [49]


def million(number):
    return number * np.ones(10**6)


def test_results_of_any_size_are_small_messages_whose_files_are_gone_afterwards(tmp_path, monkeypatch):
    """Small ones are written whole, or not at all by a worker that is killed: nobody waits for the other half."""
    assert len(pickle.dumps(_Filed("/" + 255 * "x"))) < select.PIPE_BUF / 2
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = LocalProcesses(2)
    try:
        for number in range(3):
            np.testing.assert_array_equal(pool.submit(million, number).result(), million(number))
        (folder,) = tmp_path.iterdir()
        assert list(folder.iterdir()) == []
    finally:
        pool.close()
    assert list(tmp_path.iterdir()) == []


def fail(batch):
    raise AssertionError(f"given up: {batch}")


@contextmanager
def largest_file(size):
    """No file of this process may grow beyond `size` bytes: a limit that every user can set."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_runs_that_do_not_fit_stop_the_study_and_those_that_do_are_kept(tmp_path, small):
    path = tmp_path / "study.sqlite"
    with largest_file(90_000), pytest.raises(sb.StudyStopped, match=r"cannot write to .*: make room, then run the same"):
        sb.study_grid(SMALL, store=path)
    assert 0 < status(path).done < len(SMALL)
    assert rows(sb.study_grid(SMALL, store=path)) == small


@pytest.mark.nightly
def test_a_quota_stops_the_study_and_loses_nothing(spec, undisturbed):
    """Writes beyond a size fail in the operating system: a limit that every user can set."""
    path = spec.with_suffix(".sqlite")

    def quota():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    with coordinator(spec, "--jobs", "2", preexec_fn=quota) as run:
        _, text = run.communicate(timeout=120)
    assert run.returncode == 1
    assert f"Error: cannot write to {path}: " in text
    assert "all runs that were written are kept: make room, then run the same command again" in text
    assert 0 < status(path).done < len(LONG)
    assert set(bits(path)) <= set(undisturbed)
    finish(spec, "--jobs", "2")
    assert bits(path) == undisturbed


@contextmanager
def small_disk(folder, size):
    """A file system of `size` in memory at `folder`; yields a function that makes it larger."""

    def mounted(*arguments):
        return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0

    if os.geteuid() or not mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("mounting is not permitted here")
    try:
        yield lambda larger: mounted("-o", f"remount,size={larger}", str(folder))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_nothing_is_said_of_locks_that_killed_workers_leave():
    """loky's tracker finds some of them once in many such ends, after everything else has been said."""
    program = """
import os
from splinebias.studies.work.pools import LocalProcesses
os.environ["PYTHONWARNINGS"] = "default"
pool = LocalProcesses(1)
assert os.environ["PYTHONWARNINGS"] == "default"
pool.submit(abs, -1).result()
pool.close()
from loky.backend.resource_tracker import register
register("/of-a-lock-that-is-gone", "semlock")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.nightly
def test_a_full_disk_stops_the_study_and_loses_nothing(tmp_path, spec, undisturbed):
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "study.sqlite"
    command = [*PROGRAM, "study", str(spec), "--jobs", "2", "--store", str(path)]
    with small_disk(folder, "1m") as grow:
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert line.startswith(
                f"Error: cannot write to {path}: database or disk is full; all runs that were written are"
            )
            assert line.endswith("make room, then run the same command again")
        assert 0 < status(path).done < len(LONG)
        assert status(path).holder is None
        assert set(bits(path)) <= set(undisturbed)
        assert grow("40m")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert bits(path) == undisturbed


@pytest.mark.parametrize("size", [nightly("4k"), "12k", nightly("64k")])  # full at the first page, at the log, at its index
def test_a_disk_that_is_full_from_the_start_is_said_to_be(size, tmp_path, small):
    path = tmp_path / "study.sqlite"
    with small_disk(tmp_path, size) as grow:
        for _ in range(2):
            with pytest.raises(sb.errors.SplinebiasError, match="make room"):
                sb.study_grid(SMALL, store=path)
        with pytest.raises(sb.DataError, match="is empty: its study was stopped before it began|make room"):
            status(path)
        assert grow("10m")
        assert rows(sb.study_grid(SMALL, store=path)) == small


@pytest.mark.nightly
def test_a_second_coordinator_is_refused(spec):
    path = spec.with_suffix(".sqlite")
    with coordinator(spec) as run:
        wait_for_runs(path, run)
        assert status(path).holder.startswith(f"process {run.pid} on ")
        done = subprocess.run([*PROGRAM, "study", str(spec)], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"must have one coordinator, got a second while the first (process {run.pid} on " in done.stderr


def dask(folder, *arguments):
    """A scheduler or a worker as a process of its own."""
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard", "--scheduler-file", "scheduler.json"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, cwd=folder, **quiet)


def dask_worker(folder):
    return dask(folder, "worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))


@pytest.fixture
def scheduler(tmp_path):
    """A Dask scheduler as a process of its own, over TCP: its address."""
    file = tmp_path / "scheduler.json"
    process = dask(tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0")
    try:
        for _ in range(300):
            if file.exists() and file.stat().st_size:
                break
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(scheduler, tmp_path):
    """The address of a scheduler, and its two workers."""
    workers = [dask_worker(tmp_path) for _ in range(2)]
    try:
        yield scheduler, workers
    finally:
        for process in workers:
            process.kill()
            process.wait()


@pytest.mark.nightly
def test_a_scheduler_without_workers_is_waited_for_and_said_to_have_none(scheduler, tmp_path, small, capsys):
    worker, late = [], threading.Timer(9, lambda: worker.append(dask_worker(tmp_path)))
    late.start()
    try:
        assert rows(sb.study_grid(SMALL, scheduler=scheduler)) == small
    finally:
        late.join()
        worker[0].kill()
        worker[0].wait()
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"the scheduler {scheduler} has no workers: waiting for them; start some with `dask worker {scheduler} --nthreads 1`"
    )


@pytest.mark.nightly
def test_dask_gives_the_same_bits_though_a_worker_and_the_coordinator_are_killed(cluster, spec, undisturbed):
    address, workers = cluster
    path = spec.with_suffix(".sqlite")
    with coordinator(spec, "--scheduler", address) as run:
        wait_for_runs(path, run)
        workers[0].kill()
        wait_for_runs(path, run, least=status(path).done + 1)
        run.kill()
    assert 0 < status(path).done < len(LONG)
    finish(spec, "--scheduler", address)
    assert bits(path) == undisturbed


@pytest.mark.nightly
def test_a_scheduler_that_goes_away_stops_the_study_and_loses_nothing(cluster, spec, undisturbed):
    address, _ = cluster
    path = spec.with_suffix(".sqlite")
    with coordinator(spec, "--scheduler", address) as run:
        wait_for_runs(path, run)
        (scheduler,) = (
            p for p in psutil.Process().children() if "scheduler" in p.cmdline() and "--no-dashboard" in p.cmdline()
        )
        scheduler.kill()
        _, text = run.communicate(timeout=120)
    assert run.returncode == 1
    (line,) = text.splitlines()  # nothing of Dask's own
    assert line == "Error: the scheduler has gone and taken the work with it; run the same command again"
    assert set(bits(path)) <= set(undisturbed)


@pytest.mark.nightly
def test_two_processes_are_nearly_twice_as_fast_as_one_and_the_coordinator_costs_nothing():
    """CPU time, which other work on the machine does not change: what the coordinator spends, and what workers do more."""
    spec = sb.StudySpec({"A": A, "B": B}, [20, 180, 1620, 4860], range(40), loss_tol=1e-4)
    began = time.process_time()
    alone = sb.study_grid(spec)
    serial = time.process_time() - began
    began = time.process_time()
    assert rows(sb.study_grid(spec, jobs=2)) == rows(alone)
    coordinator = time.process_time() - began
    assert coordinator / len(spec) < 5e-3
    assert coordinator < serial / 10  # 1.8 times the speed leaves 11 % for all that is not shared out


def documented_script():
    """The batch script of docs/run-a-study.md."""
    text = (Path(__file__).parents[2] / "docs" / "run-a-study.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    return script


def test_the_batch_script_of_the_documentation_parses_and_so_does_its_command():
    """Without the study file it gets as far as reading it: every option on the line exists."""
    assert subprocess.run(["bash", "-n"], input=documented_script(), text=True, check=False).returncode == 0
    (line,) = (line for line in documented_script().splitlines() if line.startswith("splinebias "))
    result = CliRunner().invoke(main, shlex.split(line.rstrip("& "))[1:])
    assert result.exit_code == 2
    assert "cannot read the" in result.stderr


@pytest.mark.nightly
def test_the_batch_script_of_the_documentation_runs(tmp_path, small):
    """With stand-ins: `srun` starts two workers here, and what is left at the end of the job is killed."""
    (tmp_path / "job.sh").write_text(documented_script())
    stand_ins = {
        "srun": 'shift 2; for _ in 1 2; do "$@" & done; wait',
        "dask": f'exec {sys.executable} -m dask "$@" --no-dashboard',
        "splinebias": f'exec {sys.executable} -c "{PROGRAM[-1]}" "$@"',
        "python": f'exec {sys.executable} "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, body in stand_ins.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    SMALL.to_toml(tmp_path / "study.toml")
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "SLURM_JOB_ID": "1",
        "SLURM_TMPDIR": str(tmp_path),
    }
    with subprocess.Popen(
        ["bash", "job.sh"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as job:
        try:
            job.wait(timeout=120)
        finally:
            os.killpg(job.pid, signal.SIGKILL)  # what the batch system does to all that a job leaves behind
    assert job.returncode == 0
    assert rows(sb.StudyGrid.load(tmp_path / "runs" / "study.sqlite")) == small
