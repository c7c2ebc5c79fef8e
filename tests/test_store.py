"""Stores: what is added is there, bit for bit; what is damaged, foreign, too new or in use is refused with advice."""

import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.studies.packing import pack, unpack
from splinebias.studies.reading import read_cases, read_spec_text, status
from splinebias.studies.row import FAILED, LOST, Done, Row, failed_row
from splinebias.studies.store import FORMAT, Store
from tests.problems import SET_A, UNIFORM, random_data

SPEC = sb.StudySpec(sb.Problem(SET_A, UNIFORM), [20, 80], range(3), loss_tol=1e-3)
F = sb.PiecewiseLinear([0.1, 1 / 3], [math.pi, -1e-17], 0.7, math.e)


def done(width, seed, outcome="CONVERGED", function=F):
    row = Row(width, seed, 0.1 + 0.2, math.inf, -1.0, 207.8, 1e-13, 10, 1e5, 0.1, outcome, math.nan, 12)
    return Done(row, None if function is None else pack(function), "splinebias 0, numpy 0")


@pytest.fixture
def path(tmp_path):
    """A store with two runs in it."""
    path = tmp_path / "study.sqlite"
    with Store.open(path, SPEC) as store:
        store.add(0, [done(80, 1), done(20, 0)])
    return path


def test_what_is_added_is_read_back_bit_for_bit(path):
    (case,) = read_cases(path)
    assert [repr(row) for row in case.rows] == [repr(done(20, 0).row), repr(done(80, 1).row)]
    assert pack(case.function(80, 1)) == pack(F)
    assert (case.problem, case.interval, case.loss_tol, case.names) == (SPEC.cases[0].problem, (-1.5, 1.5), 1e-3, {})
    assert read_spec_text(path) == SPEC.to_toml()
    with pytest.raises(sb.DataError, match="must be those of a run that has a network, got 80, 2"):
        case.function(80, 2)


def test_a_store_knows_what_is_done(path):
    with Store.open(path, SPEC) as store:
        assert store.finished() == [{(20, 0), (80, 1)}]
        store.add(0, [Done(failed_row(20, 1, 1.0, FAILED, "ValueError: no"), None, "x")])
        store.add(0, [Done(failed_row(20, 2, 1.0, LOST, "its worker died"), None, "x")])
        assert store.finished() == [{(20, 0), (80, 1), (20, 1)}]  # lost runs are to be tried again
        found = status(path)
        assert (found.done, found.failed, found.lost, found.total) == (3, 1, 1, 6)
        assert found.holder.startswith("process ")
        store.add(0, [done(20, 2)])
    found = status(path)
    assert (found.done, found.failed, found.lost, found.holder) == (4, 1, 0, None)
    assert found.environments == ("splinebias 0, numpy 0", "x")


def test_a_batch_is_added_whole_or_not_at_all(path):
    with Store.open(path, SPEC) as store:
        broken = Done(done(20, 2).row._replace(seed=object()), None, "x")
        with pytest.raises(sb.StudyStopped, match="all runs that were written are kept: make room"):
            store.add(0, [done(20, 1), broken])
        assert store.finished() == [{(20, 0), (80, 1)}]
        store.add(0, [done(20, 1)])
        assert store.finished() == [{(20, 0), (80, 1), (20, 1)}]


def test_a_store_is_read_while_it_is_written(path):
    with Store.open(path, SPEC) as store:
        store.add(0, [done(20, 1)])
        assert len(read_cases(path)[0].rows) == 3


def test_a_store_that_was_begun_and_no_more_can_be_begun_again(tmp_path):
    path = tmp_path / "study.sqlite"
    path.touch()
    with pytest.raises(sb.DataError, match="is empty: its study was stopped before it began; run the same command again"):
        status(path)
    with Store.open(path, SPEC) as store:
        assert store.finished() == [set()]


def test_a_second_coordinator_is_refused(path):
    with Store.open(path, SPEC) as store:
        with pytest.raises(sb.DataError, match=r"must have one coordinator, got a second while the first \(process \d+ on"):
            Store.open(path, SPEC)
        store.add(0, [done(20, 1)])
    with Store.open(path, SPEC) as store:
        assert len(store.finished()[0]) == 3


def test_another_specification_is_refused_with_the_difference(path):
    other = sb.StudySpec(sb.Problem(SET_A, UNIFORM), [20, 80], range(3), loss_tol=1e-4)
    with pytest.raises(sb.DataError, match=r"got study.loss_tol 0.001 -> 0.0001; use another store"):
        Store.open(path, other, extend=True)
    with Store.open(path, SPEC) as store:  # the refusal has given the lock back
        assert len(store.finished()[0]) == 2


def test_a_larger_specification_is_taken_if_that_is_meant(path):
    larger = sb.StudySpec(sb.Problem(SET_A, UNIFORM), [20, 40, 80], range(4), loss_tol=1e-3)
    with pytest.raises(
        sb.DataError, match=r"was begun with a smaller grid, got widths also \[40\]; seeds also \[3\]; pass extend"
    ):
        Store.open(path, larger)
    with Store.open(path, larger, extend=True) as store:
        assert store.finished() == [{(20, 0), (80, 1)}]
    assert status(path).total == 12
    with pytest.raises(sb.DataError, match="got widths without"):
        Store.open(path, SPEC, extend=True)


@pytest.mark.parametrize(
    "reader", [read_cases, status, sb.Study.load, sb.StudyGrid.load, lambda path: Store.open(path, SPEC)]
)
def test_bad_files_are_refused_with_advice(reader, path, tmp_path):
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for start in range(4096, len(whole) - 64, 4096):
        damaged[start : start + 64] = bytes(range(64))
    path.write_bytes(damaged)
    with pytest.raises(sb.DataError, match=r"is damaged: .*; restore a copy, or save what can be read with `sqlite3 "):
        reader(path)
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(sb.DataError, match="is damaged: file is not a database"):
        reader(path)
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(sb.DataError, match=f"by a newer splinebias .format {FORMAT + 1}, this one knows {FORMAT}.; update"):
        reader(path)
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as file:
        file.execute("CREATE TABLE t (x)")
    with pytest.raises(sb.DataError, match="must be a study, got another kind of SQLite file"):
        reader(foreign)
    assert foreign.stat().st_size == 8192  # untouched


@pytest.mark.parametrize(
    "function",
    [
        F,
        sb.train(sb.Problem(random_data(3), sb.Initialization(st.t(3), st.norm())), 50, loss_tol=1e-2).function,
        sb.train(sb.Problem(SET_A, UNIFORM, sb.ReLUPower(2)), 30, loss_tol=1e-2).function,
    ],
    ids=["by-hand", "heavy-tails", "quadratic-units"],
)
def test_functions_are_packed_exactly(function):
    again = unpack(pack(function))
    x = np.r_[np.linspace(-3, 3, 1001), function.knots, -1e6, 1e6]
    for nu in range(3):
        np.testing.assert_array_equal(again(x, nu), function(x, nu))
    np.testing.assert_array_equal(again.knots, function.knots)
    assert type(again) is type(function)


@pytest.mark.parametrize("content", [b"", b"L", b"L123", b"X" * 100])
def test_other_bytes_are_no_function(content):
    with pytest.raises(sb.DataError, match="bytes are no packed function"):
        unpack(content)
