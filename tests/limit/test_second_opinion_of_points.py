"""The second opinion on limits of several inputs: its rules against the kernels of solvers, and what it catches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.limit.second_opinion import pair_means
from splinebias.limit.second_opinion.opinion import checked, second_opinion
from splinebias.limit.several_inputs.kernel_of import input_kernel
from splinebias.limit.several_inputs.predict import predict_points

SLOPES = {"leaky": sb.LeakyReLU(0.3), "abs": sb.Abs()}


def points(inputs, size=12, scale=1.0):
    x = scale * np.random.default_rng(inputs).uniform(-1, 1, size=(size, inputs))
    x[1] = x[0] + 1e-4  # close
    x[2] = x[3]
    x[2, 0] += 0.1  # many coordinates in common
    return x


RULES = {  # what solvers take, and the law of which both are
    "normal": (
        lambda act, x, z: pair_means.of_normal(act, 1.2, 0.7, x, z),
        lambda d: sb.Initialization.gaussian(1.2, 0.7, dim=d),
    ),
    "sphere": (
        lambda act, x, z: pair_means.on_sphere(act, 3.0, x, z),
        lambda d: sb.Initialization.sphere(st.uniform(-3, 6), dim=d),
    ),
    "cube": (
        lambda act, x, z: pair_means.in_cube(act, 4.0, 0.7, x, z),
        lambda d: sb.Initialization.uniform(0.7, 4.0, dim=d),
    ),
    "circle, few reached": (
        lambda act, x, z: pair_means.on_circle(act, 0.3, x, z),
        lambda d: sb.Initialization.sphere(st.uniform(-0.3, 0.6), dim=d),
    ),
    "square, few reached": (
        lambda act, x, z: pair_means.on_square(act, 0.02, 0.7, x, z),
        lambda d: sb.Initialization.uniform(0.7, 0.02, dim=d),
    ),
}


@pytest.mark.parametrize(("name", "inputs"), [(name, d) for name in RULES for d in ((2,) if "few" in name else (2, 5))])
@pytest.mark.parametrize("slopes", ["leaky", "abs"])
def test_means_of_pairs_are_those_of_the_kernels(name, slopes, inputs):
    rule, law = RULES[name]
    act, x, moment = SLOPES[slopes].two_slopes, points(inputs, 10), 0.7
    one, other = (np.repeat(x, 10, axis=0), np.tile(x, (10, 1))) if "few" in name else (x, x)
    found = rule(act, one, other)
    kernel = input_kernel(law(inputs), act, 64, 0).matrix(x, x)
    both = input_kernel(law(inputs), act, 64, 0, moment).matrix(x, x)
    gates = (both - kernel) / (moment * (x @ x.T + 1))
    assert np.abs(found.outer - kernel.reshape(found.outer.shape)).max() < 1e-14 * inputs
    assert np.max(found.outer_bound) < 1e-10
    gates_bound = np.broadcast_to(found.hidden_bound, found.hidden.shape)
    assert (np.abs(found.hidden - gates.reshape(found.hidden.shape)) <= 1e-12 + gates_bound).all()


def known(name, inputs):
    return {
        "normal": sb.Initialization.gaussian(dim=inputs),
        "sphere": sb.Initialization.sphere(st.uniform(-3, 6), dim=inputs),
        "cube": sb.Initialization.uniform(1.0, 4.0, dim=inputs),
        "circle": sb.Initialization.sphere(st.uniform(-0.5, 1), dim=2),
        "square": sb.Initialization.uniform(1.0, 0.1, dim=2),
    }[name]


KINDS = [
    (name, d, kind) for name, d in (("normal", 2), ("sphere", 3), ("cube", 3)) for kind in ("network", "free", "both layers")
]


@pytest.mark.parametrize(("name", "inputs", "kind"), [*KINDS, ("circle", 2, "free"), ("square", 2, "both layers")])
def test_wrong_multipliers_functions_and_laws_of_several_inputs_are_seen(name, inputs, kind):
    init, x = known(name, inputs), np.random.default_rng(inputs).uniform(-1, 1, size=(11, inputs))
    values = np.sin(2 * x[:, 0]) + x[:, 1] ** 2
    if kind == "both layers":
        init = replace(init, output=st.norm(0, 0.8))
    how = {"parameterization": sb.NTK()} if kind == "both layers" else {"affine": kind}
    found = sb.predict(sb.Problem(sb.Points(x, values), init, **how))
    opinion = second_opinion(found)
    assert found.outcome is sb.Outcome.CONVERGED
    assert found.stats["second_opinion"] == opinion.misfit < 1e-13
    assert opinion.bound < 2e-9
    assert second_opinion(replace(found, multipliers=found.multipliers * (1 + 1e-7))).misfit > 1e-9
    other = replace(found.function, multipliers=found.function.multipliers * (1 + 1e-7))
    assert second_opinion(replace(found, function=other)).misfit > 1e-9
    if name != "normal":
        return
    wider = sb.Initialization(pair=sb.Initialization.gaussian(1 + 1e-6, 1.0, dim=inputs).pair_law, output=init.output)
    assert second_opinion(replace(found, problem=replace(found.problem, initialization=wider))).misfit > 1e-8


def test_it_is_part_of_residual_and_outcome_at_all_times():
    class Off(sb.PointsSolver):
        def at(self, problem, times):
            made = super().at(problem, times)
            return [replace(p, multipliers=p.multipliers * (1 + 1e-6)) for p in made]

    x = points(2)
    problem = sb.Problem(sb.Points(x, x[:, 0] ** 2), sb.Initialization.gaussian(dim=2))
    for solver, ok in ((sb.PointsSolver(), True), (Off(), False)):
        for found in predict_points(problem, solver, [3.0, np.inf], None, sb.predict, checked):
            assert found.outcome.ok is ok
            assert (found.residual > 1e-8) is not ok


def test_a_law_without_a_closed_form_is_drawn_from_and_says_so():
    x = points(2)
    init = sb.Initialization.coordinates(st.laplace(), st.norm(), dim=2)
    found = sb.predict(sb.Problem(sb.Points(x, x[:, 0]), init, parameterization=sb.Standard()), sb.PointsSolver(draws=2**10))
    opinion = second_opinion(found)
    assert opinion.misfit == 0
    assert 1e-3 < opinion.bound < 1
    wide = sb.Initialization.coordinates(st.laplace(0, 1.5), st.norm(), dim=2)
    assert second_opinion(replace(found, problem=replace(found.problem, initialization=wide))).misfit > 0.1
