"""Results are functions, draw themselves, print themselves in a line, and go to pandas."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import splinebias as sb
from splinebias._result import Drawn, Printed
from splinebias.studies.results import Row, Study, StudyGrid
from splinebias.studies.same_limit import LimitComparison

DATA = sb.Dataset([-1, 0, 1], [0, 1, 0])
PROBLEM = sb.Problem(DATA, sb.Initialization.rademacher(st.uniform(-2, 4)))
RANDOM = sb.Problem(DATA, sb.Initialization.pytorch_default(both_layers=True))
LIMIT = sb.predict(PROBLEM)
NOISY = sb.Problem(sb.Dataset(range(8), [0, 1, 0, 2, 1, 3, 2, 4]), sb.Initialization.gaussian())
PLANE = sb.predict(sb.Problem(sb.Points([[0, 0], [1, 0], [0, 1]], [0, 1, 1]), sb.Initialization.gaussian(dim=2)))
RESCALING = sb.rescaled(NOISY)
RICH = PROBLEM.replace(parameterization=sb.MeanField(1.0))
X = np.linspace(-1.4, 1.4, 8)


def row(width, seed, sup):
    return Row(width, seed, sup, sup, 0.0, LIMIT.penalty, 1e-12, 10, 1.0, 0.1, "CONVERGED")


STUDY = Study(LIMIT, (-1.5, 1.5), 1e-12, tuple(row(width, seed, width**-0.5) for width in (25, 100) for seed in (0, 1)))


@pytest.fixture(scope="module")
def results():
    runs = sb.train_ensemble(PROBLEM, 30, range(3), loss_tol=1e-3)
    return {
        "prediction": LIMIT,
        "early": sb.predict(PROBLEM, time=10.0),
        "started": sb.predict(PROBLEM, start=np.cos),
        "run": runs[0],
        "ensemble": runs,
        "path": sb.predict_path(PROBLEM, [10, 0, np.inf, 1]),
        "band": sb.error_band(PROBLEM, 400, draws=200),
        "start process": sb.start_process(RANDOM),
        "diagnosis": sb.diagnose(runs[0]),
        "least norm": sb.minimum_norm(DATA),
        "report": sb.diagnose(runs[0].network, PROBLEM),
        "laziness": sb.laziness(PROBLEM, 400),
        "weight decay": sb.weight_decay_path(sb.Dataset([-1, 0, 1, 2], [0, 1, 0, 2])),
        "network norm": sb.network_norm(([1, 1], [0, -1], [1, 1]), sb.Dataset([-1, 0, 1, 2], [0, 0, 1, 3])),
        "sparse limit": sb.sparse_limit(PROBLEM),
        "comparison": sb.compare(runs[0], LIMIT),
        "comparison on a box": sb.compare(PLANE, lambda x: x[..., 0] * x[..., 1], [(-1, 1), (0, 2)]),
        "required width": sb.required_width(PROBLEM, 0.1, draws=200),
        "band of points": sb.error_band(PLANE.problem, 400, draws=100),
        "agreement": sb.agreement(STUDY, draws=200),
        "adaptive measures": sb.adaptive_measures(
            sb.train(sb.adaptive_problem(DATA, 1.0, 0.0), 20, loss_tol=1e-2, method=sb.NeuronFlow(time=5.0))
        ),
        "orientations": sb.condensed_orientations(sb.Dataset([-1, 0, 1, 2], [1, -1, 1, 0.5]), sb.ReLU()),
        "alignment margin": sb.alignment_margin([0.3, 0.5, 1.0, -1.0], [1, -1, 1, -1]),
        "bias kernel": sb.bias_generalized_kernel([-1.0, 0.0, 0.3, 1.0], 1.0),
        "training time": sb.gcv_time(NOISY),
        "regularization": sb.gcv_regularization(NOISY),
        "restored": RESCALING.restored(sb.predict(RESCALING.problem)),
        "fluctuations": sb.fluctuations(RICH, [0.5], particles=64, tolerance=1.0),
        "study": STUDY,
        "grid": StudyGrid((replace(STUDY, names={"a": "1"}), replace(STUDY, names={"a": "2"}))),
    }


PICTURELESS = {  # what they say is a few numbers
    "limit comparison": LimitComparison(0.3, STUDY.constant, STUDY.constant, 9, (25, 100)),
    "verdict": sb.Verdict("X rate", "errors fall", "a paper", (), "exponent", -0.5, -0.46, 0.05),
    "rescaling": RESCALING,
    "orientations of points": sb.condensed_orientations(PLANE.problem.data, sb.Tanh()),
}
NAMES = (
    "prediction",
    "early",
    "started",
    "run",
    "ensemble",
    "path",
    "band",
    "start process",
    "diagnosis",
    "least norm",
    "report",
    "laziness",
    "weight decay",
    "network norm",
    "sparse limit",
    "comparison",
    "comparison on a box",
    "required width",
    "band of points",
    "agreement",
    "adaptive measures",
    "orientations",
    "alignment margin",
    "bias kernel",
    "training time",
    "regularization",
    "restored",
    "fluctuations",
    "study",
    "grid",
)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def axes():
    return Figure().subplots()


def labels(ax):
    return [text for text in ax.get_legend_handles_labels()[1] if text]


@pytest.mark.parametrize("name", NAMES)
def test_results_draw_themselves(results, name):
    drawn = results[name].plot()
    assert isinstance(drawn, Axes)
    assert drawn.get_legend() is not None
    given = axes()
    assert results[name].plot(given) is given is sb.plot(results[name], given)
    assert given.get_legend() is None or name == "grid"
    assert given.get_xlabel()
    assert given.get_ylabel()


@pytest.mark.parametrize("name", NAMES)
def test_results_print_a_short_line_and_show_a_small_picture(results, name):
    text = repr(results[name])
    assert len(text) < 260
    assert "array(" not in text and "\n" not in text
    assert not any(sum(map(str.isdigit, word)) > 9 for word in text.replace("e-", " ").split())
    page = results[name]._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert len(page) < 80_000


def test_laws_of_largest_errors_print_a_short_line(results):
    for band in (results["band"], results["band of points"]):
        for law in (band.largest, band.drawn_errors):
            assert len(repr(law)) < 80 and f"{len(law.points)} points" in repr(law)


@pytest.mark.parametrize("name", PICTURELESS)
def test_what_has_no_picture_prints_a_short_line_and_shows_its_text(name):
    result = PICTURELESS[name]
    assert len(repr(result)) < 260 and "array(" not in repr(result) and "\n" not in repr(result)
    assert result._repr_html_().startswith("<pre")
    with pytest.raises(sb.DataError, match=f"`result` must be a .* got {type(result).__name__}"):
        sb.plot(result)


def test_every_public_class_of_results_is_among_those_tested(results):
    """And whatever is returned by a public function is a result."""
    kinds = {kind for name in sb.__all__ if isinstance(kind := getattr(sb, name), type) and issubclass(kind, Printed)}
    tested = {type(result) for result in [*results.values(), *PICTURELESS.values()]}
    with_tests_of_their_own = {
        sb.Alignment,
        sb.Condensation,
        sb.LargeBias,
        sb.LargeBiasWidths,
        sb.MeanFieldDescent,
        sb.SmallStart,
    }
    assert kinds - with_tests_of_their_own <= tested
    assert all(issubclass(kind, Drawn) for kind in {type(result) for result in results.values()})
    made = {
        kind
        for name in sb.__all__
        if inspect.isfunction(verb := getattr(sb, name))
        for kind in re.findall(r"\w+", str(inspect.signature(verb).return_annotation))
    }
    no_results = {"Problem", "Network"}
    unseen = {kind for name in made - no_results if isinstance(kind := getattr(sb, name, None), type)} - kinds
    assert not unseen, f"{unseen} must derive from splinebias._result.Drawn or Printed"


@pytest.mark.parametrize("name", ["prediction", "early", "started", "run", "least norm", "sparse limit"])
def test_results_are_their_functions(results, name):
    result = results[name]
    np.testing.assert_array_equal(result(X), result.function(X))
    if name != "started":  # np.cos has no derivatives
        np.testing.assert_array_equal(result(X, 1), result.function(X, nu=1))
    frame = result.to_frame([0.5, -1.0])
    assert list(frame.columns) == ["x", "f"]
    np.testing.assert_array_equal(frame["f"], result(np.array([0.5, -1.0])))
    assert set(DATA.x) <= set(result.to_frame()["x"])


def test_paths_ensembles_bands_and_starts_are_tables(results):
    path, ensemble = results["path"].to_frame(X), results["ensemble"].to_frame()
    np.testing.assert_array_equal(path.query("time == 10")["f"], results["path"].predictions[0](X))
    assert len(path) == 4 * X.size
    np.testing.assert_array_equal(results["ensemble"](X)[1], results["ensemble"][1](X))
    assert list(ensemble["seed"]) == [0, 1, 2]
    assert set(ensemble["outcome"]) == {"CONVERGED"}
    band, law = results["band"].to_frame(X), results["start process"].to_frame(X)
    np.testing.assert_array_equal(band["std"], results["band"].std(X))
    np.testing.assert_array_equal(law["mean"], results["start process"].mean(X))
    assert list(results["diagnosis"].to_frame()["name"])[-1] == results["diagnosis"].total.name
    assert len(STUDY.to_frame()) == 4 == len(STUDY.to_dataframe())
    lazy, decay = results["laziness"].to_frame(), results["weight decay"].to_frame()
    assert lazy["movement"].is_monotonic_increasing and lazy["movement"].iloc[4] == results["laziness"].quantile(0.5)
    np.testing.assert_allclose(decay["loss"], results["weight decay"].losses(decay["strength"]))
    assert list(decay["degrees_of_freedom"]) == results["weight decay"].degrees_of_freedom[1:].tolist()
    assert list(results["run"].history.to_frame().columns) == ["steps", "loss", "time"]


def test_without_pandas_tables_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sb.CapabilityError, match="a DataFrame needs pandas, which is not installed; pip install pandas"):
        LIMIT.to_frame()


def test_functions_that_share_axes_differ_in_look_and_label():
    others = [replace(PROBLEM, activation=sb.Abs()), replace(PROBLEM, affine="free")]
    ax = LIMIT.plot(axes())
    assert labels(ax) == ["infinite-width limit", "data"]
    for problem in others:
        sb.predict(problem).plot(ax)
    lines = [line for line in ax.get_lines() if "limit" in line.get_label()]
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    assert len(lines) == len(looks) == 3
    found = [" ".join(line.get_label().split()) for line in lines]
    assert found == [
        f"infinite-width limit, {activation}, {affine}"
        for activation, affine in (
            ("ReLU()", "affine part of the network"),
            ("Abs()", "affine part of the network"),
            ("ReLU()", "free affine part"),
        )
    ]
    assert labels(ax).count("data") == 1


def test_equal_functions_are_numbered_and_names_of_ones_own_are_kept():
    ax = axes()
    LIMIT.plot(ax, label="mine", lw=3)
    LIMIT.plot(ax)
    LIMIT.plot(ax)
    assert [text for text in labels(ax) if text != "data"] == ["mine", "infinite-width limit", "infinite-width limit (2)"]
    assert ax.get_lines()[0].get_linewidth() == 3


def test_networks_that_share_axes_say_their_seeds(results):
    ax = axes()
    for run in results["ensemble"]:
        run.plot(ax)
    found = [text for text in labels(ax) if text != "data"]
    assert found == [f"network, width 30, seed {seed}" for seed in range(3)]


def test_the_legend_of_new_axes_keeps_up_with_what_is_drawn_on_them(results):
    ax = LIMIT.plot()
    results["run"].plot(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == labels(ax)
    assert len(labels(ax)) == 3
    ax.legend(["one's own"])
    LIMIT.plot(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one's own"]


STEEP = sb.Problem(sb.Dataset([0, 1, 1.98, 2], [0, 0, 0, 1]), sb.Initialization.rademacher(st.norm(0, 3)))


def test_steep_ends_do_not_flatten_the_data():
    limit = sb.predict(STEEP)
    x = np.linspace(0, 2, 2001)
    among = np.r_[limit(x), STEEP.data.y]
    wild = np.ptp(limit(np.linspace(*STEEP.default_interval, 2001)))
    ax = limit.plot(axes())
    low, high = ax.get_ylim()
    assert low < among.min() < among.max() < high
    assert high - low < 2.3 * np.ptp(among) < wild  # else the case is no case
    low, high = limit.plot(axes(), interval=STEEP.default_interval).get_ylim()
    assert high - low > wild  # what one asks for is shown whole
    ax = limit.plot(axes())
    LIMIT.plot(ax)
    assert ax.get_ylim()[0] < among.min() and among.max() < ax.get_ylim()[1]


def test_a_constant_function_has_a_frame():
    flat = sb.predict(sb.Problem(sb.Dataset([0, 1, 2], [0, 0, 0]), sb.Initialization.gaussian()))
    low, high = flat.plot(axes()).get_ylim()
    assert low < 0 < high


def test_the_times_of_a_path_go_from_pale_to_dark_and_end_in_the_limit(results):
    ax = results["path"].plot(axes())
    assert labels(ax) == ["time 0", "time 1", "time 10", "infinite-width limit", "data"]
    many = sb.predict_path(PROBLEM, np.geomspace(1, 1e4, 30)).plot(axes())
    assert 4 <= len(labels(many)) <= 9
    assert len(many.get_lines()) == 31


def test_pictures_of_movements_and_fits_show_their_numbers(results):
    ax = results["laziness"].plot(axes())
    moved, shares = ax.get_lines()[0].get_data()
    assert np.interp(0.5, shares, moved) == pytest.approx(results["laziness"].quantile(0.5), rel=1e-3)
    ax = results["weight decay"].plot(axes())
    lines = [line for line in ax.get_lines() if line.get_label().startswith("strength")]
    assert lines[-1].get_label() == "strength 0" and len(lines) == results["weight decay"].breaks.size + 1
    first = results["weight decay"].at(results["weight decay"].breaks[0]).function
    np.testing.assert_allclose(lines[0].get_ydata(), first(lines[0].get_xdata()))
    network, limit = [line for line in results["report"].plot(axes()).get_lines() if "data" not in line.get_label()]
    gap = np.abs(np.asarray(network.get_ydata()) - np.interp(network.get_xdata(), *limit.get_data()))
    assert gap.max() == pytest.approx(results["report"].distance, rel=0.02)
    assert any("norm 2, the least; that of the network: 2" in text for text in labels(results["network norm"].plot(axes())))


def test_pictures_of_numbers_show_them(results):
    ax = results["comparison"].plot(axes())
    (right,) = (other for other in ax.figure.axes if other is not ax)
    delta, point = right.get_lines()
    assert np.abs(delta.get_ydata()).max() == np.abs(point.get_ydata()) == pytest.approx(results["comparison"].sup, rel=1e-9)
    x, y = results["required width"].plot(axes()).get_lines()[0].get_data()
    assert np.exp(np.interp(np.log(int(results["required width"])), np.log(x), np.log(y))) == pytest.approx(0.1)
    ax = results["orientations"].plot(axes())
    marked = [line for line in ax.get_lines() if "condensed" in line.get_label()]
    assert sorted(np.concatenate([line.get_xdata() for line in marked])) == results["orientations"].angles.tolist()
    chosen = results["training time"]
    drawn, point = results["training time"].plot(axes()).get_lines()
    assert point.get_xdata() == chosen.value and point.get_ydata() == chosen.score <= drawn.get_ydata().min()
    band = results["band of points"]
    ax = band.plot(axes(), along=1, through=[0.2, 0.5])
    x, y = ax.get_lines()[0].get_data()
    np.testing.assert_allclose(y, band.prediction(np.column_stack([np.full(x.size, 0.2), x])))
    assert list(results["agreement"].to_frame()["width"]) == [25, 100]
    assert results["orientations"].to_frame()["basin"].sum() == pytest.approx(results["orientations"].basins.sum())
    assert results["training time"].to_frame()["score"].min() >= chosen.score


def test_a_comparison_goes_to_other_processes_without_its_functions(results):
    sent = pickle.loads(pickle.dumps(results["comparison on a box"]))
    assert repr(sent) == repr(results["comparison on a box"])
    with pytest.raises(sb.DataError, match="needs the functions, .*; compare them again"):
        sent.plot()


def test_a_band_is_two_deviations_wide(results):
    band = results["band"]
    ax = band.plot(axes(), interval=(-1.5, 1.5))
    (fill,) = ax.collections
    x, y = fill.get_paths()[0].vertices.T
    at = np.argmin(np.abs(x - 0.5))
    assert abs(y[at] - band.prediction(x[at])) == pytest.approx(2 * float(band.std(x[at])), rel=1e-9)


# -- compare ----------------------------------------------------------------------------------------------------------


def test_results_are_compared_on_the_interval_of_their_problem(results):
    run = results["run"]
    expected = sb.compare(run.function, LIMIT.function, (-1.5, 1.5))
    assert sb.compare(results["least norm"], LIMIT).interval == (-1.5, 1.5)
    for pair in ((run, LIMIT), (run.function, LIMIT), (run, LIMIT.function), (run.network, LIMIT)):
        assert sb.compare(*pair) == expected
    assert sb.compare(run, LIMIT, (-1, 1)).interval == (-1.0, 1.0)
    assert repr(expected).startswith("Comparison(sup 0.")


def test_without_a_problem_an_interval_is_asked_for(results):
    with pytest.raises(sb.DataError, match=r"`interval` must be given where neither `f` nor `g` knows its problem"):
        sb.compare(np.sin, LIMIT.function)
    with pytest.raises(sb.DataError, match=r"have different spans, got none; take \(-1.5, 1.5\) or \(-0.5, 2.5\)"):
        sb.compare(LIMIT, sb.predict(STEEP))
    with pytest.raises(sb.DataError, match="`f` must be a function of x, or have one as its `function`, got Study"):
        sb.compare(STUDY, LIMIT)
    with pytest.raises(sb.DataError, match="`f` must map an array on the interval to finite numbers of its shape"):
        sb.compare(results["path"], LIMIT)


def test_the_penalty_of_a_result_is_that_of_its_function(results):
    assert sb.penalty(LIMIT, PROBLEM) == sb.penalty(LIMIT.function, PROBLEM)
    assert sb.penalty(results["run"], PROBLEM, smoothing=5) == sb.penalty(results["run"].function, PROBLEM, smoothing=5)


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (sb.gcv_time(sb.Problem(sb.Dataset([0, 1, 2, 3], [0, 1, 0, 1]), sb.Initialization.gaussian())), "Selection("),
        (sb.required_width(PROBLEM, 0.3, draws=200), "RequiredWidth("),
        (sb.laziness(PROBLEM, 400), "Laziness(3 points"),
        (STUDY.constant, "Estimate(1 ("),
    ],
    ids=["selection", "width", "laziness", "estimate"],
)
def test_numbers_print_short(value, start):
    assert repr(value).startswith(start)
    assert len(repr(value)) < 200


def functions_of(result):
    """All that a result answers at points x of its own, by name."""
    found = {"itself": result} if callable(result) else {}
    for name in ("std", "mean", "mean_shift", "function", "lower", "upper"):
        part = getattr(result, name, None)
        if callable(part) and not isinstance(result, Study) and not inspect.signature(part).parameters.keys() & {"width"}:
            found[name] = part
    return found


@pytest.mark.parametrize("name", NAMES)
def test_where_x_is_not_finite_there_is_no_value(results, name):
    """One behaviour of all results, without a warning: nan at nan and at both infinities."""
    several = name == "band of points"
    x = np.array([[np.nan, np.inf], [-np.inf, 0.5]])
    known = np.isfinite(x)
    if several:
        x, known = np.array([[0.2, np.nan], [np.inf, 0.1], [0.2, 0.1]]), np.array([False, False, True])
    for part, f in functions_of(results[name]).items():
        found, expected = f(x), f(x[known])
        assert np.isnan(found[..., ~known]).all(), part
        np.testing.assert_allclose(found[..., known], expected, rtol=1e-12, atol=1e-15)
        assert np.isfinite(expected).all()
        assert several or np.isnan(f(np.inf)).all()


def test_most_results_are_asked_where_x_is_not_finite(results):
    asked = {name for name in NAMES if functions_of(results[name])}
    assert asked >= {"prediction", "early", "started", "run", "ensemble", "path", "band", "band of points", "start process"}
    assert asked >= {"report", "least norm", "sparse limit", "restored"}
