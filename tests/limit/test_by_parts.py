"""Integrals of the dual by parts, beside quadratures that do not know of it."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from splinebias.functions.unfolding import Unfolding
from splinebias.limit.dual import objective
from splinebias.limit.dual.by_parts import ByParts
from splinebias.limit.dual.integrals import UnitQuadrature
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.posed_problem import PosedProblem

NARROW = sb.Initialization.rademacher(st.uniform(-0.5, 1))  # ends among the data
WIDE = sb.Initialization.rademacher(st.uniform(-2, 4))


def scaled(p: float, quadratic: float, *, size: int = 7, law: sb.Initialization = WIDE, **more: object) -> sb.Problem:
    """A problem with random data."""
    rng = np.random.default_rng(size)
    data = sb.Dataset(np.sort(rng.uniform(-1, 1, size)), rng.normal(size=size))
    return sb.Problem(data, law, potential=sb.Scaled(sb.Power(p, quadratic=quadratic)), **more)  # type: ignore[arg-type]


def by_quadrature(dual: IntegratedDual) -> IntegratedDual:
    """The same dual with a rule of many nodes that ends at all zeros."""
    grid = replace(dual.grid, cells=replace(dual.grid.cells, order=24), split=True)
    return replace(dual, integrator=UnitQuadrature(dual.equations, grid, dual.integrator.sides))


def assert_as_by_quadrature(problem: sb.Problem, *, tolerance: float) -> None:
    """The solution converges to that without closed forms, on the data and beside them."""
    found = sb.predict(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "has_closed_form", lambda potential: False)
        twin = sb.predict(problem)
    assert found.outcome is twin.outcome is sb.Outcome.CONVERGED
    line = np.linspace(-1.5, 1.5, 2001)
    np.testing.assert_allclose(found.function(line), twin.function(line), rtol=tolerance, atol=tolerance / 10)
    assert found.penalty == pytest.approx(twin.penalty, rel=tolerance)


@pytest.mark.parametrize("size", [2, 7, 300])
@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("law", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.3)], ids=repr)
@pytest.mark.parametrize(("p", "quadratic"), [(3, 1.0), (4, 1.0), (4, 1e-3), (5, 0.1), (8, 1.0)])
def test_twin_of_the_quadrature(
    p: float, quadratic: float, activation: sb.Activation, law: sb.Initialization, affine: str, size: int
) -> None:
    problem = scaled(p, quadratic, size=size, law=law, activation=activation, affine=affine)
    dual, start = IntegratedDual.of(PosedProblem(problem))
    assert isinstance(dual.integrator, ByParts)
    state, twin = dual.at(start), by_quadrature(dual).at(start)
    assert state.objective == pytest.approx(twin.objective, rel=1e-13, abs=1e-13 * twin.pairing)
    np.testing.assert_allclose(state.made, twin.made, rtol=0, atol=1e-13 * max(np.abs(twin.load).max(initial=0.0), 1e-300))
    step, other = (dual.equations.hessian(at.masses) for at in (state, twin))
    for name in ("diagonal", "off", "border", "corner"):
        mine, theirs = getattr(step, name), getattr(other, name)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-8 * np.abs(theirs).max(initial=1e-300))


@pytest.mark.parametrize(
    ("p", "quadratic", "ends"),
    [
        (3, 1.0, (-0.3, 2.0)),
        (3, 1e-9, (-2.0, 1e-7)),
        (4, 1.0, (1.0, 1.0 + 1e-9)),  # next to no change
        (4, 1e-12, (0.0, 3.0)),
        (4, 1e-6, (-1.0, 2.0)),
        (5, 1e-20, (-1e-12, 1.0)),
        (11, 0.5, (-40.0, -3.0)),
    ],
)
def test_one_cell_beside_arithmetic_with_40_digits(p: int, quadratic: float, ends: tuple[float, float]) -> None:
    """All rows of the table, whose formulas subtract nothing that is nearly equal."""
    problem = scaled(p, quadratic, size=3, law=sb.Initialization.rademacher(st.uniform(-1, 2)), affine="free")
    dual, _ = IntegratedDual.of(PosedProblem(problem))
    dual = dual.on(replace(dual.grid, unfolding=Unfolding.of(sb.Power(p, quadratic=quadratic))))
    x = dual.equations.x
    zero = dual.equations.function(np.zeros(1))
    values = np.array([*ends, 0.0])
    function = replace(zero, values=values, nodal=zero.activation.kink * values[None])
    found = dual.integrator.integrals(function)[[0, 1, 4, 5, 6, 7], 0, 1]

    with mpmath.workdps(40):
        low, high = (mpmath.mpf(end) for end in ends)

        def z(u: mpmath.mpf) -> mpmath.mpf:
            return p * mpmath.sign(u) * abs(u) ** (p - 1) + 2 * mpmath.mpf(quadratic) * u

        def inverse(value: mpmath.mpf) -> mpmath.mpf:
            u = mpmath.mpf(float(dual.potential.grad_inverse(np.array([float(value)]))[0]))
            for _ in range(4 if u else 0):
                u -= (z(u) - value) / (p * (p - 1) * abs(u) ** (p - 2) + 2 * mpmath.mpf(quadratic))
            return u

        first, last = inverse(low), inverse(high)
        places = [first, 0, last] if first * last < 0 else [first, last]

        def place(u: mpmath.mpf) -> mpmath.mpf:
            return (z(u) - low) / (high - low)

        def slope(u: mpmath.mpf) -> mpmath.mpf:
            return (p * (p - 1) * abs(u) ** (p - 2) + 2 * mpmath.mpf(quadratic)) / (high - low)

        def conjugate(u: mpmath.mpf) -> mpmath.mpf:
            return (p - 1) * abs(u) ** p + mpmath.mpf(quadratic) * u**2

        integrands = [
            lambda u: u * (1 - place(u)) * slope(u),
            lambda u: u * place(u) * slope(u),
            lambda u: (1 - place(u)) ** 2 / (high - low),
            lambda u: (1 - place(u)) * place(u) / (high - low),
            lambda u: place(u) ** 2 / (high - low),
            lambda u: conjugate(u) * slope(u),
        ]
        exact = np.array([float(mpmath.quad(of, places)) for of in integrands])
    density = 0.5  # of uniform biases on an interval of length 2, both sides
    np.testing.assert_allclose(found, density * (x[1] - x[0]) * exact, rtol=1e-12, atol=0)


def test_conditions_of_the_closed_form() -> None:
    """It takes whole powers with a quadratic part, units of |w| = 1 and a density that is constant in cells."""
    biases, steep = st.uniform(-2, 4), sb.Power(4, quadratic=1)
    for law, phi, exact in [
        (sb.Initialization.rademacher(biases), steep, True),
        (sb.Initialization.rademacher(biases), sb.Power(4), False),
        (sb.Initialization.rademacher(biases), sb.Power(2.5, quadratic=1), False),
        (sb.Initialization.rademacher(biases), sb.Hypentropy(1.0), False),
        (sb.Initialization.rademacher(st.norm()), steep, False),
        (sb.Initialization(sb.Discrete([-2, 2], [0.5, 0.5]), biases), steep, False),
        (sb.Initialization.uniform(1.0, 1.0), steep, False),
    ]:
        dual, _ = IntegratedDual.of(
            PosedProblem(sb.Problem(sb.Dataset([-1, 0, 1], [0, 1, 0]), law, potential=sb.Scaled(phi)))
        )
        assert isinstance(dual.integrator, ByParts) is exact, (law, phi)


@pytest.mark.parametrize("size", [2, 9])
@pytest.mark.parametrize("p", [3, 4])
@pytest.mark.parametrize("activation", [sb.ReLU(), sb.Abs()], ids=repr)
def test_a_mixture_is_the_sum_of_its_parts(activation: sb.Activation, p: float, size: int) -> None:
    """Of two laws that are the same, and of two that are not; beside the mean over units, from the multipliers."""
    parts = [sb.Initialization.rademacher(st.uniform(-1.2, 2.4)), sb.Initialization.rademacher(st.uniform(0.2, 0.6))]
    plain = scaled(p, 1.0, size=size, law=parts[0], activation=activation)
    x, line = plain.data.x, np.linspace(-1.5, 1.5, 61)
    found = sb.predict(plain)
    same = sb.predict(replace(plain, initialization=sb.Initialization.mixture([0.25, 0.75], [parts[0], parts[0]])))
    assert same.penalty == pytest.approx(found.penalty, rel=1e-12)
    np.testing.assert_allclose(same.function(line), found.function(line), rtol=0, atol=1e-12)

    mixed = sb.predict(replace(plain, initialization=sb.Initialization.mixture([0.4, 0.6], parts)))
    assert mixed.outcome is sb.Outcome.CONVERGED
    b, step = np.linspace(-1.2, 1.2, 600_001, retstep=True)
    density = 0.4 / 2.4 + 0.6 / 0.6 * ((b > 0.2) & (b < 0.8))
    density[[0, -1]] /= 2
    made, size_of_jump, phi = np.zeros(size), 0.0, sb.Power(p, quadratic=1)
    for w in (1, -1):
        features = [activation.value(w * point + b) for point in x]
        alpha = phi.grad_inverse(sum(weight * feature for weight, feature in zip(mixed.multipliers, features, strict=True)))
        made += [float((density * alpha * feature).sum() * step / 2) for feature in features]
        size_of_jump += max(float(np.abs(alpha * feature).max()) for feature in features)
    np.testing.assert_allclose(made, mixed.problem.data.y, rtol=0, atol=2 * step * size_of_jump)


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_units_of_one_sign(weight: float) -> None:
    """A side without units adds nothing."""
    data = sb.Dataset([-1, 0, 1], [0.3, 1, 0])
    problem = sb.Problem(
        data, sb.Initialization(sb.Constant(weight), st.uniform(-2, 4)), potential=sb.Scaled(sb.Power(4, 1))
    )
    assert_as_by_quadrature(problem, tolerance=1e-12)


@pytest.mark.parametrize("p", [3, 4, 6])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_many_points(p: float, noise: float) -> None:
    """The solution is that of the quadrature, in several blocks of cells."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-1, 1, 6000))
    problem = sb.Problem(
        sb.Dataset(x, np.sin(5 * x) + noise * rng.normal(size=x.size)), WIDE, potential=sb.Scaled(sb.Power(p, quadratic=1))
    )
    assert_as_by_quadrature(problem, tolerance=1e-9)
