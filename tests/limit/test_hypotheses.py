"""Hypotheses are worded once: whoever asks for one says so in the same words."""

import numpy as np
import pytest
import scipy.stats as st
from problems import SET_A

import splinebias as sb
from splinebias.limit.hypotheses import require_attained, require_mobile, require_moments, require_range
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.linear_flow import LinearFlow

UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))


@pytest.mark.parametrize("phi", [sb.Power(3), sb.Power(4, quadratic=1e-300), sb.Power(1.5), sb.Hypentropy(1e300)], ids=str)
def test_output_weights_at_zero_move_at_a_speed_that_is_neither_zero_nor_infinite(phi: sb.Potential) -> None:
    if 0 < phi.hess_at_zero < np.inf:
        require_mobile(phi, "nobody")
        return
    words = (
        "needs 0 < phi''\\(0\\) < inf, got phi''\\(0\\) = (0|inf) for .* would move (infinitely fast|not at all); (add|use) "
    )
    with pytest.raises(sb.DataError, match=f"^somebody {words}"):
        require_mobile(phi, "somebody")
    with pytest.raises(sb.CapabilityError, match=f"^a capability {words}.*, or none of that$"):
        require_mobile(phi, "a capability", also=", or none of that", error=sb.CapabilityError)
    problem = sb.Problem(SET_A, UNIFORM, potential=phi)
    for asks in (sb.predict, lambda p: sb.train(p, 10), lambda p: LinearFlow.of(PosedProblem(p))):
        with pytest.raises(sb.DataError, match=words):
            asks(problem)


def test_moments_are_asked_of_the_laws_that_have_to_have_them() -> None:
    init = sb.Initialization(st.norm(), st.t(2.5))
    problem = sb.Problem(SET_A, init, potential=sb.Scaled(sb.Power(1.5)))  # phi* grows like a cube
    with pytest.raises(
        sb.DataError, match=r"Power\(p=1.5, .* needs a finite moment of order 3 of the `bias` law, and t\(2.5\)"
    ):
        require_attained(problem, 3.0, bias=True)
    require_attained(problem, 3.0, bias=False)  # offsets that are free
    require_attained(problem, 2.0, bias=True)  # second moments are there, or there would be no Initialization
    with pytest.raises(sb.DataError, match="^somebody needs an exponential moment of .* has none: the end$"):
        require_moments(problem, np.inf, "somebody needs", "the end")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, 1e51], [0, 1], r"\|x\| <= 1e\+50, got 1e\+51"),
        ([0, 1], [0, 1e60], r"\|y\| <= 1e\+50, got 1e\+60"),
        ([0, 1e-60, 1], [0, 1, 0], "neighbouring x at least 1e-50 apart, got 1e-60; rescale or merge points"),
    ],
)
def test_range_of_the_data(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(sb.DataError, match=message):
        require_range(sb.Dataset(x, y))


@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()], ids=str)
@pytest.mark.parametrize("parameterization", [sb.Standard(), sb.NTK()], ids=str)
def test_bends_out_of_reach_are_refused_whichever_layers_are_trained(parameterization, activation):
    """No breakpoints between -2 and 2: there the features of both layers are affine."""
    init = sb.Initialization(sb.Rademacher(), st.uniform(2, 1), output=st.norm())
    bent = sb.Problem(sb.Dataset([-1, 0, 1, 2.5], [0, 1, 0, 3]), init, activation, parameterization=parameterization)
    with pytest.raises(sb.DataError, match="no neuron can bend the function near x = 0"):
        sb.predict(bent)
    straight = sb.Problem(sb.Dataset([-1, 0, 1, 2.5], [1, 1, 1, 3]), init, activation, parameterization=parameterization)
    assert sb.predict(straight).outcome is sb.Outcome.CONVERGED
