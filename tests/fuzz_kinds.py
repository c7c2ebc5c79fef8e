"""The kinds of random problems: each makes one from a generator of random numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats as st

import splinebias as sb
from tests.fuzz_parts import (
    Rng,
    any_activation,
    any_affine,
    any_bias,
    any_data,
    any_law,
    any_phi,
    any_weight,
    atoms,
    one_of,
    quick_law,
    random_law,
)


def plain(rng: Rng) -> sb.Problem:
    potential = one_of(rng, lambda: sb.Quadratic(), lambda: sb.Hypentropy(1.0), lambda: sb.Power(4, 1.0))
    return sb.Problem(any_data(rng), any_law(rng), any_activation(rng), potential, any_affine(rng))


def scaled(rng: Rng) -> sb.Problem:
    return sb.Problem(any_data(rng), quick_law(rng), any_activation(rng), sb.Scaled(any_phi(rng)), any_affine(rng))


def scaled_random_weights(rng: Rng) -> sb.Problem:
    data = any_data(rng, int(rng.integers(2, 6)))
    return sb.Problem(data, random_law(rng), any_activation(rng), sb.Scaled(any_phi(rng)), any_affine(rng))


def far_tail(rng: Rng) -> sb.Problem:
    """All data in a tail of a law of biases that is often one-sided, with weights that are often of one sign."""
    bias = one_of(
        rng,
        lambda: st.laplace(),
        lambda: st.expon(),
        lambda: st.gamma(rng.uniform(1.5, 3)),
        lambda: st.logistic(),
        lambda: st.norm(0, 3),
        lambda: st.t(4),
        lambda: st.weibull_min(1.3),
    )
    sign = rng.choice([-1.0, 1.0])
    weight = one_of(rng, lambda: sb.Constant(sign), lambda: sb.Discrete((sign, 2 * sign), (0.6, 0.4)), sb.Rademacher)
    size, where = int(rng.integers(2, 7)), -sign * rng.uniform(8, 40)
    x = where + np.sort(rng.uniform(0, rng.choice([0.1, 1.0, 5.0]), size))
    potential = one_of(rng, sb.Quadratic, sb.Quadratic, lambda: sb.Scaled(sb.Power(3, 0.5)))
    return sb.Problem(sb.Dataset(x, rng.normal(size=size)), sb.Initialization(weight, bias), sb.ReLU(), potential)


def far_offset(rng: Rng) -> sb.Problem:
    """Data at 30 to 1e6 spacings from the origin, extrapolated there by laws around the origin."""
    offset, size = 10 ** rng.uniform(1.5, 6) * rng.choice([-1, 1]), int(rng.integers(2, 6))
    x = offset + np.cumsum(rng.uniform(0.5, 1.5, size))
    init = one_of(
        rng,
        lambda: sb.Initialization.gaussian(*10 ** rng.uniform(-0.5, 0.5, 2)),
        lambda: sb.Initialization.pytorch_default(),
        lambda: sb.Initialization.rademacher(st.t(3, 0, abs(offset))),
        lambda: sb.Initialization.unit_circle(),
        lambda: sb.Initialization(st.norm(), st.laplace()),
    )
    return sb.Problem(sb.Dataset(x, rng.normal(size=size)), init, any_activation(rng), affine=any_affine(rng))


def time_stamps(rng: Rng) -> sb.Problem:
    """Data far from the origin, at 1e4 to 1e7 spacings, inside a law that is there."""
    offset, size = 10 ** rng.uniform(4, 7), int(rng.integers(4, 12))
    x = offset + np.cumsum(rng.uniform(0.3, 1.7, size))
    bias = one_of(
        rng,
        lambda: st.uniform(-1.5 * offset, 3 * offset),
        lambda: st.norm(0, offset),
        lambda: st.norm(-offset, 20),
        lambda: st.laplace(-offset, 30),
    )
    weight = sb.Constant(1) if bias.dist.name in ("norm", "laplace") and bias.mean() else sb.Rademacher()
    affine = "free" if rng.random() < 0.7 else "network"
    return sb.Problem(
        sb.Dataset(x, rng.normal(size=size)), sb.Initialization(weight, bias), any_activation(rng), affine=affine
    )


def heavy_bias_power(rng: Rng) -> sb.Problem:
    """Powers of ReLU with a free line, where far neurons may make parabolas at no cost."""
    law = st.t(rng.choice([2.5, 3.5, 4.5, 7.0]), 0, 10 ** rng.uniform(-0.5, 0.5))
    init = sb.Initialization.rademacher(law) if rng.random() < 0.8 else sb.Initialization(st.norm(), law)
    data = any_data(rng, int(rng.integers(3, 8)))
    return sb.Problem(data, init, sb.ReLUPower(int(rng.integers(2, 6))), affine="free")


def close_points(rng: Rng) -> sb.Problem:
    """Pairs and triples of data that nearly coincide, with ordinates that agree or do not."""
    base = any_data(rng, int(rng.integers(3, 9)))
    near = base.x[rng.integers(base.size, size=2)] + 10 ** rng.uniform(-9, -2, 2)
    x = np.unique(np.r_[base.x, near])
    steep = rng.random() < 0.5
    y = np.interp(x, base.x, base.y) + (rng.normal(size=x.size) * 0.3 if steep else 0.0)
    init = any_law(rng)
    potential = sb.Quadratic() if rng.random() < 0.7 else sb.Scaled(sb.Power(2.5, 1.0))
    init = quick_law(rng) if isinstance(potential, sb.Scaled) else init
    return sb.Problem(sb.Dataset(x, y), init, any_activation(rng), potential, any_affine(rng))


def rare_neurons(rng: Rng) -> sb.Problem:
    """Hypentropy that asks much of a few neurons."""
    phi, data = sb.Hypentropy(10 ** rng.uniform(-3, 0)), any_data(rng, int(rng.integers(3, 8)))
    init = sb.Initialization.gaussian() if rng.random() < 0.5 else sb.Initialization.rademacher(st.norm(0, 0.7))
    return sb.Problem(data, init, sb.Abs() if rng.random() < 0.7 else sb.ReLU(), sb.Scaled(phi), any_affine(rng))


def extreme_potential(rng: Rng) -> sb.Problem:
    """Potentials at the ends of what numbers can say."""
    phi = one_of(
        rng,
        lambda: sb.Hypentropy(float(rng.choice([1e-300, 1e-100, 1e-20, 1e20, 1e100, 1e300]))),
        lambda: sb.Power(1 + float(rng.choice([1e-7, 1e-4, 1e-3, 5e-3]))),
        lambda: sb.Power(4, float(rng.choice([1e-300, 1e-60, 1e-12, 1e12, 1e100]))),
        lambda: sb.Power(float(rng.choice([15.0, 20.0, 30.0, 100.0]))),
    )
    data = any_data(rng, int(rng.integers(3, 7)))
    scale = sb.Dataset(data.x, data.y * float(rng.choice([1e-12, 1.0, 1e6])))
    return sb.Problem(scale, sb.Initialization.rademacher(any_bias(rng)), any_activation(rng), sb.Scaled(phi))


def steep_powers(rng: Rng) -> sb.Problem:
    p = float(rng.choice([1.02, 1.05, 1.1, 1.2, 6.0, 8.0, 10.0]))
    phi = sb.Power(p, float(rng.choice([0.0, 0.0, 1e-2, 1.0])))
    return sb.Problem(any_data(rng), sb.Initialization.rademacher(any_bias(rng)), any_activation(rng), sb.Scaled(phi))


def both_layers(rng: Rng) -> sb.Problem:
    """Tangent kernels; half of the laws leave out some of the data."""
    law = one_of(
        rng,
        lambda: (st.norm(), st.norm(0, rng.uniform(0.3, 2))),
        lambda: (sb.Rademacher(), st.uniform(-2, 4)),
        lambda: (sb.Discrete((0.5, 2.0), (0.3, 0.7)), st.norm()),
        lambda: (st.norm(), sb.Discrete((-1.0, 0.7), (0.4, 0.6))),
    )
    output = st.norm(0, 10 ** rng.uniform(-1, 0.5)) if rng.random() < 0.7 else sb.Rademacher()
    act = one_of(rng, sb.ReLU, sb.Abs, lambda: sb.LeakyReLU(0.3), lambda: sb.ReLUPower(2))
    data = any_data(rng, int(rng.integers(2, 7)))
    return sb.Problem(data, sb.Initialization(*law, output=output), act, parameterization=sb.NTK())


def both_layers_out_of_reach(rng: Rng) -> sb.Problem:
    """Tangent kernels of laws that have no breakpoints at some of the data."""
    bias = one_of(rng, lambda: st.uniform(0.2, 0.3), lambda: st.uniform(-0.1, 0.2), lambda: st.beta(2, 2, 0.4, 0.3))
    init = sb.Initialization(sb.Rademacher() if rng.random() < 0.7 else sb.Constant(1), bias, output=st.norm())
    size = int(rng.integers(4, 8))
    x = np.linspace(-1, 1, size) + rng.uniform(-0.1, 0.1, size)
    y = rng.normal(size=size) if rng.random() < 0.7 else 0.3 + 2 * x
    return sb.Problem(sb.Dataset(x, y), init, any_activation(rng), parameterization=sb.NTK())


def out_of_reach(rng: Rng) -> sb.Problem:
    """Bounded laws that miss some of the data, which bend there, or do not."""
    lo, width = rng.uniform(-1, 0.5), rng.uniform(0.1, 1)
    weight = one_of(rng, sb.Rademacher, lambda: sb.Constant(1), lambda: atoms(rng))
    data = any_data(rng, int(rng.integers(3, 8)))
    y = data.y if rng.random() < 0.5 else np.maximum(data.x - rng.choice(data.x), 0) - 0.3 * data.x
    init = sb.Initialization(weight, st.uniform(lo, width))
    return sb.Problem(sb.Dataset(data.x, y), init, any_activation(rng), affine=any_affine(rng))


def random_weights(rng: Rng) -> sb.Problem:
    return sb.Problem(any_data(rng, int(rng.integers(2, 8))), random_law(rng), any_activation(rng), affine=any_affine(rng))


def few_weights(rng: Rng) -> sb.Problem:
    potential = sb.Quadratic() if rng.random() < 0.5 else sb.Scaled(any_phi(rng))
    init = sb.Initialization(atoms(rng), any_bias(rng))
    return sb.Problem(any_data(rng), init, any_activation(rng), potential, any_affine(rng))


def mixtures(rng: Rng) -> sb.Problem:
    share = rng.uniform(0.1, 0.9)
    parts = [quick_law(rng), random_law(rng) if rng.random() < 0.3 else quick_law(rng)]
    init = sb.Initialization.mixture([share, 1 - share], parts)
    return sb.Problem(any_data(rng, int(rng.integers(2, 8))), init, any_activation(rng), affine=any_affine(rng))


def correlated_normal(rng: Rng) -> sb.Problem:
    (s, t), r = 10 ** rng.uniform(-0.4, 0.4, 2), rng.uniform(-0.9, 0.9)
    law = st.multivariate_normal(rng.normal(0, 0.4, 2), [[s * s, r * s * t], [r * s * t, t * t]])
    init = sb.Initialization.joint(law)
    return sb.Problem(any_data(rng, int(rng.integers(2, 7))), init, any_activation(rng), affine=any_affine(rng))


def joint_student(rng: Rng) -> sb.Problem:
    r = rng.uniform(-0.7, 0.7)
    law = st.multivariate_t(rng.normal(0, 0.3, 2), [[1, r], [r, 1]], df=float(rng.choice([5.0, 8.0])))
    data = any_data(rng, int(rng.integers(2, 5)))
    return sb.Problem(data, sb.Initialization.joint(law), any_activation(rng), affine=any_affine(rng))


def unit_circle(rng: Rng) -> sb.Problem:
    potential = sb.Quadratic() if rng.random() < 0.5 else sb.Scaled(any_phi(rng))
    data = any_data(rng, scale=10 ** rng.uniform(-1, 1))
    return sb.Problem(data, sb.Initialization.unit_circle(), any_activation(rng), potential, any_affine(rng))


def constant_bias(rng: Rng) -> sb.Problem:
    init = sb.Initialization.constant_bias(float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.5, 0.5)), any_weight(rng))
    potential = sb.Quadratic() if rng.random() < 0.6 else sb.Scaled(any_phi(rng))
    return sb.Problem(any_data(rng, int(rng.integers(2, 9))), init, any_activation(rng), potential, any_affine(rng))


def scales(rng: Rng) -> sb.Problem:
    """x and y from 1e-6 to 1e6, with a law that goes with x or one that does not."""
    sx, sy = 10 ** rng.uniform(-6, 6, 2)
    data = any_data(rng)
    scale = sx if rng.random() < 0.7 else 10 ** rng.uniform(-3, 3)
    init = sb.Initialization.rademacher(st.norm(0, scale) if rng.random() < 0.5 else st.uniform(-2 * scale, 4 * scale))
    init = sb.Initialization.gaussian(1, scale) if rng.random() < 0.2 else init
    potential = sb.Quadratic() if rng.random() < 0.7 else sb.Scaled(sb.Power(3, 1.0))
    return sb.Problem(sb.Dataset(sx * data.x, sy * data.y), init, any_activation(rng), potential, any_affine(rng))


def clusters(rng: Rng) -> sb.Problem:
    """A few tight groups of data."""
    centres = rng.uniform(-1, 1, int(rng.integers(2, 4)))
    x = np.unique(np.concatenate([c + 10 ** rng.uniform(-5, -2) * rng.uniform(-1, 1, 3) for c in centres]))
    y = np.sin(4 * x) + rng.choice([0, 1e-3, 0.3]) * rng.normal(size=x.size)
    potential = sb.Quadratic() if rng.random() < 0.7 else sb.Scaled(any_phi(rng))
    return sb.Problem(sb.Dataset(x, y), quick_law(rng), any_activation(rng), potential, any_affine(rng))


def powers_of_relu(rng: Rng) -> sb.Problem:
    init = one_of(
        rng,
        lambda: sb.Initialization.gaussian(1, rng.uniform(0.5, 2)),
        lambda: sb.Initialization.rademacher(st.norm(0, rng.uniform(0.5, 2))),
        lambda: sb.Initialization.rademacher(st.uniform(-2, 4)),
        lambda: sb.Initialization.unit_circle(),
        lambda: sb.Initialization.constant_bias(0.8, st.norm()),
    )
    data = any_data(rng, int(rng.integers(2, 8)))
    return sb.Problem(data, init, sb.ReLUPower(int(rng.integers(2, 5))), affine=any_affine(rng))


def many_points(rng: Rng) -> sb.Problem:
    """A hundred to three hundred points, with laws of finitely many |w|."""
    size = int(rng.integers(100, 301))
    x = np.unique(rng.uniform(-1, 1, size))
    data = sb.Dataset(x, np.sin(5 * x) + rng.choice([0.0, 0.01, 0.3]) * rng.normal(size=x.size))
    init = one_of(
        rng,
        lambda: sb.Initialization.rademacher(st.uniform(-1.5, 3)),
        lambda: sb.Initialization.rademacher(st.norm()),
        lambda: sb.Initialization.unit_circle(),
        lambda: sb.Initialization(sb.Discrete((-1.0, 2.0), (0.5, 0.5)), st.laplace(0, 2)),
    )
    potential = sb.Quadratic() if rng.random() < 0.7 else sb.Scaled(sb.Power(3, 1.0))
    return sb.Problem(data, init, any_activation(rng), potential, any_affine(rng))


KINDS: dict[str, Callable[[Rng], sb.Problem]] = {
    kind.__name__.replace("_", " "): kind
    for kind in (
        plain,
        scaled,
        scaled_random_weights,
        far_tail,
        far_offset,
        time_stamps,
        heavy_bias_power,
        close_points,
        rare_neurons,
        extreme_potential,
        steep_powers,
        both_layers,
        both_layers_out_of_reach,
        out_of_reach,
        random_weights,
        few_weights,
        mixtures,
        correlated_normal,
        joint_student,
        unit_circle,
        constant_bias,
        scales,
        clusters,
        powers_of_relu,
        many_points,
    )
}
