"""Beyond the data: one cell in 1/c beside the dozens of cells that double in width, and both sides at once."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from problems import SET_A

import splinebias as sb
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.panels import Fold
from splinebias.limit.posed_problem import PosedProblem

FAR = sb.Dataset(1000 + np.arange(4.0), [1.07, 1.6, 1.0, 0.31])
LAWS = {
    "gaussian": sb.Initialization.gaussian(1.3, 0.7),
    "correlated": sb.Initialization.joint(st.multivariate_normal([0, 0], [[1.0, -0.5], [-0.5, 0.8]])),
    "circle": sb.Initialization.unit_circle(),
    "box": sb.Initialization.pytorch_default(),
}


def dual_of(data, law, activation, potential):
    """The dual on its first grid, and its maximum."""
    problem = sb.Problem(data, law, activation, sb.Scaled(potential))
    dual, _ = IntegratedDual.of(PosedProblem(problem))
    return dual, sb.predict(problem).reached.function


@pytest.mark.parametrize("data", [SET_A, FAR], ids=["near", "far"])
@pytest.mark.parametrize("law", LAWS)
def test_one_cell_is_as_good_as_those_that_double(law, data):
    activation = sb.Abs() if law == "circle" else sb.LeakyReLU(0.3)
    dual, function = dual_of(data, LAWS[law], activation, sb.Power(3))
    assert None not in dual.grid.folds
    assert dual.grid.brief.number.size < dual.grid.placed.number.size / 2
    plain = dual.on(replace(dual.grid, folds=(None, None)))
    steep = function.beta or 1.0
    for turn in (1.0, -3.0, 0.0):  # the zero of the line is on either side of the data, or nowhere
        g = dual.equations.function(
            dual.equations.unknowns(function) * np.where(np.arange(data.size) == 0, turn, 1.0) + 1e-3 * steep
        )
        found, exact = dual.integrator.integrals(g), plain.integrator.integrals(g)
        scale = np.abs(exact).max(axis=2, keepdims=True)
        np.testing.assert_allclose(found / scale, exact / scale, rtol=0, atol=1e-12)
    resolved = replace(sb.predict(dual.problem).reached.grid, folds=dual.grid.folds)
    check = dual.on(resolved).checked(function)
    assert dual.on(resolved)._lost_in_folds(dual.on(resolved).at(function), check) < 1e-13


def test_a_cell_that_is_not_as_good_is_given_up():
    """The tails of this law are no smooth function of 1/c: whoever says so is not believed."""
    law = sb.Initialization(st.dweibull(1.7), st.dweibull(1.7, scale=0.5))
    dual, function = dual_of(SET_A, law, sb.ReLU(), sb.Power(4, quadratic=1))
    assert dual.grid.folds == (None, None)
    resolved = sb.predict(dual.problem).reached.grid
    edges = resolved.cells.edges
    folds = Fold(float(edges[edges < -1.2][-1]), 0.0), Fold(float(edges[edges > 1.2][0]), 0.0)
    wrong = dual.on(replace(resolved, folds=folds))
    state = wrong.at(function)
    assert wrong._lost_in_folds(state, wrong.checked(function)) > 1e-9
    assert wrong.refined(state, 1e-10).finer.grid.folds == (None, None)


@pytest.mark.parametrize("potential", [sb.Power(1.5), sb.Hypentropy(1.0)], ids=str)
def test_both_sides_at_once_are_one_after_the_other(potential):
    dual, function = dual_of(SET_A, LAWS["correlated"], sb.ReLU(), potential)
    integrator = dual.integrator
    together, apart = integrator._at_once(function), integrator._summed(function, None, None)
    np.testing.assert_allclose(together, apart, rtol=1e-13, atol=1e-15 * np.abs(apart).max())
