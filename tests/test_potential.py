"""Laws of mirror potentials: inverse maps, Fenchel-Young, derivatives, Bregman divergences; numpy and torch alike."""

import math

import numpy as np
import pytest
import scipy.stats as st
import torch

import splinebias as sb

EPS = np.finfo(float).eps
POWERS = [sb.Power(p, quadratic=eps) for p in (1.05, 1.1, 1.5, 2, 2.5, 3, 4, 6, 10) for eps in (0, 0.1, 1, 10)]
POTENTIALS = [sb.Quadratic(), *POWERS, sb.Hypentropy(0.01), sb.Hypentropy(1.0), sb.Hypentropy(100.0)]
every_potential = pytest.mark.parametrize("phi", POTENTIALS, ids=str)

SIZES = np.logspace(-12, 12, 97)
U = np.r_[-SIZES[::-1], 0.0, SIZES]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def over_doubling(function, u):
    """Integral of `function` from u to 2u: Gauss-Legendre, where everything here is analytic."""
    return (function(u[:, None] * (1.5 + NODES / 2)) * WEIGHTS).sum(axis=1) * u / 2


@every_potential
def test_inverse_mirror_map_undoes_the_mirror_map(phi):
    u = U[U != 0]
    condition = np.abs(phi.grad(u) / (u * phi.hess(u)))  # of the inverse map: relative change of u per relative change of z
    error = np.abs(phi.grad_inverse(phi.grad(u)) / u - 1)
    np.testing.assert_array_less(error, 32 * EPS * (1 + condition))


@every_potential
def test_mirror_map_undoes_its_inverse(phi):
    z = U[(U != 0) & (np.abs(U) < (500 if isinstance(phi, sb.Hypentropy) else np.inf))]
    u = phi.grad_inverse(z)
    condition = np.abs(u * phi.hess(u) / z)
    np.testing.assert_array_less(np.abs(phi.grad(u) / z - 1), 32 * EPS * (1 + condition + 1 / condition))


@every_potential
def test_maps_are_odd_and_vanish_at_zero(phi):
    for odd in (phi.grad, phi.grad_inverse):
        z = np.linspace(0, 20, 41)
        assert odd(np.float64(0.0)) == 0
        np.testing.assert_array_equal(odd(-z), -odd(z))
    np.testing.assert_array_equal(phi.value(-U), phi.value(U))


@every_potential
def test_gradient_integrates_to_value_and_hessian_to_gradient(phi):
    u = np.logspace(-6, 6, 25)
    values = np.abs(phi.value(2 * u)) + np.abs(phi.value(u))
    np.testing.assert_array_less(np.abs(over_doubling(phi.grad, u) - (phi.value(2 * u) - phi.value(u))), 64 * EPS * values)
    np.testing.assert_allclose(over_doubling(phi.hess, u), phi.grad(2 * u) - phi.grad(u), rtol=256 * EPS)


@every_potential
def test_hessian_is_the_difference_quotient_of_the_gradient(phi):
    u = np.logspace(-3, 3, 13)
    h = 1e-5 * u
    np.testing.assert_allclose((phi.grad(u + h) - phi.grad(u - h)) / (2 * h), phi.hess(u), rtol=1e-8)


@every_potential
def test_fenchel_young(phi):
    """phi(u) + phi*(z) >= uz, with equality exactly at z = phi'(u)."""
    u = np.r_[-np.logspace(-3, 2, 11), 0.0, np.logspace(-3, 2, 11)][:, None]
    z = np.r_[-np.logspace(-3, 1, 9), 0.0, np.logspace(-3, 1, 9)]
    size = np.abs(phi.value(u)) + np.abs(phi.conjugate(z)) + np.abs(u * z)
    assert (phi.value(u) + phi.conjugate(z) - u * z >= -16 * EPS * size).all()
    at = phi.grad(u)
    size = np.abs(phi.value(u)) + np.abs(phi.conjugate(at)) + np.abs(u * at)
    np.testing.assert_array_less(np.abs(phi.value(u) + phi.conjugate(at) - u * at), 64 * EPS * size + 1e-300)


@every_potential
def test_bregman_divergence_is_nonnegative_and_zero_on_the_diagonal(phi):
    u = np.r_[-np.logspace(-3, 2, 11), 0.0, np.logspace(-3, 2, 11)]
    v = u[:, None]
    size = np.abs(phi.value(u)) + np.abs(phi.value(v)) + np.abs(phi.grad(v) * (u - v))
    divergence = phi.bregman(u, v)
    assert (divergence >= -8 * EPS * size).all()
    np.testing.assert_array_equal(np.diag(divergence), 0)
    assert (divergence[np.abs(u - v) > 0.1 * np.maximum(np.abs(u), np.abs(v))] > 0).all()  # strict convexity


@every_potential
def test_numpy_and_torch_run_the_same_body(phi):
    u = np.r_[-np.logspace(-3, 1, 9), 0.0, np.logspace(-3, 1, 9)]
    for method in (phi.value, phi.grad, phi.hess, phi.grad_inverse, phi.conjugate):
        of_torch = method(torch.from_numpy(u))
        assert of_torch.dtype == torch.float64
        np.testing.assert_allclose(of_torch.numpy(), method(u), rtol=64 * EPS, atol=64 * EPS)


@pytest.mark.parametrize("phi", [p for p in POTENTIALS if 0 < p.hess_at_zero < math.inf], ids=str)
def test_slope_of_the_mirror_map_at_zero(phi):
    """phi'(u)/u -> phi''(0); the slowest case, p = 2.5, still differs by 2.5 u^(1/2) / phi''(0)."""
    assert phi.grad(np.float64(1e-14)) / 1e-14 == pytest.approx(phi.hess_at_zero, rel=1e-5)


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (sb.Quadratic(), 1.0),
        (sb.Power(1.5), math.inf),
        (sb.Power(1.5, quadratic=1), math.inf),
        (sb.Power(2, quadratic=1), 4.0),
        (sb.Power(3), 0.0),
        (sb.Power(4, quadratic=1), 2.0),
        (sb.Hypentropy(0.25), 4.0),
    ],
    ids=str,
)
def test_curvature_at_zero(phi, expected):
    assert phi.hess_at_zero == expected


def test_power_two_is_twice_the_quadratic():
    np.testing.assert_allclose(sb.Power(2).value(U), 2 * sb.Quadratic().value(U), rtol=4 * EPS)
    np.testing.assert_allclose(sb.Power(2).conjugate(U), sb.Quadratic().conjugate(U) / 2, rtol=8 * EPS)


def test_hypentropy_with_large_scale_tends_to_the_quadratic():
    """beta phi(u) + beta^2 -> u^2/2, with relative error u^2/(12 beta^2)."""
    u = np.linspace(0.5, 2, 7)
    errors = [np.abs(beta * sb.Hypentropy(beta).grad(u) / u - 1).max() for beta in (100.0, 200.0)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Power(1), r"`p` must be a finite real number > 1, got 1; .*take e.g. p = 1.1"),
        (lambda: sb.Power(0.5), "`p` must be a finite real number > 1, got 0.5"),
        (lambda: sb.Power(math.nan), "`p` must be .* got nan"),
        (lambda: sb.Power(math.inf), "`p` must be .* got inf"),
        (lambda: sb.Power("3"), "`p` must be .* got '3'"),
        (lambda: sb.Power(True), "`p` must be .* got True"),
        (lambda: sb.Power(3 + 0j), "`p` must be a finite real number"),
        (lambda: sb.Power(3, quadratic=-0.1), "`quadratic` must be a finite real number >= 0, got -0.1"),
        (lambda: sb.Hypentropy(0), "`beta` must be a finite real number > 0, got 0"),
        (lambda: sb.Hypentropy(-1.0), "`beta` must be .* > 0, got -1.0"),
        (lambda: sb.Scaled(sb.Power), "`base` must be a potential such as"),
        (lambda: sb.Scaled(sb.Scaled(sb.Quadratic())), "`base` must be a potential such as"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(sb.DataError, match=message):
        make()


@pytest.mark.parametrize("size", [1e-100, 1e-30, 1.0, 1e30])
def test_rescaling_a_pure_power_leaves_a_pure_power(size):
    assert sb.Power(12).rescaled(size)[0] == sb.Power(12)


@pytest.mark.parametrize("quadratic", [1e-300, 1e-220, 1e-150])
@pytest.mark.parametrize("p", [3, 4, 5])
def test_next_to_no_quadratic_part(p: float, quadratic: float) -> None:
    z = np.array([-2.0, 1e-30, 1.0, 1e20])
    phi, pure = sb.Power(p, quadratic=quadratic), sb.Power(p)
    np.testing.assert_allclose(phi.grad_inverse(z), pure.grad_inverse(z), rtol=1e-13)


def test_potentials_name_themselves():
    names = [phi.name for phi in (sb.Quadratic(), sb.Power(3), sb.Hypentropy(1.0))]
    assert names == ["quadratic", "power", "hypentropy"] and sb.Potential.name == ""


@pytest.mark.parametrize(("kind", "size", "name"), [(sb.Power, 1.0000001, "p"), (sb.Hypentropy, 1e-300, "beta")])
def test_potentials_whose_inverse_leaves_doubles_are_refused(kind, size, name):
    with pytest.raises(sb.DataError, match=f"`{name}` must be at least .*leaves the range of doubles; take"):
        kind(size)


@pytest.mark.parametrize("potential", [sb.Power(1.001), sb.Hypentropy(1e-20)], ids=str)
def test_those_that_are_taken_instead_are_solved(potential):
    data = sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15)
    found = sb.predict(sb.Problem(data, sb.Initialization.rademacher(st.uniform(-1.2, 2.4)), potential=sb.Scaled(potential)))
    assert found.outcome is sb.Outcome.CONVERGED and np.isfinite(found.penalty)
