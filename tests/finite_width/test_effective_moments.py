"""Second moments of scale families as functions of one variable, beside quadratures over |w|."""

import numpy as np
import pytest
from problems import SET_A

import splinebias as sb
from splinebias.finite_width.quadrature import neuron_quadrature
from splinebias.finite_width.quadrature.effective_moments import effective_moments
from splinebias.finite_width.quadrature.neurons import FamilyNeurons, NeuronsOfSide, PowerNeurons
from splinebias.initialization.zeta import RadiusOfBox, RadiusOfExponential, RadiusOfStudent
from splinebias.numerics.legendre import gauss_legendre

PROFILES = {
    "normal": RadiusOfExponential(2.0, 2.0),
    "gamma": RadiusOfExponential(2.0, 1.0),
    "other": RadiusOfExponential(2.0, 1.5),
    "box": RadiusOfBox(),
    "student": RadiusOfStudent(7.0),
}
POTENTIALS = {
    "u4+u2": sb.Power(4, quadratic=0.02),
    "u3+u2": sb.Power(3, quadratic=30.0),
    "u2.5+u2": sb.Power(2.5, quadratic=0.7),
    "u1.5+u2": sb.Power(1.5, quadratic=1.0),
    "hypentropy": sb.Hypentropy(1.3),
}


def averages(phi, profile, z):
    """The three averages at one z by panels in log u; the derivatives of A from those of its inverse."""
    box, heavy = isinstance(profile, RadiusOfBox), np.isfinite(profile.tail)
    ends = np.linspace(-45, 0 if box else 60 if heavy else 6, 300)
    place, weight = gauss_legendre(20)
    t, mass = ends[:-1, None] + np.diff(ends)[:, None] * place, np.diff(ends)[:, None] * weight
    u = np.exp(t)
    mass = mass * profile.density(u) * u
    a = phi.grad_inverse(u * z)
    steep = 1 / phi.hess(a)
    sharp = isinstance(phi, sb.Hypentropy)
    turn = a if sharp else -phi.p * (phi.p - 1) * (phi.p - 2) * a ** (phi.p - 3) * steep**3
    return [float((mass * of).sum()) for of in (u**2 * a**2, u**3 * a * steep, u**3 * turn)]


@pytest.mark.parametrize("potential", POTENTIALS)
@pytest.mark.parametrize("profile", PROFILES)
@np.errstate(all="ignore")
def test_averages_are_those_of_a_quadrature(profile, potential):
    law, phi = PROFILES[profile], POTENTIALS[potential]
    moments = effective_moments(phi, law)
    if potential == "hypentropy" and profile in ("other", "student"):
        assert moments is None  # no closed form, or infinite
        return
    z = np.array([1e-9, 1e-3, 0.05, 0.3]) if potential == "hypentropy" else np.array([1e-9, 1e-3, 0.2, 0.99, 3.0, 1e4])
    expected = np.array([averages(phi, law, at) for at in z]).T
    np.testing.assert_allclose(moments.square(z), expected[0], rtol=1e-12)
    np.testing.assert_allclose(moments.pull(z), expected[1], rtol=1e-12)
    if potential != "u1.5+u2":  # |A''| is infinite at 0
        np.testing.assert_allclose(moments.bend(z), expected[2], rtol=1e-12)


def test_heavy_tails_have_no_table_of_moments_they_lack():
    assert effective_moments(sb.Power(4, quadratic=1.0), RadiusOfStudent(3.5)) is None  # E[u^4]
    assert effective_moments(sb.Power(8, quadratic=1.0), RadiusOfStudent(7.0)).has_bend is False  # E[u^8]


LAWS = {
    "gaussian": sb.Initialization.gaussian(),
    "pytorch": sb.Initialization.pytorch_default(),
}


@pytest.mark.parametrize(
    ("law", "potential", "kind"),
    [
        ("gaussian", sb.Power(4, quadratic=1), FamilyNeurons),
        ("pytorch", sb.Power(3, quadratic=1), FamilyNeurons),
        ("pytorch", sb.Power(1.5), PowerNeurons),
    ],
)
def test_the_band_is_that_of_integrals_over_sizes(law, potential, kind, monkeypatch):
    """The twin integrates over |w| at every node of a grid that it refines itself."""
    problem, x = sb.Problem(SET_A, LAWS[law], potential=sb.Scaled(potential)), np.linspace(-1.3, 1.3, 14)
    fast = sb.error_band(problem, 100)
    kinds = {type(side) for side in fast.model.neurons.sides(x)[0]}
    assert kinds == {kind}
    monkeypatch.setattr(neuron_quadrature, "neurons_on", lambda *given: NeuronsOfSide(*given))
    slow = sb.error_band(problem, 100)
    size = np.abs(slow.cov(x)).max()
    assert np.abs(fast.cov(x) - slow.cov(x)).max() < 1e-10 * size
    other = sb.error_band(problem.with_ordinates(1.0001 * problem.data.y), 100)
    assert np.abs(other.cov(x) - slow.cov(x)).max() > 1e-5 * size  # the comparison can fail
