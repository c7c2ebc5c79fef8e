"""Dataset: sorting, grouping, reading; every refusal names the rule."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import splinebias as sb


def test_points_are_sorted_copied_and_read_only():
    x, y = np.array([2.0, -1.0, 0.5]), np.array([20.0, -10.0, 5.0])
    data = sb.Dataset(x, y, [3, 1, 2])
    x[0] = 99.0
    np.testing.assert_array_equal(data.x, [-1, 0.5, 2])
    np.testing.assert_array_equal(data.y, [-10, 5, 20])
    np.testing.assert_array_equal(data.weights, [1, 2, 3])
    assert (data.size, data.span) == (3, (-1.0, 2.0))
    for array in (data.x, data.y, data.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_order_of_points_does_not_matter():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20))
    order = rng.permutation(20)
    assert sb.Dataset(x, y) == sb.Dataset(x[order], y[order])
    assert hash(sb.Dataset(x, y)) == hash(sb.Dataset(x[order], y[order]))
    assert sb.Dataset(x, y) != sb.Dataset(x, y + 1)


def test_integers_and_lists_are_taken():
    assert sb.Dataset([0, 1], [2, 3]) == sb.Dataset(np.array([0.0, 1.0]), np.array([2.0, 3.0], dtype=np.float32))


def test_masked_arrays_without_masked_entries_are_arrays():
    assert sb.Dataset(np.ma.array([0, 1], mask=[0, 0]), [2, 3]) == sb.Dataset([0, 1], [2, 3])


def test_data_show_themselves_in_one_short_line():
    assert repr(sb.Dataset(np.arange(1000), np.arange(1000))) == "Dataset(1000 points on [0, 999])"
    assert repr(sb.Dataset([0, 0.5], [0, 1], [1, 3])) == "Dataset(2 points on [0, 0.5], weights 1 to 3)"


def test_exact_duplicates_are_one_point_with_their_weights_added():
    assert sb.Dataset([0, 1, 1], [2, 3, 3]) == sb.Dataset([0, 1], [2, 3], [1, 2])


def test_replicates_become_means_with_counts():
    data = sb.Dataset.from_replicates([1, 0, 1, 1, 2], [3, 7, 5, 4, 0])
    np.testing.assert_array_equal(data.x, [0, 1, 2])
    np.testing.assert_allclose(data.y, [7, 4, 0], rtol=1e-15)
    np.testing.assert_array_equal(data.weights, [1, 3, 1])


def test_grouping_keeps_the_gradient_of_the_loss():
    """sum over replicates of (f - y) = weight (f - mean), for any value f at the point."""
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 5, 40).astype(float), rng.normal(size=40)
    data = sb.Dataset.from_replicates(x, y)
    f = rng.normal(size=data.size)
    each = [(f[i] - y[x == data.x[i]]).sum() for i in range(data.size)]
    np.testing.assert_allclose(data.weights * (f - data.y), each, atol=1e-13)


def test_mean_of_equal_ordinates_is_exact():
    assert sb.Dataset.from_replicates([0, 1, 1, 1], [0.0, 0.1, 0.1, 0.1]).y[1] == 0.1


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, np.nan], [0, 1], "`x` must be finite, got nan at index 1; drop or impute"),
        ([0, 1], [np.inf, 1], "`y` must be finite, got inf at index 0"),
        ([0, 1j], [0, 1], "`x` must hold real numbers, got dtype complex128"),
        (["0", "1"], [0, 1], "`x` must hold real numbers, got dtype <U1"),
        ([0, 1], [True, False], "`y` must hold real numbers, got dtype bool"),
        ([0, 1], [None, 1], "`y` must hold real numbers, got dtype object"),
        ([[0, 1]], [0, 1], r"`x` must be one-dimensional, got shape \(1, 2\)"),
        (0.0, 1.0, r"`x` must be one-dimensional, got shape \(\)"),
        ([0, 1, 2], [0, 1], "`x` and `y` must have one length, got 3 and 2"),
        ([1], [1], "at least 2 distinct points are needed, got 1"),
        ([], [], "at least 2 distinct points are needed, got 0"),
        ([1, 1], [2, 2], "at least 2 distinct points are needed, got 1"),
        (
            [0, 1, 1],
            [0, 2, 3],
            r"equal `x` must have equal `y`, got x = 1 with y = 2 and 3; average replicates: Dataset.from_replicates",
        ),
    ],
)
def test_bad_points_are_refused(x, y, message):
    with pytest.raises(sb.DataError, match=message):
        sb.Dataset(x, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "`weights` must be 2 numbers >= 0, got 1"),
        ([1, -1], "minimum -1"),
        ([1, np.nan], "`weights` must be finite"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(sb.DataError, match=message):
        sb.Dataset([0, 1], [0, 1], weights)


def test_ragged_points_are_refused():
    with pytest.raises(sb.DataError, match="`x` must"):
        sb.Dataset([[0, 1], [2]], [0, 1])


def test_replicates_are_checked_like_points():
    with pytest.raises(sb.DataError, match="one length, got 2 and 1"):
        sb.Dataset.from_replicates([0, 1], [0])
    with pytest.raises(sb.DataError, match="at least 2 distinct points"):
        sb.Dataset.from_replicates([1, 1], [0, 2])


def test_csv_columns_are_read_by_name(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("\ufefftime,note,value\n1,a,10\n0,b,5\n1,c,20\n", encoding="utf-8")
    data = sb.Dataset.from_csv(path, x="time", y="value", replicates=True)
    assert data == sb.Dataset([0, 1], [5, 15], [1, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,z\n0,1\n", "column 'y' is missing in .*; it has x, z"),
        ("", "column 'x' is missing in .*; it has no header"),
        ("x;y\n0,5;1\n1,5;2\n", "column 'x' is missing in .*; it has semicolons between its fields; write commas there"),
        ("x\ty\n0\t1\n1\t2\n", "column 'x' is missing in .*; it has tabs between its fields; write commas there"),
        ("0,1\n1,2\n", "column 'x' is missing in .*; it has numbers in its first line; write a line with the names"),
        ("x,y\n0,1\n1,one\n", r"line 3 of .* must hold two numbers, got '1', 'one';"),
        ("x,y\n0,1\n1\n", "line 3 of .* must hold two numbers"),
        ("x,y\n0,1\n1,nan\n", "`y` must be finite"),
        ("x,y\n0,1\n", "at least 2 distinct points"),
        ("x,y\n0,1\n0,2\n", "equal `x` must have equal `y`"),
    ],
)
def test_bad_csv_is_refused(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(sb.DataError, match=message):
        sb.Dataset.from_csv(path)


@pytest.mark.parametrize("path", [None, 3, b"points.csv"])
def test_paths_are_names(path):
    with pytest.raises(sb.DataError, match="`path` must be the name of a CSV file, got"):
        sb.Dataset.from_csv(path)


def test_unreadable_csv_is_refused(tmp_path):
    message = "cannot read the data file .*missing.csv: No such file or directory; check the path$"
    with pytest.raises(sb.DataError, match=message):
        sb.Dataset.from_csv(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(sb.DataError, match="cannot read the data file .*binary.csv: 'utf-8' .*; save it as UTF-8$"):
        sb.Dataset.from_csv(tmp_path / "binary.csv")


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("x,y,x\n0,1,5\n1,2,6\n")
    with pytest.raises(sb.DataError, match="column 'x' stands 2 times in the header of .*twice.csv; rename one"):
        sb.Dataset.from_csv(path)
    path.write_text("x,y,z,z\n0,1,5,5\n1,2,6,6\n")  # of others it does not matter
    assert sb.Dataset.from_csv(path).size == 2


def test_line_numbers_are_those_of_the_file(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text('x,y,note\n0,1,"two\nlines"\n\n\n1,oops,\n')
    with pytest.raises(sb.DataError, match="line 6 of .*gaps.csv must hold two numbers, got '1', 'oops';"):
        sb.Dataset.from_csv(path)


@pytest.mark.parametrize(
    "content",
    [
        "root:x:0:0:secret:/root\ndaemon:x:1:1\n",
        "secret, words, of, others\nand, more, of, them\n",
        "secret\n1\n",
        "secret,a;b\nc;d,e\n",
    ],
)
def test_a_file_that_is_no_table_is_refused_without_a_word_of_it(content, tmp_path):
    (tmp_path / "file").write_text(content)
    with pytest.raises(
        sb.DataError, match="column 'x' is missing in .*; it has no header above lines of numbers"
    ) as refusal:
        sb.Dataset.from_csv(tmp_path / "file")
    assert "secret" not in str(refusal.value)


def test_cells_that_are_no_numbers_are_shown_shortened(tmp_path):
    (tmp_path / "file").write_text("x,y\n0,1\n1," + "a" * 1000 + "\n")
    with pytest.raises(sb.DataError, match="line 3 of .* must hold two numbers, got '1', 'a{20}'; mend that line"):
        sb.Dataset.from_csv(tmp_path / "file")


def test_a_header_alone_holds_no_points(tmp_path):
    (tmp_path / "file").write_text("x,y\n")
    with pytest.raises(sb.DataError, match="at least 2 distinct points are needed"):
        sb.Dataset.from_csv(tmp_path / "file", replicates=True)


# -- columns as they come ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, torch.tensor, lambda v: torch.tensor(v, requires_grad=True), list, pd.Series])
def test_whatever_holds_numbers_is_a_column(make):
    x, y = [0.0, 1.0, 3.0], [1.0, 0.5, 0.25]
    assert sb.Dataset(make(x), make(y), make([1.0, 2.0, 1.0])) == sb.Dataset(x, y, [1, 2, 1])


def test_tables_of_one_column_are_vectors_and_others_are_refused():
    x = np.arange(4.0)
    flat = sb.Dataset(x, x**2)
    assert sb.Dataset(x[:, None], x[:, None] ** 2) == sb.Dataset(torch.tensor(x)[:, None], x**2) == flat
    assert sb.Dataset([[0.0], [1.0], [2.0], [3.0]], x**2) == sb.Dataset(pd.DataFrame({"t": x}), x**2) == flat
    with pytest.raises(sb.DataError, match=r"`x` must be one-dimensional, got shape \(2, 2\)"):
        sb.Dataset(np.ones((2, 2)), [0, 1])


def test_half_precision_tensors_are_taken():
    assert sb.Dataset(torch.tensor([0.0, 0.5], dtype=torch.bfloat16), [0, 1]) == sb.Dataset([0, 0.5], [0, 1])


@pytest.mark.parametrize("make", [sb.Dataset, sb.Dataset.from_replicates])
def test_masked_points_and_weights_of_zero_are_left_out_aloud(make):
    x = np.ma.array([0.0, 1.0, 2.0, 3.0], mask=[0, 1, 0, 0])
    y = np.ma.array([0.0, 1.0, np.nan, 3.0], mask=[0, 0, 1, 0])
    with pytest.warns(UserWarning, match="2 of 4 points are masked and left out") as said:
        assert make(x, y) == sb.Dataset([0, 3], [0, 3])
    assert said[0].filename == __file__
    with pytest.warns(UserWarning, match="1 of 3 points have weight 0 and are left out") as said:
        assert make([0, 1, 2], [5, 6, 7], [1, 0, 2]) == sb.Dataset([0, 2], [5, 7], [1, 2])
    assert said[0].filename == __file__
    with pytest.warns(UserWarning, match="masked"), pytest.raises(sb.DataError, match="at least 2 distinct points"):
        make(x[:2], y[:2])


def test_replicates_take_weights():
    data = sb.Dataset.from_replicates([1, 0, 1], [3, 7, 6], [2, 5, 1])
    assert data == sb.Dataset([0, 1], [7, 4], [5, 3])
    twice = sb.Dataset.from_replicates([1, 0, 1, 1], [3, 7, 6, 3])
    np.testing.assert_allclose(twice.y, data.y, rtol=1e-15)


@pytest.mark.parametrize("kind", [pd.DataFrame, lambda columns: pd.DataFrame(columns).convert_dtypes()])
def test_frames_are_read_by_name(kind):
    frame = kind({"t": [1, 0, 1], "v": [3.0, 7.0, 6.0], "n": [2, 5, 1]})
    data = sb.Dataset.from_dataframe(frame, x="t", y="v", weights="n", replicates=True)
    assert data == sb.Dataset([0, 1], [7, 4], [5, 3])
    with pytest.raises(sb.DataError, match="column 'tt' must stand once in the frame, got t, v, n; did you mean"):
        sb.Dataset.from_dataframe(frame, x="tt", y="v")
    with pytest.raises(sb.DataError, match="equal `x` must have equal `y`, got x = 1 with"):
        sb.Dataset.from_dataframe(frame, x="t", y="v")


def test_frames_with_gaps_or_words_are_refused():
    gaps = pd.DataFrame({"x": [0, 1, 2], "y": [0.0, None, 1.0]})
    with pytest.raises(sb.DataError, match="`y` must be finite, got nan at index 1"):
        sb.Dataset.from_dataframe(gaps)
    with pytest.raises(sb.DataError, match=r"column 'y' must hold numbers, got entries .*frame.dropna"):
        sb.Dataset.from_dataframe(pd.DataFrame({"x": [0, 1], "y": [pd.NA, 1]}))
    with pytest.raises(sb.DataError, match="column 'y' must hold numbers"):
        sb.Dataset.from_dataframe(pd.DataFrame({"x": [0, 1], "y": ["a", "b"]}))
    with pytest.raises(sb.DataError, match="`frame` must be a DataFrame with columns, got list"):
        sb.Dataset.from_dataframe([[0, 1]])


def test_dates_are_refused_with_the_way_to_numbers():
    days = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]")
    with pytest.raises(sb.DataError, match="`x` must hold numbers, got dates or durations; subtract the first one"):
        sb.Dataset(days, [0, 1])


def test_points_that_rounding_made_equal_are_explained():
    seconds = 1.49917e9 + np.array([0.0, 20.0, 400.0])
    for rounded in (seconds.astype(np.float32), torch.tensor(seconds, dtype=torch.float32)):
        with pytest.raises(sb.DataError, match=r"got x = 1499170048 with .*float32 near 1.49917e\+09 are 128 apart"):
            sb.Dataset(rounded, [0, 1, 2])
    assert sb.Dataset(seconds, [0, 1, 2]).size == 3
    nanoseconds = 1_499_170_000_000_000_000 + np.array([0, 20, 10_000])
    with pytest.raises(sb.DataError, match="numbers of int64 near 1.49917e\\+18 are 256 apart"):
        sb.Dataset(nanoseconds, [0, 1, 2])
    with pytest.raises(sb.DataError, match="in files$"):  # where nothing was rounded, nothing is said of it
        sb.Dataset([0.5, 0.5, 2], [0, 1, 2])


# -- published sets ---------------------------------------------------------------------------------------------------


def test_published_sets_are_those_of_the_files():
    folder = Path(__file__).parent.parent / "experiments" / "data"
    for made, name in ((sb.datasets.liang_montufar_a(), "a"), (sb.datasets.liang_montufar_b(), "b")):
        assert made == sb.Dataset.from_csv(folder / f"liang_montufar_{name}.csv")
    titanium = sb.Dataset.from_csv(folder / "titanium.csv", x="temperature", y="property")
    assert sb.datasets.titanium() == titanium
    mcycle = sb.Dataset.from_csv(folder / "mcycle.csv", x="time", y="acceleration", replicates=True)
    assert sb.datasets.mcycle() == mcycle
    assert (mcycle.size, mcycle.weights.sum()) == (94, 133)
    np.testing.assert_allclose(sb.datasets.liang_montufar_a(-3.5).y + 3.5, sb.datasets.liang_montufar_a().y, rtol=1e-14)
