"""Rules on the unit interval: what they integrate exactly, and what half of their nodes do."""

import numpy as np
import pytest

from splinebias.numerics.double_exponential import FINE, PLAIN, SHORT, fejer


@pytest.mark.parametrize("count", [8, 16])
def test_the_rule_of_fejer_is_exact_for_polynomials_and_so_is_half_of_it(count):
    rule = fejer(count)
    assert rule.u.size == count - 1
    assert (rule.weights > 0).all()
    np.testing.assert_allclose(rule.u + rule.other, 1, rtol=1e-15)
    for weights, degree in ((rule.weights, count - 1), (rule.half, count // 2 - 1)):
        errors = [abs(weights @ rule.u**k - 1 / (k + 1)) for k in range(degree + 2)]
        assert max(errors[:-1]) < 1e-15
        assert errors[-1] > 1e-12
    assert np.count_nonzero(rule.half) == count // 2 - 1


@pytest.mark.parametrize(("rule", "error"), [(SHORT, 1e-8), (PLAIN, 1e-12), (FINE, 1e-14)])
def test_double_exponential_rules_take_singular_ends(rule, error):
    for power in (-0.5, 1 / 3, 0.02):
        whole, half = (float(rule.u**power @ weights) for weights in (rule.weights, rule.half))
        assert abs(whole - 1 / (1 + power)) <= max(abs(whole - half), 1e-8 if power < 0 else error)
