"""Verdicts: what agrees, what is refused; and every claim of every paper, right and wrong."""

import json
import math
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from marks import nightly
from scipy.interpolate import CubicSpline

import splinebias as sb
from splinebias.cli.main import main
from splinebias.theorems import (
    bordelon_pehlevan,
    jin_montufar,
    liang_montufar,
    min_mallada_vidal,
    several_inputs,
    verify,
    williams,
    yang,
    zhou,
)
from splinebias.theorems.verdict import Hypothesis, Relation, Status, Verdict
from splinebias.theorems.wide_networks import limit_function

GOOD = Hypothesis("it is so", Status.CHECKED, "a look")
BAD = Hypothesis.tested("it is otherwise", "a look", holds=False)


def verdict(measured, *, predicted=1.0, tolerance=0.1, relation=Relation.EQUAL, hypotheses=(GOOD,)):
    return Verdict("X y", "a claim", "a paper", hypotheses, "a number", predicted, measured, tolerance, relation)


@pytest.mark.parametrize(
    ("relation", "agreed"),
    [
        (Relation.EQUAL, [False, True, True, False]),
        (Relation.AT_MOST, [True, True, True, False]),
        (Relation.AT_LEAST, [False, True, True, True]),
    ],
)
def test_numbers_agree_within_the_tolerance_on_the_sides_that_the_relation_leaves_open(relation, agreed):
    assert [verdict(measured, relation=relation).agreed for measured in (0.89, 0.91, 1.09, 1.11)] == agreed


@pytest.mark.parametrize("relation", Relation)
@pytest.mark.parametrize(
    "numbers", [{"measured": math.nan}, {"measured": -math.inf}, {"predicted": math.nan, "measured": 1.0}]
)
def test_what_is_not_finite_never_agrees(relation, numbers):
    assert not verdict(**numbers, relation=relation).agreed
    assert not verdict(1.0, tolerance=math.inf, relation=relation).agreed


def test_a_violated_hypothesis_is_said_and_one_that_was_not_checked_is_none():
    unchecked = Hypothesis("it may be so", Status.NOT_CHECKED, "nothing")
    assert verdict(1.0, hypotheses=(GOOD, unchecked)).applies
    assert not verdict(1.0, hypotheses=(GOOD, BAD)).applies
    assert "a hypothesis is violated" in str(verdict(1.0, hypotheses=(BAD,)))
    assert "violated" in str(BAD)


def test_a_verdict_is_plain_as_a_dictionary():
    found = json.loads(json.dumps(verdict(2.0, hypotheses=(BAD,)).to_dict()))
    assert (found["agreed"], found["applies"]) == (False, False)
    assert found["hypotheses"] == [{"statement": "it is otherwise", "status": "violated", "by": "a look"}]
    assert "DISAGREED" in str(verdict(2.0))


# -- every claim ------------------------------------------------------------------------------------------------------


def of_law(law):
    """The limit of another law."""
    return lambda problem: limit_function(replace(problem, initialization=law))


def higher(problem):
    """The limit of data 1.2 times as high."""
    return limit_function(replace(problem, data=sb.Dataset(problem.data.x, 1.2 * problem.data.y)))


def not_a_knot(problem):
    return CubicSpline(problem.data.x, problem.data.y)


def without_slopes(f, data):
    """G_1 alone."""
    return liang_montufar._over_support(lambda c, h: 2 * h**2, f, data)


def of_other_potential(problem):
    return limit_function(replace(problem, potential=sb.Scaled(sb.Power(6, quadratic=0.1))))


def halves(f, data, phi):
    """The integral of phi(h''/p) p."""
    return liang_montufar.curvature_cost(f, data, phi) * 2


def ignoring(problem, start):
    return sb.predict(problem).function


def of_squares(data, activation):
    """The orientations of another multiplicity, or another activation."""
    return sb.condensed_orientations(data, sb.ReLUPower(2) if activation == sb.ReLU() else sb.ReLU())


def of_other_signs(data, activation):
    """The orientations of the data upside down: maxima take the place of minima."""
    found = sb.condensed_orientations(data, activation)
    return replace(found, signs=-found.signs)


def of_all(data, activation):
    """Every direction, with either sign."""
    found, angles = sb.condensed_orientations(data, activation), np.tile(np.arange(0, 360, 0.01), 2)
    signs = np.repeat([1.0, -1.0], angles.size // 2)
    return replace(found, angles=angles, signs=signs, strengths=signs, basins=np.full(angles.size, 1 / angles.size))


def of_sums(points, activation):
    """Four directions, those of the eigenvectors that multiplicity 2 has."""
    return sb.condensed_orientations(points, sb.XTanh())


def without_features(problem, times, x):
    """Fluctuations of networks whose features stay."""
    return sb.fluctuations(replace(problem, parameterization=sb.MeanField(1e-3)), times, x=x)


WRONG = {  # name: the claim with a wrong prediction, or on networks that are not what it is about; what then disagrees
    "limit": (jin_montufar.limit, {"function": of_law(sb.Initialization.gaussian(1.0, 0.5))}, ["JM limit"]),
    "rate 1": (jin_montufar.rate, {"exponent": -1.0, "scale": 1.3}, ["JM rate", "JM constant"]),
    "rate 1/3": (jin_montufar.rate, {"exponent": -1 / 3, "scale": 0.8}, ["JM rate", "JM constant"]),
    "stochastic": (jin_montufar.stochastic, {"function": higher}, ["JM stochastic"]),
    "free": (jin_montufar.free_affine, {"spline": not_a_knot}, ["JM free affine", "JM curvature"]),
    "trajectory": (jin_montufar.trajectory, {"at": 2.0}, ["JM trajectory"]),
    "powers": (jin_montufar.powers, {"function": of_law(liang_montufar.UNIFORM)}, ["JM powers"]),
    "start": (jin_montufar.start, {"function": ignoring}, ["JM start"]),
    "plane": (
        several_inputs.rate_in_plane,
        {"exponent": -1.0, "scale": 1.3},
        ["JM rate, 2 inputs", "JM constant, 2 inputs"],
    ),
    "space": (
        several_inputs.rate_in_space,
        {"exponent": -0.25, "scale": 0.7},
        ["JM rate, 3 inputs", "JM constant, 3 inputs"],
    ),
    "hidden, zero": (several_inputs.hidden_from_zero, {"exponent": -1.5}, ["JM hidden, a = 0"]),
    "hidden, random": (several_inputs.hidden_from_random, {"exponent": -0.5}, ["JM hidden, a ~ N(0, 1/n)"]),
    "unscaled": (liang_montufar.unscaled, {"function": higher}, ["LM unscaled u^4 + u^2", "LM unscaled hypentropy"]),
    "functional": (liang_montufar.relu_functional, {"of": without_slopes}, ["LM functional"]),
    "scaled": (
        liang_montufar.scaled,
        {"function": of_other_potential, "of": halves},
        ["LM scaled u^4 + u^2", "LM cost u^4 + u^2", "LM scaled u^2", "LM cost u^2"],
    ),
    "adaptive": (williams.adaptive_end, {"size": 3.0}, ["W adaptive"]),
    "boundary": (williams.boundary, {"size": 0.1}, ["W boundary"]),
    "no interpolant": (williams.no_interpolant, {"data": liang_montufar.SET_A}, ["W no interpolant"]),
    "kernel": (williams.kernel_end, {"function": not_a_knot}, ["W kernel"]),
    "kernel regime": (williams.kernel_end, {"size": 1.0, "imbalance": 0.0}, ["W kernel"]),
    "conservation": (
        williams.conservation,
        {"method": sb.MirrorDescent(learning_rate=1.0, max_steps=300)},
        ["W conservation"],
    ),
    "sqrt n": (williams.kernel_survives, {"scaling": williams.LINEAR}, ["W sqrt n limit", "W sqrt n curvature"]),
    "n": (williams.adaptive_survives, {"scaling": williams.SQUARE_ROOT}, ["W n curvature", "W n limit"]),
    "count": (
        zhou.count,
        {"per_power": 1, "orientations": of_squares},
        [f"Z {what} p = {p}" for p in (1, 2, 3) for what in ("count", "directions")],
    ),
    "signs": (
        zhou.count,
        {"per_power": 1, "orientations": of_other_signs},
        [f"Z {what} p = {p}" for p in (1, 2, 3) for what in ("count", "directions")],
    ),
    "everything": (
        zhou.count,
        {"per_power": 1, "orientations": of_all},
        [f"Z {what} p = {p}" for p in (1, 2, 3) for what in ("count", "directions")],
    ),
    "error": (zhou.error, {"constant": 1.3}, ["Z error"]),
    "winner": (
        zhou.winner,
        {"neurons": 4.0, "orientations": of_squares},
        [f"Z {what} {name}" for name in ("XTanh()", "X2Tanh()") for what in ("winner", "winner's direction")],
    ),
    "stop": (zhou.stop, {"fall": 0.01}, ["Z stop"]),
    "relu": (zhou.relu, {"orientations": of_squares, "share": 0.99}, ["Z ReLU", "Z ReLU winner"]),
    "mean": (zhou.mean, {"data": zhou.EIGHT, "orientations": of_squares}, ["Z off centre", "Z output bias"]),
    "inputs": (zhou.inputs, {"orientations": of_sums}, ["Z inputs", "Z inputs count"]),
    "layers": (zhou.layers, {"scale": 0.01}, ["Z layers"]),
    "independence": (min_mallada_vidal.independence, {"scales": (0.3, 1e-8)}, ["M independence"]),
    "time": (min_mallada_vidal.frozen, {"pull": 0.52}, ["M time"]),
    "halving": (min_mallada_vidal.halving, {"pull": 0.51}, ["M halving"]),
    "bound": (min_mallada_vidal.bound, {"powers": (-1.0, 0.25)}, ["M bound in M", "M bound in mu"]),
    "rank": (min_mallada_vidal.rank, {"most": 1.8}, ["M rank"]),
    "dead": (min_mallada_vidal.dead, {"share": 0.25}, ["M dead"]),
    "late": (min_mallada_vidal.late, {"rate": 0.5, "flat": True}, ["M late rate", "M not flat"]),
    "digits": (min_mallada_vidal.digits, {"rate": 0.12, "drift": 0.05}, ["M digits", "M digits subset"]),
    "fluctuations": (
        bordelon_pehlevan.variance,
        {"predicted": without_features},
        ["BP variance", "BP final", "BP not monotone"],
    ),
    "lazy": (bordelon_pehlevan.lazy, {"richness": 1.0}, ["BP lazy"]),
    "slower": (bordelon_pehlevan.slower, {"law": sb.Initialization.gaussian(), "times": (1.0,)}, ["BP slower"]),
    "bias spectrum": (yang.spectrum, {"bias": 1.05}, ["Y spectrum"]),
    "bias active": (yang.active, {"bias": 1.2}, ["Y active", "Y sparse"]),
    "bias flips": (yang.flips, {"width": 50_000}, ["Y flips"]),
    "bias residual": (yang.residual, {"bias": 1.5, "power": -1.0}, ["Y residual", "Y width"]),
    "bias steps": (yang.steps, {"bias": 0.0, "ratio": 0.25}, ["Y steps", "Y as fast"]),
    "bias width": (yang.required_width, {"power": 6.0}, ["Y required width"]),
    "bias bounds": (yang.bounds, {"shrink": 0.0, "constant": 0.1}, ["Y exact form", "Y worst case", "Y data bound"]),
    "bias generalization": (
        yang.generalization,
        {"factor": 0.005, "decay": 0.25},
        ["Y generalization", "Y sparsity and bound"],
    ),
}
QUICK = (
    "trajectory",
    "functional",
    "no interpolant",
    "conservation",
    "halving",
    "error",
    "inputs",
    "lazy",
    "hidden, random",
    "bias bounds",
)  # half a second or two each


@pytest.mark.parametrize("name", [name if name in QUICK else nightly(name) for name in WRONG])
def test_wrong_predictions_are_refused(name):
    claim, wrong, names = WRONG[name]
    found = verify.made(lambda *, fast: claim(fast=fast, **wrong), fast=True)
    assert [one.name for one in found] == names
    assert not any(one.agreed for one in found)


@pytest.mark.parametrize("name", QUICK)  # `.ci/run` does all of them, by the command
def test_claims_agree_and_no_hypothesis_is_violated(name):
    for found in verify.made(WRONG[name][0], fast=True):
        assert found.agreed, str(found)
        assert found.applies, str(found)
        assert found.source
        assert found.hypotheses


def test_every_claim_has_a_wrong_prediction_that_is_refused():
    refused = {claim for claim, _, _ in WRONG.values()}
    assert refused == {claim for claims in verify.catalogue().values() for claim in claims}


def test_the_table_of_the_documentation_has_every_verdict_as_it_is_found_now():
    page = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "verdicts.py"))
    body = page["MARKS"].search(page["PAGE"].read_text(encoding="utf-8")).group()
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in body.splitlines()[3:-1]]
    assert [row[0] for row in rows] == list(dict.fromkeys(name for _, _, names in WRONG.values() for name in names))
    assert all(row[7] == "yes" for row in rows)
    for found in verify.made(liang_montufar.relu_functional, fast=True):
        (row,) = (row for row in rows if row[0] == found.name)
        fresh = page["row"](found)
        assert [row[k] for k in (1, 2, 3, 7, 8)] == [fresh[k] for k in (1, 2, 3, 7, 8)], "run: python docs/verdicts.py"
        np.testing.assert_allclose(np.array(row[4:7], float), np.array(fresh[4:7], float), rtol=1e-2)


@pytest.mark.nightly
def test_digits_violate_the_hypothesis_of_alignment_and_the_verdict_says_so():
    whole, part = min_mallada_vidal.digits(fast=True)
    assert whole.agreed and not whole.applies
    assert "a hypothesis is violated" in str(whole)
    assert whole.hypotheses[0].status is Status.VIOLATED
    assert part.agreed and part.applies
    assert "259 of 360" in part.claim


# -- the verb and the command -----------------------------------------------------------------------------------------


@pytest.fixture
def papers(monkeypatch):
    """Two papers that cost nothing."""

    def good(*, fast):
        return verdict(1.0 + 0.01 * fast)

    def bad(*, fast):
        return verdict(1.0), verdict(3.0)

    monkeypatch.setattr(verify, "catalogue", lambda: {"P": (good,), "Q": (bad,)})


@pytest.mark.usefixtures("papers")
def test_papers_are_verified_in_the_order_of_their_names_each_once():
    assert [one.measured for one in sb.verify()] == [1.0, 1.0, 3.0]
    assert [one.measured for one in sb.verify("Q", "P", "Q", fast=True)] == [1.0, 3.0, 1.01]


@pytest.mark.parametrize("paper", ["JN", "jm", 3])
def test_other_papers_are_refused(paper):
    with pytest.raises(sb.DataError, match=r"`papers` must be among JM, LM, W, Z, M, BP, Y, got"):
        sb.verify("JM", paper)


@pytest.mark.usefixtures("papers")
def test_the_command_says_what_disagrees_by_its_exit_status():
    run = CliRunner().invoke(main, ["verify", "P", "--fast"])
    assert (run.exit_code, "1 of 1 agreed" in run.output) == (0, True)
    run = CliRunner().invoke(main, ["verify", "--json"])
    found = json.loads(run.output)
    assert run.exit_code == 1
    assert found["disagreed"] == ["X y"]
    assert [one["agreed"] for one in found["verdicts"]] == [True, True, False]
    run = CliRunner().invoke(main, ["verify", "JM"])
    assert run.exit_code == 2
    assert "`papers` must be among P, Q" in run.stderr


def test_the_functional_of_lm_is_the_penalty():
    """By quadrature of the function, against the pairing of data and multipliers."""
    problem = sb.Problem(liang_montufar.SET_A, liang_montufar.UNIFORM)
    limit = sb.predict(problem)
    assert liang_montufar.functional(limit.function, problem.data) == pytest.approx(limit.penalty, rel=1e-9)
    phi = sb.Power(4, quadratic=1)
    problem = sb.Problem(liang_montufar.SET_B, liang_montufar.UNIFORM, sb.Abs(), sb.Scaled(phi))
    limit = sb.predict(problem)
    assert liang_montufar.curvature_cost(limit.function, problem.data, phi) == pytest.approx(limit.penalty, rel=1e-7)
    spline = CubicSpline(problem.data.x, problem.data.y, bc_type="natural")
    square = jin_montufar._square_of_curvature(spline, problem.data.x)
    rough = np.linspace(*problem.data.x[[0, -1]], 200_001)
    assert square == pytest.approx(np.trapezoid(spline(rough, 2) ** 2, rough), rel=1e-6)
