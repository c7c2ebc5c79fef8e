"""Specifications: what is written is read back, runs depend on what they should, and nonsense is refused before work."""

import re

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.studies.spec_difference import difference
from splinebias.studies.spec_text import is_spec
from tests.problems import SET_A, SET_B, UNIFORM

A, B = sb.Problem(SET_A, UNIFORM), sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1)))
FULL = sb.StudySpec(
    {"A": A, 'a name, with "quotes"': B},
    [20, 60],
    [0, 3],
    potentials={"u2": sb.Quadratic(), "s4": sb.Scaled(sb.Power(4, quadratic=1))},
    initializations={"uniform": UNIFORM, "circle": sb.Initialization.unit_circle()},
    activations={"relu": sb.ReLU(), "leaky": sb.LeakyReLU(0.3)},
    methods={"flow": sb.MirrorFlow(1e-3), "descent": sb.MirrorDescent(), "timed": sb.MirrorFlow(time=2.0, saveat=[1.0])},
    seed=7,
    interval=(-1.5, 1.25),
    loss_tol=1e-9,
)


def test_a_specification_survives_a_file(tmp_path):
    path = tmp_path / "study.toml"
    text = FULL.to_toml(path)
    for source in (path, text):
        read = sb.StudySpec.from_toml(source)
        assert read == FULL
        assert read.to_toml() == text
        assert [case.key for case in read.cases] == [case.key for case in FULL.cases]
        assert [case.label for case in read.cases] == [case.label for case in FULL.cases]
    assert is_spec(path)
    assert not is_spec(A.to_toml())


def test_the_grid_is_the_product_of_its_axes():
    assert len(FULL.cases) == 2 * 2 * 2 * 2 * 3
    assert len(FULL) == len(FULL.cases) * 2 * 2
    assert len({case.key for case in FULL.cases}) == len(FULL.cases)
    first = FULL.cases[0]
    assert first.names == {
        "problem": "A",
        "potential": "u2",
        "initialization": "uniform",
        "activation": "relu",
        "method": "flow",
    }
    assert (first.problem, first.method, first.interval) == (A, sb.MirrorFlow(1e-3), (-1.5, 1.25))


def test_cases_are_known_by_what_they_are_and_not_by_their_names():
    renamed = sb.StudySpec({"other": A}, [20], [0]).cases[0]
    assert renamed.key == sb.StudySpec(A, [60], [1]).cases[0].key
    others = [sb.StudySpec(B, [20], [0]), sb.StudySpec(A, [20], [0], methods={"": sb.MirrorFlow(1e-3)})]
    assert renamed.key not in {spec.cases[0].key for spec in others}


def test_a_short_file_is_enough(tmp_path):
    A.to_toml(tmp_path / "a.toml")
    np.savetxt(
        tmp_path / "points.csv", np.column_stack([SET_B.x, SET_B.y]), delimiter=",", header="x,y", comments="", fmt="%.17g"
    )
    text = """
[study]
widths = [60, 20]
seeds = 3
[problems.A]
file = "a.toml"
[problems.B.data]
csv = "points.csv"
[problems.B.initialization]
preset = "pytorch_default"
"""
    (tmp_path / "study.toml").write_text(text)
    spec = sb.StudySpec.from_toml(tmp_path / "study.toml")
    assert (spec.widths, spec.seeds, spec.seed, spec.loss_tol) == ((20, 60), (0, 1, 2), 0, 1e-12)
    assert spec.cases[0].problem == A
    assert spec.cases[1].problem == sb.Problem(SET_B, sb.Initialization.pytorch_default())
    assert [case.interval for case in spec.cases] == [(-1.5, 1.5), (-1.5, 1.5)]


@pytest.mark.parametrize(
    ("change", "words", "grows"),
    [
        ({}, "", True),
        ({"widths": [20, 60, 180]}, "widths also [180]", True),
        ({"seeds": [0, 1, 3]}, "seeds also [1]", True),
        ({"problems": {"A": A, "B": B}, "widths": [20]}, "widths without [60]", False),
        ({"seed": 1}, "study.seed 0 -> 1", False),
        ({"loss_tol": 1e-3}, "study.loss_tol 1e-12 -> 0.001", False),
        ({"interval": (0, 1)}, "study.interval none -> [0.0, 1.0]", False),
        ({"problems": {"A": sb.Problem(SET_A, UNIFORM, sb.Abs())}}, "problems.A.activation.name 'relu' -> 'abs'", False),
        ({"potentials": {"u2": sb.Quadratic()}}, "potentials.u2", False),
    ],
)
def test_differences_are_said_in_words(change, words, grows):
    old = {"problems": {"A": A}, "widths": [20, 60], "seeds": [0, 3]}
    found, adds = difference(sb.StudySpec(**old).to_toml(), sb.StudySpec(**(old | change)).to_toml())
    assert words in found
    assert bool(found) == bool(words)
    assert adds == grows


def test_a_new_name_on_an_axis_is_growth():
    old, new = sb.StudySpec({"A": A}, [20], [0]), sb.StudySpec({"A": A, "B": B}, [20], [0])
    words, grows = difference(old.to_toml(), new.to_toml())
    assert grows
    assert "problems.B" in words
    assert not difference(new.to_toml(), old.to_toml())[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (st.uniform(-2, 4), st.uniform(loc=-2, scale=4)),
        (st.uniform(-2, 4), st.uniform(-2, scale=4)),
        (st.uniform(0, 1), st.uniform()),
        (st.norm(-0.0, 2), st.norm(0.0, 2)),
        (st.t(5), st.t(df=5, loc=0)),
    ],
    ids=["by-name", "half-by-name", "defaults", "signed-zero", "shape"],
)
def test_how_a_law_is_written_makes_no_other_specification(one, other):
    first, second = (sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), law)) for law in (one, other))
    specs = [sb.StudySpec({"A": problem}, [20], [0]) for problem in (first, second)]
    assert specs[0] == specs[1]
    assert hash(specs[0]) == hash(specs[1])
    assert specs[0].cases[0].key == specs[1].cases[0].key
    assert difference(specs[0].to_toml(), specs[1].to_toml()) == ("", True)
    with pytest.raises(sb.DataError, match="must be distinct, got 'B' equal to 'A'"):
        sb.StudySpec({"A": first, "B": second}, [20], [0])


def test_other_parameters_of_a_law_make_another_specification():
    laws = [st.uniform(-2, 4), st.uniform(4, -2 + 4), st.uniform(loc=4), st.uniform(scale=4), st.norm(-2, 4)]
    problems = {str(n): sb.Problem(SET_A, sb.Initialization(sb.Rademacher(), law)) for n, law in enumerate(laws)}
    assert len({case.key for case in sb.StudySpec(problems, [20], [0]).cases}) == len(laws)


LINE = sb.Dataset(np.linspace(-1, 1, 300), np.linspace(0, 1, 300))
BENT = sb.Dataset(LINE.x, np.where(np.abs(LINE.x) < 0.006, 7.0, LINE.y))
SHORTER = sb.Dataset(LINE.x[:250], LINE.y[:250])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problems": {"B": B, "new name": sb.Problem(LINE, UNIFORM)}}, "problems.A is now called new name"),
        ({"problems": {"A": sb.Problem(LINE, UNIFORM)}}, "problems.B is gone"),
        (
            {"problems": {"A": sb.Problem(BENT, UNIFORM), "B": B}},
            "problems.A.data.y of 300 entries, 2 differ: [149] 0.4983277591973244 -> 7.0, [150] 0.5016722408026756 -> 7.0",
        ),
        (
            {"problems": {"A": sb.Problem(SHORTER, UNIFORM), "B": B}},
            "problems.A.data.x of 300 entries -> 250; problems.A.data.y of 300 entries -> 250; "
            "problems.A.data.weights of 300 entries -> 250",
        ),
        ({"seeds": range(2, 5000)}, "seeds without [0]; seeds also [2, 4, 5, 6, 7, ... 4997 in all]"),
        ({"problems": {"B": B, "A": sb.Problem(LINE, UNIFORM)}}, ""),
    ],
    ids=["renamed", "gone", "bent", "shorter", "seeds", "order"],
)
def test_differences_are_as_short_as_what_differs(change, words):
    old = {"problems": {"A": sb.Problem(LINE, UNIFORM), "B": B}, "widths": [20], "seeds": [0, 3]}
    found, grows = difference(sb.StudySpec(**old).to_toml(), sb.StudySpec(**(old | change)).to_toml())
    assert found == words
    assert grows == (not words)


def test_of_many_differences_the_first_are_said():
    old, new = ({f"P{n}": sb.Problem(sb.Dataset([0, 1], [top, n]), UNIFORM) for n in range(20)} for top in (0, 1))
    found, _ = difference(sb.StudySpec(old, [20], [0]).to_toml(), sb.StudySpec(new, [20], [0]).to_toml())
    assert found.startswith("problems.P0.data.y [0.0, 0.0] -> [1.0, 0.0]; problems.P1")
    assert found.endswith("; and 12 more differences")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problems": {}}, "`problems` must hold at least one problem, got none: an empty grid has nothing to run"),
        ({"problems": [A]}, "`problems` must map names to values, got"),
        ({"problems": {"A": SET_A}}, "`problems` 'A' is of the wrong kind"),
        ({"problems": {"A": A, "B": A}}, "`problems` must be distinct, got 'B' equal to 'A'; the runs would be the same"),
        ({"widths": []}, "`widths` must hold at least one number, got none"),
        ({"widths": [20, 60, 20]}, "`widths` must be distinct, got 20 more than once"),
        ({"widths": [20, True]}, "`widths` must hold whole numbers >= 1, got True at index 1; use e.g. [20, 60, 180]"),
        ({"seeds": []}, "`seeds` must hold at least one number, got none; use e.g. [0, 1, 2]"),
        ({"seeds": 5}, "`seeds` must be a sequence of whole numbers, got 5; use e.g. [5] or range(5)"),
        ({"seed": -1}, "`seed` must be a whole number >= 0, got -1"),
        ({"potentials": {"u2": sb.Quadratic}}, "`potentials` 'u2' is of the wrong kind, got"),
        ({"methods": {"flow": "flow"}}, "`methods` 'flow' is of the wrong kind, got 'flow'"),
        ({"loss_tol": 0}, "`loss_tol` must be a finite real number > 0, got 0"),
        ({"interval": (1, 0)}, "`interval` must be a pair of finite numbers (lo, hi) with lo < hi, got (1, 0)"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(sb.DataError, match=re.escape(message)):
        sb.StudySpec(**({"problems": {"A": A}, "widths": [20], "seeds": [0]} | arguments))


HEAD = "[study]\nwidths = [20]\nseeds = 1\n"
DATA = "[problems.A.data]\nx = [0, 1]\ny = [0, 1]\n[problems.A.initialization]\npreset = 'pytorch_default'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[study\n", "the study is not valid TOML"),
        (HEAD, "a study needs `widths` and `seeds` in [study], and [problems.NAME], got no 'problems'; add it"),
        ("[study]\nwidths = [20]\n" + DATA, "got no 'seeds'"),
        (
            HEAD + "width = [3]\n" + DATA,
            "[study] takes seed, widths, seeds, loss_tol, interval, got 'width'; did you mean 'widths'?",
        ),
        (HEAD + DATA + "[potential.u2]\nname = 'quadratic'\n", "got 'potential'; did you mean 'potentials'?"),
        (HEAD + DATA + "[potentials.u2]\nname = 'cubic'\n", "`potential.name` must be one of quadratic, power, hypentropy"),
        (
            HEAD + DATA + "[methods.m]\nname = 'flew'\n",
            "[methods.m] `name` must be one of flow, neuron_flow, descent, stochastic_descent, got 'flew'",
        ),
        (HEAD + DATA + "[methods.m]\nname = 'flow'\nstep = 1\n", "[methods.m] has parameters that flow does not take"),
        (HEAD + "[problems.A]\nfile = 'missing.toml'\n", "[problems.A]: cannot read the problem file"),
        (
            HEAD + "[problems.A.data]\nx = [0, 1]\ny = [0, 1]\n",
            "[problems.A]: a problem has tables [data], [initialization]",
        ),
        (HEAD.replace("1", "0") + DATA, "`seeds` must hold at least one number, got none"),
    ],
)
def test_bad_files_are_refused(text, message):
    with pytest.raises(sb.DataError, match=re.escape(message)):
        sb.StudySpec.from_toml(text)


def test_a_number_of_seeds_in_a_file_counts_them():
    text = HEAD.replace("seeds = 1", "seeds = 5") + DATA
    assert sb.StudySpec.from_toml(text).seeds == (0, 1, 2, 3, 4)
    assert sb.StudySpec.from_toml(text.replace("seeds = 5", "seeds = [5]")).seeds == (5,)


def test_odd_widths_are_refused_for_antisymmetric_pairs():
    pairs = sb.Initialization(sb.Rademacher(), st.uniform(-1, 2), output=st.norm(0, 0.01))
    with pytest.raises(sb.DataError, match="`widths` must be even for antisymmetric pairs, got 21; use 22"):
        sb.StudySpec(A, [20, 21], [0], initializations={"zero": UNIFORM, "pairs": pairs})


def test_what_has_no_text_can_be_run_but_not_written():
    class Halved(sb.Quadratic):
        """A potential of the user's."""

    spec = sb.StudySpec(sb.Problem(SET_A, UNIFORM, potential=Halved()), [20], [0], loss_tol=1e-2)
    assert sb.study_grid(spec).parts[0].rows[0].ok
    with pytest.raises(sb.CapabilityError, match="only the library's own kinds can be written to TOML"):
        spec.to_toml()


def test_cases_that_are_one_are_refused():
    """An axis replaces that part of every problem: two that differ in it only are one then."""
    two = {"r": sb.Problem(SET_A, UNIFORM), "a": sb.Problem(SET_A, UNIFORM, sb.Abs())}
    assert len(sb.StudySpec(two, [20], [0])) == 2
    with pytest.raises(
        sb.DataError, match="cases must be distinct, got 'a / relu' equal to 'r / relu'; leave one problem out"
    ):
        sb.StudySpec(two, [20], [0], activations={"relu": sb.ReLU()})


def test_names_with_any_character_survive_toml():
    plain = sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), UNIFORM)
    spec = sb.StudySpec({'A\tB\x7f\n"\\é': plain}, [20], [0])
    assert sb.StudySpec.from_toml(spec.to_toml()) == spec


def test_an_empty_name_beside_others_has_a_cell_of_its_own():
    one, two = (sb.Problem(sb.Dataset([-1, 0, 1], [0, height, 0]), UNIFORM) for height in (1, 2))
    for problems in ({"": one, "B": two}, {"B": two, "": one}):
        lines = sb.study_grid(sb.StudySpec(problems, [20], [0], loss_tol=1e-3)).to_csv().splitlines()
        assert lines[0].startswith("problem,width,")
        assert len({line.count(",") for line in lines}) == 1
        assert sorted(line.split(",")[0] for line in lines[1:]) == ["", "B"]


def test_problems_outside_the_folder_of_a_study_are_read_if_that_is_said(tmp_path):
    """Files of files as well: a problem that is named may not name one that the study may not."""
    (tmp_path / "home").mkdir()
    (tmp_path / "points.csv").write_text("x,y\n0,1\n1,2\n")
    law = '[initialization]\npreset = "pytorch_default"\n'
    (tmp_path / "away.toml").write_text('[data]\ncsv = "points.csv"\n' + law)
    (tmp_path / "home" / "inner.toml").write_text('[data]\ncsv = "../points.csv"\n' + law)
    for name in ("../away.toml", "inner.toml"):
        study = tmp_path / "home" / "study.toml"
        study.write_text(f'[study]\nwidths = [20]\nseeds = 1\n[problems.A]\nfile = "{name}"\n')
        with pytest.raises(sb.DataError, match=r"\[problems.A\]: `(file|csv)` must name a file in the folder .*home, got"):
            sb.StudySpec.from_toml(study)
        assert len(sb.StudySpec.from_toml(study, root=tmp_path)) == 1


@pytest.mark.parametrize("seeds", ["10000000000", str(2**62), "1000001"])
def test_more_seeds_than_a_study_can_hold_are_refused_at_once(seeds):
    with pytest.raises(sb.DataError, match="`seeds` must hold at most 1000000 numbers"):
        sb.StudySpec.from_toml(
            f"[study]\nwidths = [20]\nseeds = {seeds}\n[problems.A.data]\nx = [0, 1]\ny = [0, 1]\n"
            '[problems.A.initialization]\npreset = "pytorch_default"\n'
        )
