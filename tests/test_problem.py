"""Problem: what it accepts, what it hands out, and its trip through TOML."""

import math
import pickle
from itertools import product

import numpy as np
import pytest
from scipy import stats

import splinebias as sb

DATA = sb.Dataset([-1, -0.2, 0.1, 1], [0.1, -1 / 3, 1e-300, 2e17], [1, 2, 0.5, 1])
INIT = sb.Initialization.pytorch_default()
INITIALIZATIONS = [
    INIT,
    sb.Initialization.gaussian(0.3, 2),
    sb.Initialization.rademacher(stats.uniform(-1, 2)),
    sb.Initialization.unit_circle(),
    sb.Initialization.constant_bias(0.1, stats.laplace(scale=2)),
    sb.Initialization(sb.Discrete((-2, 1), (1 / 3, 2 / 3)), stats.t(5), output=stats.norm(0, 0.1)),
]
ACTIVATIONS = [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.1)]
POTENTIALS = [sb.Quadratic(), sb.Power(4, quadratic=1), sb.Power(1.5), sb.Hypentropy(0.1)]
POTENTIALS += [sb.Scaled(phi) for phi in POTENTIALS]


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("potential", POTENTIALS, ids=str)
def test_toml_gives_an_equal_problem_back(potential, affine):
    for init, activation in product(INITIALIZATIONS, ACTIVATIONS):
        problem = sb.Problem(DATA, init, activation, potential, affine)
        again = sb.Problem.from_toml(problem.to_toml())
        assert again == problem
        assert again.to_toml() == problem.to_toml()
        assert hash(again) == hash(problem)


def test_problems_are_written_and_read_as_files(tmp_path):
    problem = sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Power(3)))
    path = tmp_path / "problem.toml"
    assert problem.to_toml(path) == path.read_text()
    assert sb.Problem.from_toml(path) == sb.Problem.from_toml(str(path)) == problem


@pytest.mark.parametrize(
    "csv", ["../points.csv", "{outside}/points.csv", "inner/../../points.csv", "link.csv", "folder/points.csv"]
)
def test_a_csv_file_outside_the_folder_of_the_problem_is_not_read_unless_that_is_said(csv, tmp_path):
    """Names with .., absolute ones, links to files and to folders: refused, whether or not there is such a file."""
    (tmp_path / "points.csv").write_text("x,y\n0,1\n1,2\n")
    home = tmp_path / "home"
    (home / "inner").mkdir(parents=True)
    (home / "link.csv").symlink_to(tmp_path / "points.csv")
    (home / "folder").symlink_to(tmp_path)
    text = f'[data]\ncsv = "{csv.format(outside=tmp_path)}"\n[initialization]\npreset = "pytorch_default"\n'
    (home / "problem.toml").write_text(text)
    with pytest.raises(
        sb.DataError, match=f"`csv` must name a file in the folder {home}, got .*, which leads out of it; move"
    ):
        sb.Problem.from_toml(home / "problem.toml")
    assert sb.Problem.from_toml(home / "problem.toml", root=tmp_path).data == sb.Dataset([0, 1], [1, 2])
    (tmp_path / "points.csv").unlink()
    with pytest.raises(sb.DataError, match="which leads out of it"):
        sb.Problem.from_toml(home / "problem.toml")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    for name, why in ((r"\u0000", "null"), (".", "must name a file, got '.', which is none")):
        with pytest.raises(sb.DataError, match=why):
            sb.Problem.from_toml(f'[data]\ncsv = "{name}"\n[initialization]\npreset = "pytorch_default"\n')


def test_data_may_live_in_a_csv_file_beside_the_problem(tmp_path):
    (tmp_path / "points.csv").write_text("t,v\n1,2\n0,1\n0,3\n")
    path = tmp_path / "problem.toml"
    path.write_text(
        '[data]\ncsv = "points.csv"\nx = "t"\ny = "v"\nreplicates = true\n[initialization]\npreset = "pytorch_default"\n'
    )
    assert sb.Problem.from_toml(path) == sb.Problem(sb.Dataset([0, 1], [2, 2], [2, 1]), INIT)


def test_replicates_in_the_file_itself():
    text = '[data]\nx = [1, 0, 0]\ny = [2, 1, 3]\nreplicates = true\n[initialization]\npreset = "pytorch_default"\n'
    assert sb.Problem.from_toml(text) == sb.Problem(sb.Dataset([0, 1], [2, 2], [2, 1]), INIT)


def test_a_problem_shows_itself_in_one_short_line():
    text = repr(sb.Problem(sb.Dataset(np.arange(1000), np.arange(1000)), INIT))
    assert text == "Problem(1000 points, W ~ uniform(-1, 2), B ~ uniform(-1, 2), ReLU(), Quadratic())"


def test_pickles_are_equal():
    problem = sb.Problem(DATA, INIT, sb.Abs(), sb.Scaled(sb.Hypentropy(2.0)))
    assert pickle.loads(pickle.dumps(problem)) == problem


def test_difference_in_any_part_is_a_difference():
    problem = sb.Problem(DATA, INIT)
    others = [
        sb.Problem(sb.Dataset([0, 1], [0, 1]), INIT),
        sb.Problem(DATA, sb.Initialization.gaussian()),
        sb.Problem(DATA, INIT, activation=sb.Abs()),
        sb.Problem(DATA, INIT, potential=sb.Scaled(sb.Quadratic())),
        sb.Problem(DATA, INIT, affine="free"),
    ]
    assert all(problem != other for other in others)


@pytest.mark.parametrize("phi", [sb.Quadratic(), sb.Power(4, quadratic=1), sb.Hypentropy(0.1)], ids=str)
def test_only_scaled_potentials_shape_the_limit(phi):
    """Unscaled potentials all share the limit of u^2/2 (theory section 3)."""
    unscaled, scaled = sb.Problem(DATA, INIT, potential=phi), sb.Problem(DATA, INIT, potential=sb.Scaled(phi))
    assert (unscaled.scaled, scaled.scaled) == (False, True)
    assert unscaled.phi == scaled.phi == scaled.limit_potential == phi
    assert unscaled.limit_potential == sb.Quadratic()


def test_description_names_every_part():
    text = sb.Problem(DATA, sb.Initialization.gaussian(), sb.Abs(), sb.Scaled(sb.Power(3)), "free").describe()
    for part in ("4 points", "norm(0, 1)", "Abs()", "scaled Power(p=3", "free affine part"):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Problem(([0, 1], [0, 1]), INIT), "`data` must be an sb.Dataset, or of several inputs sb.Points, got"),
        (
            lambda: sb.Problem(DATA, "pytorch_default"),
            "`initialization` must be an sb.Initialization, got 'pytorch_default'",
        ),
        (lambda: sb.Problem(DATA, INIT, sb.ReLU), r"`activation` must be .*ReLU.*; call it: add \(\)"),
        (lambda: sb.Problem(DATA, INIT, np.tanh), "`activation` must be an activation such as"),
        (lambda: sb.Problem(DATA, INIT, potential=2), "`potential` must be a potential such as .* got 2"),
        (lambda: sb.Problem(DATA, INIT, affine="none"), '`affine` must be "network" or "free", got \'none\''),
        (lambda: sb.Problem(DATA, INIT, affine=["free"]), '`affine` must be "network" or "free"'),
        (lambda: sb.Problem(DATA, INIT, affine=np.zeros((2, 2))), '`affine` must be "network" or "free"'),
    ],
)
def test_wrong_parts_are_refused(make, message):
    with pytest.raises(sb.DataError, match=message):
        make()


MINIMAL = {"data": "x = [0, 1]\ny = [0, 1]", "initialization": 'preset = "pytorch_default"'}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"data": None}, r"a problem has tables \[data\], \[initialization\]"),
        ({"initialization": None}, r"a problem has tables \[data\], \[initialization\]"),
        ({"optimizer": ""}, r"a problem has tables .* got \[optimizer\]"),
        ({"activations": 'name = "abs"'}, r"got \[activations\]; did you mean 'activation'\?"),
        ({"problem": 'afine = "free"'}, r"\[problem\] takes `affine` only, got \['afine'\]"),
        ({"problem": "affine = 1"}, "`affine` must be"),
        ({"data": "x = [0, 1]"}, r"\[data\] needs `x` and `y` \(or `csv`\), got \['x'\]"),
        ({"data": "x = [0, 1]\ny = [0, 1]\nz = 1"}, r"\[data\] has `x` and `y`, or `csv`, and no `z`"),
        ({"data": "x = [0, 1]\ny = [0, 1]\nweight = [1, 1]"}, "no `weight`; did you mean 'weights'"),
        (
            {"data": "x = [0, 0, 1]\ny = [0, 1, 1]"},
            r"average replicates: Dataset.from_replicates\(x, y\), or `replicates = true`",
        ),
        ({"data": "x = [0, 0, 1]\ny = [0, 1, 1]\nreplicates = 1"}, "`data.replicates` must be true or false, got 1"),
        (
            {"data": "x = [0, 1]\ny = [0, 1]\nweights = [1, 1]\nreplicates = true"},
            r"\[data\] takes `weights` or `replicates",
        ),
        ({"data": "x = [0, nan]\ny = [0, 1]"}, "`x` must be finite"),
        ({"data": 'x = ["a", "b"]\ny = [0, 1]'}, "`x` must hold real numbers"),
        ({"data": 'csv = "points.csv"\nz = "t"'}, r"\[data\] has `x` and `y`, or `csv`, and no `z`"),
        ({"data": "csv = 3"}, r"\[data\] with `csv` names a file and its columns x and y, got {'csv': 3}"),
        ({"data": 'csv = "points.csv"\nx = [0, 1]'}, r"\[data\] with `csv` names a file and its columns"),
        ({"data": 'csv = "nowhere.csv"'}, "cannot read the data file nowhere.csv"),
        ({"initialization": 'preset = "lecun"'}, "`preset`"),
        (
            {"initialization": 'weight = {name = "norm"}'},
            r"\[initialization\] needs `weight` and `bias`, or a `preset`, got \['weight'\]; add bias = ",
        ),
        ({"initialization": ""}, r"\[initialization\] needs `weight` and `bias`, .* got \[\]; add weight = "),
        ({"initialization": 'weight = {name = "norm", sd = 1}\nbias = {name = "norm"}'}, "`weight` has parameters"),
        ({"initialization": 'weight = 1\nbias = {name = "norm"}'}, "`weight` must be a table with a `name`"),
        ({"initialization": 'preset = "gaussian"\ns_w = -1'}, "`s_w` must be a finite real number > 0"),
        (
            {"activation": 'name = "gelu"'},
            "`activation.name` must be one of relu, abs, leaky_relu, relu_power, tanh, .*got 'gelu'",
        ),
        ({"activation": 'name = "leakyrelu"'}, "got 'leakyrelu'; did you mean 'leaky_relu'"),
        ({"activation": 'name = "relu"\nslope = 1'}, r"\[activation\] has parameters that relu does not take"),
        ({"activation": 'name = ["relu"]'}, "`activation.name` must be one of"),
        ({"potential": 'name = "power"'}, r"\[potential\] has parameters|power needs p|`p`"),
        ({"potential": 'name = "power"\np = 1'}, "`p` must be a finite real number > 1, got 1"),
        ({"potential": 'name = "hypentropy"\nbeta = 0'}, "`beta` must be a finite real number > 0"),
        (
            {"potential": 'name = "quadratic"\neps = 1'},
            r"\[potential\] has parameters that quadratic does not take: eps; .* none",
        ),
        ({"potential": 'name = "power"\np = 4\nquadratc = 1'}, "it takes p, quadratic; did you mean 'quadratic'"),
        (
            {"potential": 'name = "hypentropy"'},
            r"\[potential\] hypentropy needs beta, got none; add a line such as beta = 1.0",
        ),
        ({"activation": 'name = "relu_power"'}, r"\[activation\] relu_power needs"),
        ({"potential": 'name = "quadratic"\nscaled = "yes"'}, "`potential.scaled` must be true or false, got 'yes'"),
        ({"potential": "scaled = true"}, "`potential.name` must be one of"),
    ],
)
def test_bad_toml_is_refused(tables, message):
    parts = {name: body for name, body in (MINIMAL | tables).items() if body is not None}
    with pytest.raises(sb.DataError, match=message):
        sb.Problem.from_toml("".join(f"[{name}]\n{body}\n" for name, body in parts.items()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data\n", "the problem is not valid TOML"),
        ("data = 1\ninitialization = 2\n", r"a problem has tables \[data\], \[initialization\]"),
        ("missing.toml", "cannot read the problem file missing.toml"),
        ("", "cannot read the problem file"),
        ("a\0b.toml", "cannot read the problem file"),
        (None, "`source` must be TOML text or the path of a TOML file, got None"),
        (3, "`source` must be TOML text or the path of a TOML file, got 3"),
        (b"[data]\n", "`source` must be TOML text or the path of a TOML file, got b"),
        ("data = 1\n", r"got data = 1; write a line \[data\] instead"),
    ],
)
def test_unreadable_text_is_refused(text, message):
    with pytest.raises(sb.DataError, match=message):
        sb.Problem.from_toml(text)


def test_unwritable_paths_are_refused(tmp_path):
    with pytest.raises(sb.DataError, match="the output path must be a file in an existing writable folder"):
        sb.Problem(DATA, INIT).to_toml(tmp_path / "missing" / "problem.toml")


def test_subclasses_without_a_name_in_toml_are_refused():
    class Softened(sb.Quadratic):
        pass

    with pytest.raises(sb.CapabilityError, match="Softened"):
        sb.Problem(DATA, INIT, potential=Softened()).to_toml()


def test_extreme_numbers_survive(tmp_path):
    data = sb.Dataset([-1e300, np.nextafter(0, 1), math.pi], [5e-324, -0.0, 1e308])
    again = sb.Problem.from_toml(sb.Problem(data, INIT).to_toml()).data
    assert again.x.tobytes() == data.x.tobytes()
    assert again.y.tobytes() == data.y.tobytes()
