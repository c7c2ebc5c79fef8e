"""Studies: fits recover the laws they fit, failures are kept and left out, and the bits depend on (seed, width) only."""

import csv
import math
import re
import sys

import numpy as np
import pytest
import scipy.stats as st
from problems import PUBLISHED

import splinebias as sb
from splinebias.studies.results import Row, Study, StudyGrid
from splinebias.studies.store.reading import status
from splinebias.studies.study import run_seed
from splinebias.studies.work.batch import together
from splinebias.studies.work.progress import reported

PROBLEM = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), sb.Initialization.rademacher(st.uniform(-2, 4)))
PREDICTION = sb.predict(PROBLEM)
WIDTHS = [20, 80, 320]
LOOSE = 1e-3  # a loss that small networks reach within a fraction of a second


def row(width, seed, sup, outcome="CONVERGED"):
    return Row(width, seed, sup, sup, 0.0, PREDICTION.penalty, 1e-12, 10, 1.0, 0.1, outcome)


def synthetic(error, widths=WIDTHS, seeds=5):
    """A Study whose runs have the given error(width, seed)."""
    return Study(PREDICTION, (-1.5, 1.5), 1e-12, tuple(row(n, k, error(n, k)) for n in widths for k in range(seeds)))


def without_seconds(found):
    return [run._replace(seconds=0.0) for run in found.rows]


@pytest.fixture(scope="module")
def small():
    return sb.study(PROBLEM, [20, 80], [0, 3], loss_tol=LOOSE)


# -- what the rows say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-0.5, -1.0])
def test_an_exact_power_law_is_found_exactly(exponent):
    rate = synthetic(lambda n, _: 3 * n**exponent).rate
    np.testing.assert_allclose([rate.value, rate.low, rate.high], exponent, rtol=1e-7)


def test_intervals_cover_as_often_as_they_claim():
    """n^(-1/2) law with log-normal errors, the hypotheses of both intervals up to the normality of the constant's values."""
    rng = np.random.default_rng(0)
    repeats = 600
    covered = np.zeros(2)
    for _ in range(repeats):
        found = synthetic(lambda n, _: 1.2 / math.sqrt(n) * math.exp(0.1 * rng.standard_normal()))
        truth = (-0.5, 1.2 * math.exp(0.1**2 / 2))
        covered += [fit.low < value < fit.high for fit, value in zip((found.rate, found.constant), truth, strict=True)]
    spread = math.sqrt(0.95 * 0.05 / repeats)
    assert np.abs(covered / repeats - 0.95).max() < 4 * spread


def test_the_constant_comes_from_the_largest_width():
    constant = synthetic(lambda n, _: 2 / math.sqrt(n) if n == max(WIDTHS) else 1.0).constant
    np.testing.assert_allclose([constant.value, constant.low, constant.high], 2.0)


def test_failures_are_kept_in_the_table_and_left_out_of_everything_else():
    rng = np.random.default_rng(1)
    good = synthetic(lambda n, _: rng.lognormal() / math.sqrt(n))
    failed = (row(20, 9, 1e9, "STALLED"), row(80, 9, math.nan, "DIVERGED"), row(640, 9, 1.0, "MAX_STEPS"))
    mixed = Study(PREDICTION, good.interval, good.loss_tol, good.rows + failed)
    assert len(mixed.table) == len(good.table) + 3
    assert (mixed.rate, mixed.constant) == (good.rate, good.constant)
    assert mixed.summary["failed"].tolist() == [1, 1, 0, 1]
    assert mixed.summary["runs"].tolist() == [5, 5, 5, 0]
    np.testing.assert_array_equal(mixed.summary["mean"][:3], good.summary["mean"])
    assert np.isnan(mixed.summary["mean"][3])
    assert "left out: 1 DIVERGED, 1 MAX_STEPS, 1 STALLED of 18 runs" in str(mixed)


def test_a_study_without_a_good_run_prints_why():
    narrow = sb.study(PREDICTION.problem, widths=[2], seeds=range(2))
    assert "got none; the reasons of its rows say what to change" in str(narrow)
    assert "left out: 2 STALLED of 2 runs" in str(narrow) and "the tangent kernel has rank" in str(narrow)
    assert "the tangent kernel has rank" in narrow.rows[-1].reason


def test_reasons_of_failed_runs_are_printed_in_groups_with_advice_that_fits_each():
    def lines(*pairs):
        rows = [row(20, seed, math.nan, outcome)._replace(reason=reason) for seed, (outcome, reason) in enumerate(pairs)]
        return str(Study(PREDICTION, (-1.5, 1.5), 1e-12, tuple(rows))).splitlines()

    raised = ("FAILED", "LinAlgError: did not\nconverge")
    found = lines(raised, *[("STALLED", f"no step lowers the loss from {loss:.3g}") for loss in (0.1, 2e-5)], raised)
    assert found[-4:] == [
        "left out: 2 FAILED, 2 STALLED of 4 runs",
        "  2 FAILED: LinAlgError: did not converge",
        "  runs that raised are kept and not tried again: change what the reason names, and use another store",
        "  2 STALLED: for example, no step lowers the loss from 0.1",
    ]
    assert not any("loss_tol" in line for line in lines(raised))
    assert "  lost runs are tried again by the next start: give workers more memory, or start fewer of them" in lines(
        ("LOST", "its worker died 3 times; out of memory?")
    )
    many = lines(*[("FAILED", "ValueError: " + "abcdef"[kind] * (1000 if kind else 5)) for kind in (0, 0, 1, 2, 3, 4)])
    assert "  2 FAILED: ValueError: aaaaa" in many
    assert "  2 FAILED for other reasons, which the rows hold (--csv)" in many
    assert max(map(len, many)) < 350
    (advice,) = (line for line in lines(("DIVERGED", "")) if "1 DIVERGED:" in line)
    assert advice == f"  1 DIVERGED: {sb.Outcome.DIVERGED.value}"


def test_too_few_runs_determine_nothing_and_say_so():
    one = synthetic(lambda n, _: 1 / math.sqrt(n), widths=[20], seeds=1)
    assert math.isnan(one.rate.value)
    assert one.constant.value == pytest.approx(1)
    assert (one.constant.low, one.constant.high) == (-math.inf, math.inf)
    two = synthetic(lambda n, _: 1 / math.sqrt(n), widths=[20, 80], seeds=1).rate
    assert two.value == pytest.approx(-0.5)
    assert (two.low, two.high) == (-math.inf, math.inf)
    none = Study(PREDICTION, (-1.0, 1.0), 1e-12, (row(20, 0, 1.0, "STALLED"),))
    assert math.isnan(none.rate.value)
    assert math.isnan(none.constant.value)
    assert str(none.rate) == str(none.constant) == "not determined (too few runs)"
    for found in (one, none):
        assert not {"nan", "inf", "-inf"} & set(str(found).replace("(", " ").split())


def test_one_usable_width_prints_no_interval_of_nothing():
    found = synthetic(lambda n, _: 1 / math.sqrt(n), widths=[20], seeds=1)
    assert str(found.rate) == "not determined (runs at one width only)"
    assert str(found.constant) == "1 (too few runs for an interval)"
    line, ratio = (line.split() for line in str(found).splitlines() if line.split()[0] == "20")
    assert ratio[2:] == ["(too", "few", "runs", "for", "an", "interval)"]
    assert line[-2:] == ["-", "1"]  # no standard deviation; mean * sqrt(n)


def test_one_run_is_not_said_to_have_an_interval():
    found = synthetic(lambda n, _: 5 / math.sqrt(n), seeds=1)
    assert "and one run has no interval that says by how much: more seeds would tell" in str(found)
    assert "interval allows" not in str(found)


def everything_that_is_said(found):
    """All that a study can be asked, with warnings as errors; the printed table."""
    from matplotlib.figure import Figure

    from splinebias.plots import plot, plot_penalties

    for each in (found, StudyGrid((found, found))):
        axes = Figure().subplots()
        plot(each, axes)
        axes.figure.canvas.draw()
        assert each.to_csv().count("\n") == len(each.table) + 1
    plot_penalties(found, Figure().subplots())
    for table in (found.summary, found.statistics, found.penalties, found.places):
        assert table.dtype.names[0] == "width"
    return str(found)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(20, 0, 0.1)],
        [row(20, 0, 0.1), row(20, 1, 0.2)],
        [row(20, 0, 0.1), row(80, 0, 0.05)],
        [row(n, 0, 1 / n) for n in WIDTHS],
        [row(20, seed, 0.1) for seed in range(5)],
        [row(n, seed, 0.1) for n in WIDTHS for seed in range(25)],
        [row(n, seed, 0.0) for n in WIDTHS for seed in range(2)],
        [row(20, seed, math.nan, "FAILED")._replace(argmax=math.nan) for seed in range(3)],
        [row(20, 0, 0.1), row(20, 1, math.nan, "LOST"), row(80, 0, 9.0, "STALLED")],
    ],
    ids=["none", "one", "two-seeds", "two-widths", "one-seed", "equal", "no-rate", "no-error", "failures", "mixed"],
)
def test_studies_with_little_to_say_say_so_in_words(rows):
    text = everything_that_is_said(Study(PREDICTION, (-1.5, 1.5), 1e-12, tuple(rows)))
    assert not {"nan", "inf", "-inf"} & set(re.split(r"[\s()]+", text))


def test_widths_below_the_number_of_points_are_recorded_and_the_study_goes_on():
    problem = sb.Problem(sb.Dataset([-1, -0.2, 0, 0.2, 1], [0, 0, 1, 0, 0]), PROBLEM.initialization)
    found = sb.study(problem, [1, 2, 4, 100], range(3), loss_tol=LOOSE)
    assert [run.outcome for run in found.rows[:6]] == ["STALLED"] * 6
    assert all("gradient vanishes" in run.reason for run in found.rows[:6])
    assert all(math.isfinite(run.sup) for run in found.rows)
    assert found.summary["runs"][-1] == 3
    assert "STALLED of 12 runs" in everything_that_is_said(found)


def test_a_network_that_is_the_limit_exactly_has_no_logarithm():
    problem = sb.Problem(sb.Dataset([-1, 0, 1], [0, 0, 0]), PROBLEM.initialization)
    found = sb.study(problem, [20, 80], [0])
    assert found.table["sup"].tolist() == [0, 0]
    assert found.table["outcome"].tolist() == ["CONVERGED"] * 2
    assert math.isnan(found.rate.value)
    assert str(found.rate) == "not determined (errors of 0 have no logarithm)"
    assert str(found.predicted).count("not determined (the predicted error is 0)") == 2
    assert found.constant.value == 0


def test_networks_that_are_the_limit_exactly_count_in_the_constant_and_are_said_to_miss_in_the_rate():
    found = synthetic(lambda n, seed: 0.0 if seed == 0 else 1 / math.sqrt(n))
    assert found.rate.value == pytest.approx(-0.5)
    assert found.constant.value == pytest.approx(4 / 5)
    assert ", without 3 runs whose error is 0\n" in str(found)
    gone = synthetic(lambda n, _: 1.0 if n == 20 else 0.0)
    assert str(gone.rate) == "not determined (errors of 0 have no logarithm)"
    assert (gone.constant.value, gone.constant.high) == (0, 0)


def test_the_summary_is_that_of_the_rows(small):
    sup = small.table["sup"].reshape(2, 2)
    np.testing.assert_array_equal(small.summary["width"], [20, 80])
    np.testing.assert_allclose(small.summary["mean"], sup.mean(axis=1))
    np.testing.assert_allclose(small.summary["median"], np.median(sup, axis=1))
    np.testing.assert_allclose(small.summary["sd"], np.abs(np.diff(sup, axis=1)[:, 0]) / math.sqrt(2))


def test_tables_are_read_only(small):
    for table in (small.table, small.summary):
        with pytest.raises(ValueError, match="read-only"):
            table["width"] = 0


def test_csv_is_exact(small, tmp_path):
    path = tmp_path / "study.csv"
    text = small.to_csv(path)
    assert path.read_text() == text
    read = list(csv.DictReader(text.splitlines()))
    assert [Row(*(kind(r[n]) for n, kind in zip(Row._fields, map(type, small.rows[0]), strict=True))) for r in read] == list(
        small.rows
    )


def test_the_printed_table_has_a_line_per_width_and_both_fits(small):
    text = str(small)
    assert PROBLEM.describe() in text
    lines = [line.split()[:3] for line in text.splitlines() if line.strip()[:1].isdigit() and "points" not in line]
    assert lines[:2] == [["20", "2", "0"], ["80", "2", "0"]]
    assert [line[:1] for line in lines[2:]] == [["20"], ["80"]]  # measured over predicted
    assert str(small.rate) in text
    assert str(small.constant) in text
    assert str(small.predicted) in text


def test_without_pandas_the_dataframe_is_refused(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sb.CapabilityError, match="a DataFrame needs pandas, which is not installed"):
        small.to_dataframe()


def test_the_dataframe_holds_the_table(small):
    frame = small.to_dataframe()
    assert list(frame.columns) == list(Row._fields)
    assert frame["sup"].tolist() == small.table["sup"].tolist()


# -- how the rows are made --------------------------------------------------------------------------------------------


def test_a_row_is_a_training_and_a_comparison(small):
    _, run = sb.train_ensemble(PROBLEM, 80, [run_seed(seed, 80) for seed in (0, 3)], loss_tol=LOOSE)
    distance = sb.compare(run.function, PREDICTION.function, interval=small.interval)
    found = small.rows[-1]
    assert (found.width, found.seed) == (80, 3)
    assert (found.sup, found.l2, found.argmax) == (distance.sup, distance.l2, distance.argmax)
    assert (found.loss, found.steps, found.time, found.outcome) == (run.loss, run.steps, run.time, run.outcome.name)
    assert found.penalty == PREDICTION.penalty
    assert found.network_penalty == sb.penalty(run.function, PROBLEM)
    assert found.passes == run.stats["passes"]
    np.testing.assert_array_equal(small.function(80, 3).knots, run.function.knots)
    np.testing.assert_array_equal(small.function(80, 3).values, run.function.values)


@pytest.mark.nightly
def test_the_same_bits_whatever_the_number_of_jobs(small):
    again, parallel = (sb.study(PROBLEM, [20, 80], [0, 3], loss_tol=LOOSE, jobs=jobs) for jobs in (1, 2))
    assert without_seconds(again) == without_seconds(parallel) == without_seconds(small)


def test_more_widths_change_no_earlier_run(small):
    more = sb.study(PROBLEM, [80, 40, 20], [3, 0], loss_tol=LOOSE)
    keys = {(run.width, run.seed) for run in small.rows}
    assert [run for run in without_seconds(more) if (run.width, run.seed) in keys] == without_seconds(small)
    assert [(run.width, run.seed) for run in more.rows] == [(n, k) for n in (20, 40, 80) for k in (0, 3)]


def test_more_seeds_change_earlier_runs_of_their_batch_by_rounding_and_no_others(small):
    more = sb.study(PROBLEM, [20, 80], [0, 1, 3, 40], loss_tol=LOOSE)
    assert together([0, 1, 3, 40], 80) == [(0, 1, 3), (40,)]
    for run in small.rows:
        (same,) = (other for other in more.rows if (other.width, other.seed) == (run.width, run.seed))
        assert same.sup == pytest.approx(run.sup, rel=1e-3)
    alone = sb.study(PROBLEM, [20, 80], [40], loss_tol=LOOSE)
    assert [run for run in without_seconds(more) if run.seed == 40] == without_seconds(alone)


def test_run_seeds_are_the_documented_ones_and_distinct():
    (bits,) = np.random.SeedSequence(7, spawn_key=(4860, 5)).generate_state(1, np.uint64)
    assert run_seed(5, 4860, 7) == int(bits) // 2**11 < 2**53
    assert run_seed(5, 4860) == run_seed(5, 4860, 0) != run_seed(5, 4860, 7)
    assert len({run_seed(seed, width) for seed in range(50) for width in range(1, 51)}) == 2500


def test_the_number_of_torch_threads_is_put_back(small):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again = sb.study(PROBLEM, [20, 80], [0, 3], loss_tol=LOOSE)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert without_seconds(again) == without_seconds(small)


def test_method_interval_and_failures_are_passed_through():
    method = sb.MirrorDescent(max_steps=3)
    found = sb.study(PROBLEM, [20], [0], method=method, interval=(-0.5, 0.25))
    assert found.interval == (-0.5, 0.25)
    assert -0.5 <= found.rows[0].argmax <= 0.25
    assert (found.rows[0].outcome, found.rows[0].steps) == ("MAX_STEPS", 3)


# -- stores -----------------------------------------------------------------------------------------------------------


def test_a_store_goes_on_where_it_was_and_holds_the_same(small, tmp_path):
    folder = f"{tmp_path / 'runs'}/"
    calls = []
    for _ in range(2):
        found = sb.study(PROBLEM, [20, 80], [0, 3], loss_tol=LOOSE, store=folder, progress=lambda *now: calls.append(now))
        assert without_seconds(found) == without_seconds(small)
        np.testing.assert_array_equal(found.function(80, 3).values, small.function(80, 3).values)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]  # the second call had nothing to do
    (path,) = (tmp_path / "runs").glob("*.sqlite")
    assert without_seconds(Study.load(path)) == without_seconds(small)
    assert (status(path).done, status(path).total, status(path).failed) == (4, 4, 0)


def test_a_store_in_a_folder_is_found_again_with_more_widths_and_grows_when_told_to(small, tmp_path):
    sb.study(PROBLEM, [20, 80], [0, 3], loss_tol=LOOSE, store=tmp_path)
    with pytest.raises(sb.DataError, match=re.escape("got widths also [40]; pass extend=True (--extend) to add to it")):
        sb.study(PROBLEM, [20, 40, 80], [0, 3], loss_tol=LOOSE, store=tmp_path)
    more = sb.study(PROBLEM, [20, 40, 80], [0, 3], loss_tol=LOOSE, store=tmp_path, extend=True)
    assert [run for run in without_seconds(more) if run.width != 40] == without_seconds(small)
    assert without_seconds(more) == without_seconds(sb.study(PROBLEM, [20, 40, 80], [0, 3], loss_tol=LOOSE))


def test_a_study_without_networks_says_so():
    with pytest.raises(sb.DataError, match="this Study was made from rows alone and holds no networks"):
        synthetic(lambda n, _: 1 / n).function(20, 0)


# -- grids ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid():
    potentials = {"u2": sb.Quadratic(), "u4": sb.Power(4, quadratic=1)}
    return sb.study_grid(sb.StudySpec({"P": PROBLEM}, [20, 80], [0, 3], potentials=potentials, loss_tol=LOOSE))


def test_a_part_of_a_grid_is_the_study_of_its_case(grid, small):
    assert without_seconds(grid.part(potential="u2")) == without_seconds(small)
    assert [part.label for part in grid.parts] == ["P / u2", "P / u4"]
    for names in ({}, {"potential": "u3"}):
        with pytest.raises(sb.DataError, match="part\\(\\) must name one case"):
            grid.part(**names)


def test_tables_of_a_grid_name_their_cases(grid):
    assert grid.table["case"].tolist() == [0] * 4 + [1] * 4
    assert grid.table["sup"].tolist() == [run.sup for part in grid.parts for run in part.rows]
    header, first, *_ = csv.reader(grid.to_csv().splitlines())
    assert header == ["problem", "potential", *Row._fields]
    assert first[:4] == ["P", "u2", "20", "0"]
    assert str(grid).count("error ~ n^s") == 2


def test_a_grid_is_stored_and_loaded_whole(grid, tmp_path):
    path = tmp_path / "grid.sqlite"
    potentials = {"u2": sb.Quadratic(), "u4": sb.Power(4, quadratic=1)}
    spec = sb.StudySpec({"P": PROBLEM}, [20, 80], [0, 3], potentials=potentials, loss_tol=LOOSE)
    sb.study_grid(spec, store=path)
    loaded = StudyGrid.load(path)
    for one, other in zip(loaded.parts, grid.parts, strict=True):
        assert without_seconds(one) == without_seconds(other)
        assert (one.names, one.interval, one.loss_tol, one.method) == (other.names, other.interval, LOOSE, other.method)
        assert one.problem == other.problem
    with pytest.raises(sb.DataError, match="takes a store of one case, got 2"):
        Study.load(path)


def test_the_default_interval_is_a_quarter_wider_on_either_side(small):
    assert small.interval == PROBLEM.default_interval == (-1.5, 1.5)


def test_progress_is_reported_per_run_and_silent_without_a_terminal(capsys):
    seen = []
    sb.study(PROBLEM, [20, 40], [0], loss_tol=0.1, progress=lambda done, total: seen.append((done, total)))
    sb.study(PROBLEM, [20], [0], loss_tol=0.1)
    assert seen == [(1, 2), (2, 2)]
    assert capsys.readouterr().err == ""
    sb.study(PROBLEM, [20], [0], loss_tol=0.1, progress=True)
    assert "study" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"store": "/missing/study.sqlite"}, "the store must be a file in an existing writable folder"),
        ({"scheduler": "tcp://a:1", "jobs": 2}, "`jobs` > 1, `scheduler` and `executor` exclude each other"),
        ({"widths": []}, "`widths` must hold at least one number, got none"),
        ({"widths": 20.5}, "`widths` must hold whole numbers >= 1, got 20.5 at index 0"),
        ({"widths": "20,80"}, "`widths` must be a sequence of whole numbers, got '20,80'"),
        ({"widths": [20, 80, 20]}, "`widths` must be distinct, got 20 more than once"),
        ({"widths": [20, 0]}, "`widths` must hold whole numbers >= 1, got 0 at index 1; use e.g. [20, 60, 180]"),
        ({"widths": [20.5]}, "`widths` must hold whole numbers >= 1, got 20.5 at index 0"),
        ({"seeds": []}, "`seeds` must hold at least one number, got none"),
        ({"seeds": 5}, "`seeds` must be a sequence of whole numbers, got 5; use e.g. [5] or range(5)"),
        ({"seeds": [0, -1]}, "`seeds` must hold whole numbers >= 0, got -1 at index 1; use e.g. [0, 1, 2]"),
        ({"seeds": [1, 1]}, "`seeds` must be distinct, got 1 more than once"),
        ({"seeds": [2**63]}, "`seeds` must be below 2^63, got 9223372036854775808"),
        ({"jobs": 0}, "`jobs` must be a whole number >= 1, got 0"),
        ({"interval": (1, 0)}, "`interval` must be a pair of finite numbers (lo, hi) with lo < hi, got (1, 0)"),
        ({"loss_tol": 0}, "`loss_tol` must be a finite real number > 0, got 0"),
        ({"method": "descent"}, "`method` must be a training method"),
        ({"progress": "bar"}, "`progress` must be None, True, False or a callable(done, total), got 'bar'"),
        ({"problem": None}, "`problem` must be an sb.Problem, got None"),
    ],
)
def test_refusals(arguments, message):
    complete = {"problem": PROBLEM, "widths": [20], "seeds": [0]} | arguments
    with pytest.raises(sb.DataError, match=re.escape(message)):
        sb.study(**complete)


def test_odd_widths_are_refused_for_antisymmetric_pairs():
    law = sb.Initialization(sb.Rademacher(), st.uniform(-2, 4), output=st.norm(0, 0.01))
    with pytest.raises(sb.DataError, match="`widths` must be even for antisymmetric pairs, got 81; use 82"):
        sb.study(sb.Problem(PROBLEM.data, law), [20, 81], [0])


@pytest.mark.nightly
def test_networks_approach_the_limit_at_the_predicted_rate_with_the_predicted_constant():
    """Theory section 10: A, ReLU, quadratic: sup-error on [-1.5, 1.5] times sqrt(n) is 1.164 on average."""
    found = sb.study(PUBLISHED["A"][0], [400, 1600, 6400], range(10), loss_tol=1e-10, jobs=2)
    assert found.summary["failed"].tolist() == [0, 0, 0]
    assert found.rate.low < -0.5 < found.rate.high
    assert found.constant.low < 1.164 < found.constant.high


def test_the_bar_says_how_many_are_done_and_how_many_failed(capsys):
    with reported(True, done=3, total=10) as note:
        note(4, 2)
    text = capsys.readouterr().err
    assert "7/10" in text
    assert "2 failed" in text


def test_no_bar_counts_what_was_there_before():
    seen = []
    with reported(lambda *now: seen.append(now), done=3, total=5) as note:
        note(2, 1)
    assert seen == [(4, 5), (5, 5)]
