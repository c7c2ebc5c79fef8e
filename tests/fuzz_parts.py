"""Parts of random problems: data, laws, activations and potentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats as st

import splinebias as sb

Rng = np.random.Generator
ACTIVATIONS = (sb.ReLU(), sb.Abs(), sb.LeakyReLU(0.2), sb.LeakyReLU(-0.5))


def any_data(rng: Rng, size: int | None = None, scale: float = 1.0) -> sb.Dataset:
    """2 to 12 points on (-scale, scale), rough or smooth."""
    size = size or int(rng.integers(2, 13))
    x = np.sort(rng.uniform(-1, 1, size))
    noise = rng.choice([0.02, 1.0])
    return sb.Dataset(scale * x, np.sin(rng.uniform(1, 6) * x + 1) + noise * rng.normal(size=size))


def any_bias(rng: Rng) -> object:
    """A law of biases, seldom centred, that the data above are likely to see."""
    loc, scale = rng.normal(0, 0.3), 10 ** rng.uniform(-0.3, 0.5)
    return one_of(
        rng,
        lambda: st.uniform(loc - 2 * scale, 4 * scale),
        lambda: st.norm(loc, scale),
        lambda: st.laplace(loc, scale),
        lambda: st.t(rng.choice([2.5, 3.0, 5.0]), loc, scale),
        lambda: st.gamma(rng.uniform(1, 4), -2 * scale, scale),
        lambda: st.weibull_min(rng.uniform(1.2, 3), -2 * scale, 2 * scale),
        lambda: st.beta(rng.uniform(0.7, 3), rng.uniform(0.7, 3), -3 * scale, 6 * scale),
        lambda: st.logistic(loc, scale),
    )


def any_weight(rng: Rng) -> object:
    """A law of weights with a density, one-sided ones among them."""
    scale = 10 ** rng.uniform(-0.5, 0.5)
    return one_of(
        rng,
        lambda: st.norm(0, scale),
        lambda: st.norm(rng.normal(0, scale), scale),
        lambda: st.uniform(-scale, 2 * scale),
        lambda: st.uniform(0.3 * scale, scale),
        lambda: st.laplace(0, scale),
        lambda: st.gamma(rng.uniform(1, 4), 0, scale),
        lambda: st.t(5, 0, scale),
        lambda: st.weibull_min(rng.uniform(1.2, 3), 0, scale),
        lambda: st.beta(2, rng.uniform(1, 3), -scale, 2 * scale),
    )


def atoms(rng: Rng) -> sb.Discrete:
    """Weights of one to three values."""
    values = rng.choice([-2.0, -1.0, -0.3, 0.5, 1.0, 3.0], int(rng.integers(1, 4)), replace=False)
    return sb.Discrete(tuple(values.tolist()), tuple(rng.dirichlet(np.full(values.size, 3.0)).tolist()))


def quick_law(rng: Rng) -> sb.Initialization:
    """A law with finitely many |w| at every breakpoint."""
    return one_of(
        rng,
        lambda: sb.Initialization.rademacher(any_bias(rng)),
        lambda: sb.Initialization(atoms(rng), any_bias(rng)),
        lambda: sb.Initialization.unit_circle(),
    )


def random_law(rng: Rng) -> sb.Initialization:
    """A law with random |w|."""
    return one_of(
        rng,
        lambda: sb.Initialization.gaussian(*10 ** rng.uniform(-0.5, 0.5, 2)),
        lambda: sb.Initialization.uniform(*10 ** rng.uniform(-0.2, 0.6, 2)),
        lambda: sb.Initialization(any_weight(rng), st.norm(rng.normal(0, 0.3), rng.uniform(0.5, 2))),
        lambda: sb.Initialization(st.norm(0, rng.uniform(0.5, 2)), any_bias(rng)),
    )


def any_law(rng: Rng) -> sb.Initialization:
    """Either."""
    return quick_law(rng) if rng.random() < 0.75 else random_law(rng)


def any_phi(rng: Rng) -> sb.Potential:
    """A potential of moderate steepness."""
    return one_of(
        rng,
        lambda: sb.Power(rng.uniform(1.3, 5), float(rng.choice([0.0, 1e-3, 1.0]))),
        lambda: sb.Power(int(rng.integers(2, 5)), float(rng.choice([0.0, 0.1, 1.0]))),
        lambda: sb.Hypentropy(10 ** rng.uniform(-1, 3)),
    )


def any_affine(rng: Rng) -> str:
    return str(rng.choice(["network", "free"]))


def any_activation(rng: Rng) -> sb.Activation:
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]


def one_of(rng: Rng, *makers: Callable[[], Any]) -> Any:
    """What one of these makes."""
    return makers[rng.integers(len(makers))]()
