"""Stores: what is added is there, bit for bit; what is damaged, foreign, too new or in use is refused with advice."""

import math
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import scipy.stats as st
from folders import read_only

import splinebias as sb
from splinebias.studies.row import FAILED, LOST, Done, Row, failed_row
from splinebias.studies.store.packing import pack, unpack
from splinebias.studies.store.reading import read_cases, status
from splinebias.studies.store.schema import FORMAT, connect
from splinebias.studies.store.store import Store
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
    assert case.function(80, 2) is None
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT spec FROM study").fetchone() == (SPEC.to_toml(),)


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
        (pages,) = store._file.execute("PRAGMA page_count").fetchone()
        store._file.execute(f"PRAGMA max_page_count = {pages}")  # a disk that is full
        broken = Done(done(20, 2).row, bytes(100_000), "x")
        with pytest.raises(sb.StudyStopped, match="all runs that were written are kept: make room"):
            store.add(0, [done(20, 1), broken])
        assert store.finished() == [{(20, 0), (80, 1)}]
        store.add(0, [done(20, 1)])
        assert store.finished() == [{(20, 0), (80, 1), (20, 1)}]


@pytest.mark.parametrize("by", [None, "another study", "a link to another study"])
def test_a_store_that_is_no_longer_in_its_place_is_noticed_at_the_next_write(by, path, tmp_path):
    other = tmp_path / "other.sqlite"
    other.write_bytes(path.read_bytes())
    with Store.open(path, SPEC) as store:
        store.add(0, [done(20, 1)])
        path.unlink()
        if by == "another study":
            other.replace(path)
        elif by:
            path.symlink_to(other)
        what = "replaced by another file" if by else "deleted or moved"
        with pytest.raises(sb.StudyStopped, match=f"study.sqlite was {what} while its study was at work, .*; put it back"):
            store.add(0, [done(20, 2)])
    assert path.exists() == bool(by)
    if by:
        assert status(path).done == 2  # whoever put it there finds it as it was


def test_a_write_that_fails_for_another_reason_is_not_said_to_want_room(path):
    with Store.open(path, SPEC) as store:
        store._file.execute("DROP TABLE runs")
        with pytest.raises(sb.StudyStopped, match="is damaged: no such table: runs; restore a copy"):
            store.add(0, [done(20, 1)])


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


def test_the_order_of_names_is_no_difference(tmp_path):
    one, two = sb.Problem(SET_A, UNIFORM), sb.Problem(SET_A, UNIFORM, sb.Abs())
    with Store.open(tmp_path / "s.sqlite", sb.StudySpec({"A": one, "B": two}, [20], range(2))) as store:
        store.add(1, [done(20, 0)])
    with Store.open(tmp_path / "s.sqlite", sb.StudySpec({"B": two, "A": one}, [20], range(2))) as store:
        assert store.finished() == [{(20, 0)}, set()]
    assert [case.names["problem"] for case in read_cases(tmp_path / "s.sqlite")] == ["B", "A"]


def uniform(*args, **named):
    law = sb.Initialization(sb.Rademacher(), st.uniform(*args, **named))
    return sb.StudySpec({"A": sb.Problem(SET_A, law)}, [20, 80], range(3), loss_tol=1e-3)


FORMS = {"args": uniform(-1, 2), "named": uniform(loc=-1, scale=2), "mixed": uniform(-1, scale=2)}


@pytest.mark.parametrize("begun", FORMS)
@pytest.mark.parametrize("where", ["study.sqlite", "runs/"])
def test_a_store_goes_on_however_its_laws_are_written(begun, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open(where, FORMS[begun]) as store:
        store.add(0, [done(20, 0)])
    for spec in FORMS.values():
        with Store.open(where, spec) as store:
            assert store.finished() == [{(20, 0)}]
            store.add(0, [done(20, 0)])
    wider = sb.StudySpec(FORMS["named"].problems, [20, 80, 160], range(3), loss_tol=1e-3)
    with Store.open(where, wider, extend=True) as store:
        assert store.finished() == [{(20, 0)}]
    (case,) = read_cases(store.path)
    assert len(case.rows) == 1


@pytest.mark.parametrize(
    "reader", [read_cases, status, sb.Study.load, sb.StudyGrid.load, lambda path: Store.open(path, SPEC)]
)
def test_bad_files_are_refused_with_advice(reader, path, tmp_path):
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for start in range(4096, len(whole) - 64, 4096):
        damaged[start : start + 64] = bytes(range(64))
    path.write_bytes(damaged)
    with pytest.raises(sb.DataError, match=r"is damaged: .*; restore a copy, begin again in another file, or try `sqlite3 "):
        reader(path)
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(sb.DataError, match="must be a study, got a file of another kind; check the name"):
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


def altered(path, statement):
    """The store after a statement that no study makes."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(statement)
    return path


@pytest.mark.parametrize(
    ("statement", "reader", "why"),
    [
        ("DROP TABLE cases", sb.StudyGrid.load, "no such table: cases"),
        ("ALTER TABLE runs DROP COLUMN function", lambda path: sb.Study.load(path).function(20, 0), "no such column"),
        ("DELETE FROM study", status, "cannot unpack"),
        ("DELETE FROM study", lambda path: Store.open(path, SPEC), "cannot unpack"),
        ("UPDATE study SET spec = 'abc ='", lambda path: Store.open(path, SPEC), "Invalid value"),
        ("UPDATE runs SET sup = 'abc'", read_cases, "`sup` must be a number, got 'abc'"),
        ("DROP TABLE cases", lambda path: Store.open(path, SPEC), "no such table: cases"),
        ("PRAGMA user_version = 0", read_cases, "it says to be of format 0, which there never was"),
    ],
)
def test_content_that_no_study_writes_is_damage(path, statement, reader, why):
    with pytest.raises(sb.DataError, match=rf"the store .* is damaged: {why}.*; restore a copy"):
        reader(altered(path, statement))


@pytest.mark.parametrize(
    ("statement", "reader", "why"),
    [
        ("UPDATE study SET total = 'x'", status, "`total` must be a whole number >= 0, got 'x'"),
        ("UPDATE runs SET seconds = 9e999", status, "`seconds` must be a finite real number >= 0, got inf"),
        ("UPDATE cases SET names = '[1]'", read_cases, r"`names` must map names to names, got \[1\]"),
        (f"UPDATE cases SET names = '{'[' * 100_000}'", read_cases, "`names` must be JSON"),
        ("UPDATE cases SET lo = 'x'", read_cases, "`interval` must be a pair"),
        ("UPDATE cases SET loss_tol = -1", read_cases, "`loss_tol` must be a finite real number > 0"),
        ("UPDATE runs SET width = -5", read_cases, "`width` must be a whole number >= 0, got -5"),
        ("UPDATE runs SET outcome = 'FINE'", read_cases, "`outcome` must be one of CONVERGED, "),
        ("UPDATE runs SET sup = -1", read_cases, "`sup` must be a finite real number >= 0, got -1"),
        ("UPDATE cases SET problem = 'a = 1'", read_cases, "holds a problem that this version cannot read"),
    ],
)
def test_entries_that_no_study_writes_are_refused(path, statement, reader, why):
    with pytest.raises(sb.DataError, match=rf"the store .* {'' if 'holds' in why else 'is damaged: '}{why}"):
        reader(altered(path, statement))


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.mark.parametrize("reader", [status, read_cases, lambda path: Store.open(path, SPEC)])
@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE study", f"CREATE VIEW study AS {ENDLESS} i AS total, i AS holder, i AS spec FROM n WHERE i < 0"),
        (f"CREATE TRIGGER t AFTER UPDATE ON study BEGIN INSERT INTO environments {ENDLESS} i, i FROM n; END",),
        ("DROP TABLE runs", "CREATE VIRTUAL TABLE runs USING fts5(width)"),
    ],
)
def test_a_store_that_runs_what_others_wrote_is_refused(path, reader, statements):
    for statement in statements:
        altered(path, statement)
    with pytest.raises(
        sb.DataError, match="must hold tables only, got the (view|trigger|virtual table) .*use a store that you"
    ):
        reader(path)


def test_work_on_a_store_is_bounded_by_its_size(path):
    with closing(connect(path)) as file, pytest.raises(sqlite3.OperationalError, match="interrupted"):
        file.execute(f"{ENDLESS} max(i) FROM n").fetchone()


def test_a_store_reads_no_other_file(path, tmp_path, monkeypatch):
    """Not even one beside it, by any name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.csv").write_text("x,y\n0,1\n1,2\n")
    text = '[data]\ncsv = "points.csv"\n[initialization]\npreset = "pytorch_default"\n'
    altered(path, f"UPDATE cases SET problem = '{text}'")
    with pytest.raises(sb.DataError, match="`csv` must not name a file here, got 'points.csv'; write the content itself"):
        read_cases(path)


def test_cases_are_written_anew_whenever_a_study_goes_on(path):
    altered(path, "DELETE FROM cases")
    with Store.open(path, SPEC) as store:
        assert store.finished() == [{(20, 0), (80, 1)}]
    assert len(read_cases(path)[0].rows) == 2


def test_any_damage_is_a_refusal_or_harmless(path):
    """Twenty random bytes, thirty times: one line of advice, or what there was before."""
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(whole)
        for where in rng.integers(100, len(whole), 20):
            content[where] = rng.integers(256)
        path.write_bytes(content)
        for reader in (status, read_cases, lambda path: Store.open(path, SPEC).close()):
            try:
                reader(path)
            except sb.DataError as error:
                assert "\n" not in str(error)


def test_a_problem_of_a_later_version_is_told_from_damage(path):
    altered(path, "UPDATE cases SET problem = replace(problem, 'rademacher', 'gamma2')")
    with pytest.raises(sb.DataError, match="holds a problem that this version cannot read: .*gamma2.*; update splinebias"):
        read_cases(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the store must be a path, got ''"),
        (5, "the store must be a path, got 5"),
        (b"s.sqlite", "the store must be a path"),
        ("/dev/null", "which is neither a file nor a folder"),
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
        ("/missing/s.sqlite", "create /missing first"),
        ("loop", "Symlink loop|Too many levels"),
        ("dangling", "create .*nowhere first"),
    ],
)
def test_what_can_be_no_store_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "s.sqlite")
    with pytest.raises(sb.DataError, match=message):
        Store.open(name, SPEC)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dangling", "loop"]


@pytest.mark.parametrize("name", [None, 5, "a\0b", "x" * 300, ".", "missing"])
def test_where_no_store_is_none_is_read_or_made(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for reader in (status, read_cases, sb.Study.load):
        with pytest.raises(sb.DataError, match="there is no study at|the path of a store must be a str or a Path"):
            reader(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["with spaces.sqlite", "ünï ☃.sqlite", "odd #1?mode=ro%20&x.sqlite", ":memory:", "file:a"])
def test_any_name_of_a_file_will_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open(name, SPEC) as store:
        store.add(0, [done(20, 0)])
        assert status(name).holder is not None
    assert status(tmp_path / name).done == 1
    assert status(name).holder is None
    assert pack(read_cases(name)[0].function(20, 0)) == pack(F)
    assert {file.name for file in tmp_path.iterdir()} == {name, f"{name}.lock"}  # one file, and its lock


def test_a_store_has_one_lock_by_whatever_name(path, tmp_path):
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    with Store.open(path, SPEC):
        assert status(link).holder is not None
        with pytest.raises(sb.DataError, match="must have one coordinator"):
            Store.open(link, SPEC)
    with Store.open(link, SPEC) as store:
        assert len(store.finished()[0]) == 2


def test_a_log_is_found_through_a_link_on_read_only_ground(path, tmp_path):
    """Runs that are in the log only are not left out in silence."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with Store.open(path, SPEC) as store:
        store.add(0, [done(40, 1)])
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.with_name(name), killed)
    link = tmp_path / "elsewhere.sqlite"
    link.symlink_to(killed / path.name)
    with read_only(killed), pytest.raises(sb.DataError, match="copy it, with .*-wal if there is one"):
        status(link)
    assert status(link).done == 3


def test_looking_at_a_store_keeps_no_coordinator_out(path):
    """`status` only asks: it never has the lock itself."""
    path.with_name(path.name + ".lock").unlink()
    assert status(path).holder is None
    assert not path.with_name(path.name + ".lock").exists()
    with closing(sqlite3.connect(path)) as reader:
        with Store.open(path, SPEC) as store:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM runs").fetchone()
            store.add(0, [done(20, 1)])
        assert status(path).done == 3  # closed in spite of the reader, who still sees what was there
        assert len(reader.execute("SELECT * FROM runs").fetchall()) == 2
    with Store.open(path, SPEC) as store:
        assert len(store.finished()[0]) == 3


def test_a_store_can_be_read_where_nothing_can_be_written(path):
    before = status(path)
    with read_only(path.parent):
        assert status(path) == before
        assert len(read_cases(path)[0].rows) == 2
        assert pack(read_cases(path)[0].function(80, 1)) == pack(F)
        with pytest.raises(sb.DataError, match="or choose a folder you may write in"):
            Store.open(path, SPEC)


def killed(path):
    """What a killed coordinator leaves: its last runs are in the log only."""
    copies = {}
    with Store.open(path, SPEC) as store:
        store.add(0, [done(20, 1)])
        for end in ("", "-wal"):
            file = path.with_name(path.name + end)
            copies[file] = file.read_bytes()
    for file, content in copies.items():
        file.write_bytes(content)


def test_runs_that_are_in_the_log_only_are_not_overlooked_where_nothing_can_be_written(path):
    killed(path)
    with read_only(path.parent), pytest.raises(sb.DataError, match="cannot be opened: .*; copy it, with study.sqlite-wal"):
        status(path)
    assert status(path).done == 3


def test_a_store_whose_log_went_astray_is_read_without_it(path):
    killed(path)
    path.with_name(path.name + "-wal").unlink()
    with read_only(path.parent):
        assert status(path).done == 2


def test_the_rate_is_that_of_batches_after_the_first(path, monkeypatch):
    import splinebias.studies.store.store as module

    with Store.open(path, SPEC) as store:
        assert math.isnan(status(path).rate)  # one batch: how long it took is not known
        (last,) = store._file.execute("SELECT max(finished) FROM runs").fetchone()
        monkeypatch.setattr(module.time, "time", lambda: last + 4)
        store.add(0, [done(20, 1), done(20, 2)])
        assert status(path).rate == pytest.approx(0.5)
        assert status(path).remaining == pytest.approx(4)


@pytest.mark.parametrize(
    ("problem", "width"),
    [
        (None, 0),
        (sb.Problem(random_data(3), sb.Initialization(st.t(3), st.norm())), 50),
        (sb.Problem(SET_A, UNIFORM, sb.ReLUPower(2)), 30),
    ],
    ids=["by-hand", "heavy-tails", "quadratic-units"],
)
def test_functions_are_packed_exactly(problem, width):
    function = F if problem is None else sb.train(problem, width, method=sb.MirrorFlow(time=1.0)).function
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
