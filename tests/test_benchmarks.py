"""The tables of benchmarks/README.md: every one has its place, and nothing else in the file is touched."""

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import bench_study
from benchmarks._timing import duration, paired, peak_bytes, ratio, table, times

TEXT = command.README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", command._TABLES)
def test_every_table_has_its_place(name):
    once = command.placed(TEXT, name, "| a table |")
    assert once.count("| a table |") == 1
    assert command.placed(once, name, "| another |") == command.placed(TEXT, name, "| another |")
    start, end = TEXT.index(f"<!-- {name} -->"), TEXT.index(f"<!-- end of {name} -->")
    assert once.startswith(TEXT[:start])
    assert once.endswith(TEXT[end:])


def test_a_missing_marker_is_said():
    with pytest.raises(ValueError, match="README.md must have the lines '<!-- path -->"):
        command.placed("# Benchmarks\n", "path", "")


def test_measuring_calls_take_turns_and_the_first_round_is_dropped():
    order = []
    seconds = paired(2, lambda: order.append("ours"), lambda: order.append("other"))
    assert order == ["ours", "other"] * 3
    assert seconds.shape == (2, 2)
    assert (seconds > 0).all()


def test_the_ratio_is_that_of_the_rounds():
    assert ratio(np.array([[1.0, 3.0], [10.0, 20.0], [2.0, 4.0]]), 1) == 2


def test_memory_is_the_peak_of_the_call():
    assert 8e6 <= peak_bytes(lambda: np.zeros(1_000_000).sum()) < 8.1e6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(123.4, "120 s"), (1.04, "1 s"), (0.9996, "1 s"), (0.0123, "12 ms"), (4.56e-5, "46 µs"), (7.89e-7, "790 ns")],
)
def test_durations_have_two_digits_and_a_unit(seconds, text):
    assert duration(seconds) == text


def test_tables_are_markdown():
    text = table(["what", "ratio"], [["a", times(12.34)], ["b", times(0.4321)]])
    assert text.splitlines() == ["| what | ratio |", "|---|---:|", "| a | 12 |", "| b | 0.43 |"]


@pytest.mark.nightly
def test_a_study_is_measured_from_the_start_of_its_interpreter():
    """CPU times only, which other work on the machine leaves in their order: who trains spends most, imports included."""
    one, two = bench_study.run(1, 1), bench_study.run(1, 2)
    assert one.workers == 0
    assert 0 < one.call < one.coordinator
    assert two.call < one.call  # which trains
    assert two.workers > two.coordinator
    text = bench_study.tabulate(full=False)
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == ["1, 96 runs", "2, 96 runs"]
