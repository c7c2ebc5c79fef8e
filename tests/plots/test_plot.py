"""Pictures show the numbers they say they show, on the axes they are given, and never open a window."""

import os
import subprocess
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import splinebias as sb
from splinebias.plots import (
    OKABE_ITO,
    plot,
    plot_curvature_penalty,
    plot_errors,
    plot_grid,
    plot_inverse_root,
    plot_penalties,
    plot_predicted,
    plot_prediction,
    plot_study,
    plot_training,
    save_figure,
)
from splinebias.studies.results import Row, Study, StudyGrid

DATA = sb.Dataset([-1, 0, 1], [0, 1, 0])
PROBLEM = sb.Problem(DATA, sb.Initialization.rademacher(st.uniform(-2, 4)))
PREDICTION = sb.predict(PROBLEM)


def row(width, seed, sup, outcome="CONVERGED"):
    return Row(width, seed, sup, sup, 0.0, PREDICTION.penalty, 1e-12, 10, 1.0, 0.1, outcome)


STUDY = Study(
    PREDICTION,
    (-1.5, 1.5),
    1e-12,
    (row(25, 0, 0.3), row(25, 1, 0.5), row(100, 0, 0.1), row(100, 1, 0.3), row(400, 0, 9.0, "STALLED")),
)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def run():
    return sb.train(PROBLEM, 30, loss_tol=1e-3)


def axes():
    return Figure().subplots()


def curve(ax, label):
    """Coordinates of the one line with this label."""
    (line,) = [line for line in ax.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_a_prediction_is_drawn_with_its_knots_and_its_data():
    ax = plot_prediction(PREDICTION, axes())
    x, y = curve(ax, "infinite-width limit")
    np.testing.assert_array_equal(y, PREDICTION.function(x))
    assert set(DATA.x) <= set(x)
    assert (x[0], x[-1]) == (-1.5, 1.5) == ax.get_xlim()
    np.testing.assert_array_equal(curve(ax, "data"), [DATA.x, DATA.y])


def test_a_network_is_drawn_through_all_its_breakpoints(run):
    ax = plot_training(run, axes(), interval=(-0.5, 2))
    x, y = curve(ax, "network, width 30")
    np.testing.assert_array_equal(y, run.function(x))
    knots = run.function.knots
    assert set(knots[(knots > -0.5) & (knots < 2)]) <= set(x)
    np.testing.assert_array_equal(curve(ax, "data"), [[0, 1], [1, 0]])  # only those in the interval


def test_one_axes_takes_several_results_and_labels_the_data_once(run):
    ax = axes()
    assert plot_prediction(PREDICTION, ax, color="red", label="mine") is ax
    assert plot_training(run, ax) is ax
    assert [text for text in ax.get_legend_handles_labels()[1] if text] == ["mine", "data", "network, width 30"]
    assert ax.get_lines()[0].get_color() == "red"


def test_errors_are_means_with_standard_deviations_of_the_runs_that_did_not_fail():
    ax = plot_errors(STUDY, axes(), offset=1.1)
    (container,) = ax.containers
    np.testing.assert_allclose(container.lines[0].get_xdata(), [27.5, 110])
    np.testing.assert_allclose(container.lines[0].get_ydata(), [0.4, 0.2])
    (bars,) = container.lines[2]
    sd = np.sqrt(2) * 0.1
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[0.4 - sd, 0.4 + sd], [0.2 - sd, 0.2 + sd]])
    assert container.get_label() == "mean over 2 seeds; bars: one standard deviation"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_a_study_has_its_inverse_root_law():
    ax = plot_study(STUDY, axes())
    x, y = np.asarray(ax.get_lines()[-1].get_data())
    np.testing.assert_allclose(y * np.sqrt(x), STUDY.constant.value)
    assert (x[0], x[-1]) == (25, 400)


def test_a_study_has_the_predicted_errors_behind_it():
    ax = plot_study(STUDY, axes())
    (fill,) = (found for found in ax.collections if found.get_label() == "predicted: 90 % of networks")
    assert fill.get_zorder() < min(line.get_zorder() for line in ax.get_lines())
    x, y = fill.get_paths()[0].vertices.T
    band = sb.error_band(PROBLEM, 100, interval=(-1.5, 1.5))
    found = sorted(np.unique((y * np.sqrt(x)).round(9)))
    np.testing.assert_allclose(found, [10 * band.quantile(q) for q in (0.05, 0.95)], rtol=1e-6)
    assert x.min() < 25
    assert x.max() > 400


def test_a_study_without_predicted_errors_says_so():
    heavy = sb.Problem(DATA, sb.Initialization.rademacher(st.t(2.5)))
    ax = plot(replace(STUDY, prediction=sb.predict(heavy)), axes())
    assert "no predicted errors: print the study for the reason" in ax.get_legend_handles_labels()[1]
    assert len(ax.containers) == 1
    assert len(plot_predicted(STUDY).get_legend().get_texts()) == 1


def test_a_grid_of_one_case_is_drawn_like_its_study():
    one, other = plot(StudyGrid((STUDY,)), axes()), plot(STUDY, axes())
    assert one.get_legend_handles_labels()[1] == other.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    ("widths", "numbers"),
    [
        ([20, 60, 180, 540], ["20", "60", "180", "540"]),
        ([100], ["100"]),
        (range(100, 1001, 100), ["100", "200", "300", "500", "700", "1000"]),
    ],
)
def test_the_widths_themselves_are_the_numbers_of_the_axis(widths, numbers):
    rows = tuple(row(width, seed, 1 / width + 0.1 * seed) for width in widths for seed in (0, 1))
    ax = plot_study(Study(PREDICTION, (-1.5, 1.5), 1e-12, rows), axes())
    ax.figure.canvas.draw()
    shown = sorted(zip(ax.get_xticks(), (label.get_text() for label in ax.get_xticklabels()), strict=True))
    assert [text for _, text in shown] == numbers
    assert [float(text) for text in numbers] == [at for at, _ in shown]
    assert ax.get_xticks(minor=True).size == 0


def test_a_study_without_a_single_good_run_is_drawn_empty():
    failed = Study(PREDICTION, (-1.5, 1.5), 1e-12, (row(25, 0, 1.0, "STALLED"),))
    ax = plot_study(failed, axes())
    assert ax.containers[0].lines[0].get_xdata().size == 0


def test_an_inverse_root_is_drawn_between_the_extreme_widths():
    x, y = curve(plot_inverse_root(2.0, [400, 25, 100], axes(), label="law"), "law")
    np.testing.assert_allclose([x, y], [[25, 400], [0.4, 0.1]])


def test_the_curvature_penalty_is_drawn_where_it_is_finite():
    """W = +-1, B ~ U(-1, 1): 1/zeta = 2 on (-1, 1) (theory section 2) and infinite outside."""
    ax = plot_curvature_penalty(sb.Initialization.rademacher(st.uniform(-1, 2)), axes(), interval=(-2, 3))
    c, penalty = curve(ax, r"$1/\zeta(c)$")
    np.testing.assert_allclose(penalty[np.abs(c) < 1], 2.0)
    assert np.isnan(penalty[np.abs(c) > 1]).all()
    (band,) = ax.collections
    assert band.get_label() == "no breakpoints: curvature impossible"
    everywhere = plot_curvature_penalty(sb.Initialization.gaussian(), axes())
    assert not everywhere.collections
    c, penalty = curve(everywhere, r"$1/\zeta(c)$")
    np.testing.assert_allclose(penalty, np.pi * (1 + c**2) ** 2 / 2)


def test_new_axes_get_a_legend_and_given_ones_do_not(run):
    for result in (PREDICTION, run, STUDY, PROBLEM.initialization):
        made = plot(result)
        assert isinstance(made, Axes)
        assert made.get_legend() is not None
        given = axes()
        assert plot(result, given) is given
        assert given.get_legend() is None
        assert given.get_xlabel()
        assert given.get_ylabel()


def test_plot_knows_which_picture_a_result_has(run):
    assert "infinite-width limit" in plot(PREDICTION, axes()).get_legend_handles_labels()[1]
    early = sb.predict(PREDICTION.problem, time=1e3)
    assert plot(early, axes()).get_legend_handles_labels()[1] == ["infinite width, time 1000", "data"]
    assert "network, width 30" in plot(run, axes()).get_legend_handles_labels()[1]
    assert plot(STUDY, axes()).get_xlabel() == "width $n$"
    assert plot(PROBLEM.initialization, axes()).get_xlabel() == "breakpoint $c$"


def test_a_grid_is_drawn_case_by_case():
    grid = StudyGrid((replace(STUDY, names={"potential": "u2"}), replace(STUDY, names={"potential": "u4"})))
    ax = plot_grid(grid, axes())
    assert len(plot(grid, axes()).containers) == 2
    assert [fill.get_label() for fill in ax.collections if fill.get_label().startswith("_u")] == ["_u2", "_u4"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["predicted: 90 % of networks", "u2", "u4"]
    bands = [patch.get_facecolor() for patch in ax.get_legend().findobj(Rectangle)]
    assert bands == [tuple(fill.get_facecolor()[0]) for fill in ax.collections if fill.get_label().startswith("_u")]
    assert len(set(bands)) == 2
    first, second = (np.asarray(bars.lines[0].get_xdata()) for bars in ax.containers)
    np.testing.assert_allclose(np.sqrt(first * second), [25, 100])
    assert len({bars.lines[0].get_color() for bars in ax.containers}) == 2
    assert len({bars.lines[0].get_marker() for bars in ax.containers}) == 2


def test_penalties_are_drawn_beside_that_of_the_limit():
    rows = tuple(run._replace(network_penalty=run.penalty * (1 + run.sup)) for run in STUDY.rows)
    ax = plot_penalties(replace(STUDY, rows=rows), axes())
    (bars,) = ax.containers
    np.testing.assert_allclose(bars.lines[0].get_ydata(), [1.4, 1.2])
    np.testing.assert_array_equal(curve(ax, "limit")[1], 1.0)


def test_networks_and_limits_are_told_apart_in_print_and_both_show_where_they_coincide(run):
    ax = plot(PREDICTION, axes())
    plot(run, ax)
    limit, network = (next(line for line in ax.get_lines() if name in line.get_label()) for name in ("limit", "network"))
    assert (limit.get_linestyle(), network.get_linestyle()) == ("--", "-")
    assert limit.get_linewidth() < network.get_linewidth()
    assert limit.get_zorder() > network.get_zorder()


def test_a_fitted_constant_looks_measured_and_a_predicted_one_predicted():
    fitted = plot_study(STUDY, axes(), color="#123456").get_lines()[-1]
    assert (fitted.get_linestyle(), fitted.get_color()) == ("-", "#123456")
    assert fitted.get_label().startswith("fit: ")
    assert plot_inverse_root(1.0, [10, 20], axes()).get_lines()[-1].get_linestyle() == "--"


def test_orientations_are_marked_at_their_strengths_and_neurons_are_a_heat_map():
    found = sb.condensed_orientations(sb.Dataset([-1, 0, 1], [1, -2, 0.5]), sb.XTanh())
    axes = found.plot()
    up, down = (line for line in axes.get_lines() if str(line.get_label()).startswith("condensed"))
    np.testing.assert_array_equal(up.get_xydata(), np.column_stack([found.angles, found.strengths])[found.signs > 0])
    np.testing.assert_array_equal(down.get_xydata(), np.column_stack([found.angles, found.strengths])[found.signs < 0])
    (curve,) = (line for line in axes.get_lines() if line.get_label() == "leading term $Q$")
    np.testing.assert_allclose(curve.get_ydata(), found.term.value(np.radians(curve.get_xdata())))
    assert repr(found).startswith("Orientations(4, in degrees with the sign of a: 76.7 (-), 166.7 (+)")
    measured = sb.condensation(([1, 2, -1], [0, 0.1, 0.0], [1, 1, -1]))
    (image,) = measured.plot(order=[2, 0, 1]).get_images()
    np.testing.assert_allclose(image.get_array(), measured.cosines[np.ix_([2, 0, 1], [2, 0, 1])])
    assert "3 neurons at 2 directions" in measured._repr_html_()


def test_other_things_have_no_picture():
    with pytest.raises(
        sb.DataError,
        match="`result` must be a Prediction, .*, Path, ErrorBand, .*, StudyGrid or Initialization, got str",
    ):
        plot("network")
    with pytest.raises(sb.DataError, match="`interval` must be a pair of finite numbers"):
        plot_prediction(PREDICTION, axes(), interval=(1, 1))


def test_a_picture_of_a_prediction_needs_no_torch():
    code = (
        "import sys, splinebias as sb\n"
        "problem = sb.Problem(sb.Dataset([0, 1, 2], [0, 1, 0]), sb.Initialization.pytorch_default())\n"
        "draw, limit = sb.plot, sb.predict(problem)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from matplotlib.figure import Figure\n"
        "draw(limit, Figure().subplots())\n"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colours_are_distinct():
    assert len(set(OKABE_ITO)) == 8


def drawn():
    figure = Figure()
    plot_prediction(PREDICTION, figure.subplots())
    return figure


def test_a_saved_figure_is_a_small_png_and_a_pdf_with_the_same_bytes_every_time(tmp_path):
    (tmp_path / "limit.png").write_bytes(b"old")
    written = save_figure(drawn(), tmp_path / "limit")
    assert written == (tmp_path / "limit.png", tmp_path / "limit.pdf")
    png, pdf = (path.read_bytes() for path in written)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 300_000
    assert pdf.startswith(b"%PDF")
    for name in ("limit.png", "limit.pdf"):
        assert [path.read_bytes() for path in save_figure(drawn(), tmp_path / name)] == [png, pdf]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["limit.pdf", "limit.png"]


def test_a_rich_figure_is_saved_with_fewer_dots(tmp_path):
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(6, 4))
    figure.subplots().scatter(*rng.random((2, 4000)), c=rng.random(4000), s=4)
    png, _ = (path.read_bytes() for path in save_figure(figure, tmp_path / "dots"))
    assert len(png) < 300_000
    width = int.from_bytes(png[16:20], "big")
    assert width in (6 * 150, 6 * 100, 6 * 72)


def test_unusable_folders_are_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    figure = drawn()
    monkeypatch.setattr(figure, "savefig", None)  # would be a TypeError if it were reached
    with pytest.raises(sb.DataError, match="the output path must be a file in an existing writable folder"):
        save_figure(figure, tmp_path / "missing" / "limit.png")


def test_an_interrupted_save_leaves_the_old_files(tmp_path, monkeypatch):
    old = [path.read_bytes() for path in save_figure(drawn(), tmp_path / "limit")]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(Figure(), tmp_path / "limit")
    assert [(tmp_path / name).read_bytes() for name in ("limit.png", "limit.pdf")] == old
    assert len(list(tmp_path.iterdir())) == 2
