"""Dataset: sorting, grouping, reading; every refusal names the rule."""

import numpy as np
import pytest

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
        (np.ma.array([0, 1, 2], mask=[0, 1, 0]), [0, 1, 2], "`x` must have no masked entries, got 1; drop those points"),
        ([0, 1, 2], np.ma.array([0, 1, 2], mask=True), "`y` must have no masked entries, got 3"),
    ],
)
def test_bad_points_are_refused(x, y, message):
    with pytest.raises(sb.DataError, match=message):
        sb.Dataset(x, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "`weights` must be 2 positive numbers, got 1"),
        ([1, 0], "`weights` must be 2 positive numbers, got 2 with minimum 0"),
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
    "content", ["root:x:0:0:secret:/root\ndaemon:x:1:1\n", "secret, words, of, others\nand, more, of, them\n", "secret\n1\n"]
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
