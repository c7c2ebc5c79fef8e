"""Points: what is accepted, merged, sorted and refused; their laws of (w, b); problems of several inputs as text."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st

import splinebias as sb

ROWS, VALUES = [[1.0, 0.0], [-1.0, 2.0], [1.0, -3.0]], [1.0, 2.0, 3.0]


def test_rows_are_sorted_and_frozen():
    points = sb.Points(ROWS, VALUES, [1, 2, 3])
    np.testing.assert_array_equal(points.x, [[-1, 2], [1, -3], [1, 0]])
    np.testing.assert_array_equal(points.y, [2, 3, 1])
    np.testing.assert_array_equal(points.weights, [2, 3, 1])
    np.testing.assert_array_equal(points.box, [[-1, 1], [-3, 2]])
    assert (points.size, points.inputs, len(points)) == (3, 2, 3)
    with pytest.raises(ValueError, match="read-only"):
        points.x[0, 0] = 1.0
    assert points == sb.Points(ROWS[::-1], VALUES[::-1], [3, 2, 1])
    assert hash(points) == hash(sb.Points(ROWS[::-1], VALUES[::-1], [3, 2, 1]))
    assert points != sb.Points(ROWS, VALUES)


def test_duplicates_are_merged_and_replicates_averaged():
    merged = sb.Points([*ROWS, [1.0, -0.0]], [*VALUES, 1.0], [1, 2, 3, 5])
    np.testing.assert_array_equal(merged.weights, [2, 3, 6])
    with pytest.raises(sb.DataError, match="average replicates: Points.from_replicates"):
        sb.Points([*ROWS, ROWS[1]], [*VALUES, 4.0])
    averaged = sb.Points.from_replicates([*ROWS, ROWS[1], ROWS[1]], [*VALUES, 4.0, 6.0])
    np.testing.assert_array_equal(averaged.y, [4, 3, 1])
    np.testing.assert_array_equal(averaged.weights, [3, 1, 1])


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        ([1.0, 2.0], [1, 2], "sb.Dataset"),
        (np.zeros((2, 2, 2)), [1, 2], r"matrix of shape \(M, d\)"),
        ([[1.0, 2.0], [3.0]], [1, 2], "rows of different lengths"),
        ([[1.0, np.nan], [3.0, 4.0]], [1, 2], "finite"),
        ([[1.0, 2.0], [3.0, 4.0]], [1, np.inf], "finite"),
        ([[1.0, 2.0], [3.0, 4.0]], [1, 2, 3], "one length"),
        ([["a", "b"], ["c", "d"]], [1, 2], "real numbers"),
        ([[1j, 2], [3, 4]], [1, 2], "real numbers"),
        ([[1.0, 2.0], [1.0, 2.0]], [1, 1], "2 distinct points"),
        (np.zeros((0, 2)), [], "2 distinct points"),
    ],
)
def test_what_is_no_set_of_points_is_refused(x, y, match):
    with pytest.raises(sb.DataError, match=match):
        sb.Points(x, y)


def test_masked_points_and_weights_of_zero_are_left_out_aloud():
    x = np.ma.array(np.arange(8.0).reshape(4, 2), mask=np.eye(4, 2))
    with pytest.warns(UserWarning, match="2 of 4 points are masked and left out") as said:
        assert sb.Points(x, [1, 2, 3, 4]) == sb.Points([[4, 5], [6, 7]], [3, 4])
    assert said[0].filename == __file__
    for make in (sb.Points, sb.Points.from_replicates):
        with pytest.warns(UserWarning, match="1 of 3 points have weight 0 and are left out"):
            assert make([[0, 0], [1, 0], [0, 1]], [1, 2, 3], [1, 0, 2]) == sb.Points([[0, 0], [0, 1]], [1, 3], [1, 2])
    with pytest.raises(sb.DataError, match="`weights` must be 3 numbers >= 0, got 3 with minimum -1; drop points"):
        sb.Points([[0, 0], [1, 0], [0, 1]], [1, 2, 3], [1, -1, 2])


def test_frames_have_weights():
    frame = pd.DataFrame({"a": [0, 1, 0], "b": [0, 0, 1], "y": [1.0, 2.0, 3.0], "n": [3, 1, 2]})
    found = sb.Points.from_dataframe(frame, x=["a", "b"], weights="n")
    assert found == sb.Points(frame[["a", "b"]].to_numpy(), frame["y"], frame["n"])
    with pytest.raises(sb.DataError, match="column 'c' must stand once in the frame, got a, b, y, n"):
        sb.Points.from_dataframe(frame, x=["a", "c"])


def test_columns_of_files_and_frames(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("y,a,b\n1,1,0\n2,-1,2\n3,1,-3\n")
    assert sb.Points.from_csv(path, x=["a", "b"]) == sb.Points(ROWS, VALUES)
    with pytest.raises(sb.DataError, match="'c' is missing"):
        sb.Points.from_csv(path, x=["a", "c"])
    with pytest.raises(sb.DataError, match="names of the columns"):
        sb.Points.from_csv(path, x="a")
    (tmp_path / "bad.csv").write_text("y,a,b\n1,1,0\n2,-1,two\n")
    with pytest.raises(sb.DataError, match="line 3 .* 3 numbers"):
        sb.Points.from_csv(tmp_path / "bad.csv", x=["a", "b"])
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, -1, 1], "b": [0.0, 2.0, -3.0], "z": VALUES})
    assert sb.Points.from_dataframe(frame, x=["a", "b"], y="z") == sb.Points(ROWS, VALUES)
    with pytest.raises(sb.DataError, match="column 'y' must stand once in the frame, got a, b, z"):
        sb.Points.from_dataframe(frame, x=["a", "b"])


LAWS = {
    "sphere": sb.Initialization.sphere(st.uniform(-1, 2), dim=3),
    "gaussian": sb.Initialization.gaussian(2.0, 0.5, dim=3),
    "pytorch_default": sb.Initialization.pytorch_default(dim=3, both_layers=True),
    "coordinates": sb.Initialization.coordinates(sb.Rademacher(), st.laplace(), st.norm(), dim=3),
}


@pytest.mark.parametrize("law", LAWS)
def test_problems_of_several_inputs_are_written_and_read(law, tmp_path):
    points = sb.Points(np.random.default_rng(0).standard_normal((4, 3)), [1, 2, 3, 4.5], [1, 2, 1, 1])
    problem = sb.Problem(points, LAWS[law], affine="free")
    read = sb.Problem.from_toml(problem.to_toml(tmp_path / "problem.toml"))
    assert read.data == points
    assert read.initialization == problem.initialization
    (tmp_path / "points.csv").write_text("a,b,c,y\n1,2,3,4\n5,6,7,8\n")
    text = problem.to_toml()
    head = text[: text.index("[data]")]
    tail = text[text.index("[initialization") :]
    (tmp_path / "named.toml").write_text(f'{head}[data]\ncsv = "points.csv"\nx = ["a", "b", "c"]\n{tail}')
    read = sb.Problem.from_toml(tmp_path / "named.toml")
    np.testing.assert_array_equal(read.data.x, [[1, 2, 3], [5, 6, 7]])


@pytest.mark.parametrize("law", LAWS)
def test_units_have_the_moments_of_their_law(law):
    init = LAWS[law]
    w, b, a = init.sample(20_000, np.random.default_rng(0))
    assert w.shape == (20_000, 3)
    assert b.shape == a.shape == (20_000,)
    second_w, second_b = init.second_moments
    np.testing.assert_allclose(w.T @ w / 20_000, second_w * np.eye(3), atol=0.05 * second_w)
    assert (b**2).mean() == pytest.approx(second_b, rel=0.05)
    assert np.abs(w.T @ b / 20_000).max() < 0.05 * np.sqrt(second_w * second_b)


def test_antisymmetric_pairs_share_rows():
    w, b, a = sb.Initialization.sphere(st.uniform(-1, 2), st.norm(), dim=2).sample(6, np.random.default_rng(0))
    np.testing.assert_array_equal(w[::2], w[1::2])
    np.testing.assert_array_equal(b[::2], b[1::2])
    np.testing.assert_array_equal(a[::2], -a[1::2])


class Draws:
    """Units by a function of width and rng."""

    def __init__(self, sample):
        self.sample = sample


@pytest.mark.parametrize(
    ("sample", "match"),
    [
        (lambda n, rng: (rng.standard_cauchy((n, 2)), rng.standard_normal(n)), "`w` with a finite second moment"),
        (lambda n, rng: (rng.standard_normal((n, 2)), rng.standard_t(1.2, n)), "`b` with a finite second moment"),
        (lambda n, rng: (rng.standard_normal((n, 1)), rng.standard_normal(n)), "d >= 2"),
        (lambda n, rng: (rng.standard_normal((n, 2)), rng.standard_normal(n + 1)), "of shape"),
        (lambda n, rng: (np.full((n, 2), np.nan), rng.standard_normal(n)), "finite numbers"),
        (lambda n: None, "sample"),
    ],
)
def test_samplers_are_tried(sample, match):
    with pytest.raises(sb.DataError, match=match):
        sb.Initialization.from_sampler(Draws(sample))


def test_samplers_without_a_sample_and_laws_without_moments_are_refused():
    with pytest.raises(sb.DataError, match="sample"):
        sb.Initialization.from_sampler(3)
    with pytest.raises(sb.DataError, match="second moment"):
        sb.Initialization.sphere(st.cauchy(), dim=2)
    with pytest.raises(sb.DataError, match="second moment"):
        sb.Initialization.coordinates(st.t(1.5), st.norm(), dim=2)
    with pytest.raises(sb.DataError, match="whole number >= 1"):
        sb.Initialization.gaussian(dim=0)


@pytest.mark.parametrize("name", ["zeta", "zeta_plus", "zeta_minus", "curvature_penalty", "breakpoint_density"])
def test_what_has_an_axis_of_breakpoints_refuses_by_name(name):
    with pytest.raises(sb.CapabilityError, match="breakpoints -b/w"):
        getattr(LAWS["sphere"], name)(0.0)
