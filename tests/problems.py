"""A catalogue of problems that is crossed with all solvers, and the published numbers with their recipe."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.stats as st

import splinebias as sb

SET_A = sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15)
SET_B = sb.Dataset([-1, 0.35, 0.65, 1], np.array([0.3, 0.3, 0, 0.3]) - 0.15)
UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
QUERY = np.array([-1.3, -0.6, -0.1, 0.5, 0.8, 1.3])

# Theory page, section 10: exact rational solutions for the uniform law, Newton to 1e-15 on a graded rule otherwise;
# printed there to about 1e-8 to 1e-10.
PUBLISHED = {
    "A": (
        sb.Problem(SET_A, UNIFORM),
        [0.00677419, -0.38748387, 0.04630645, -0.40380544, -0.27825000, 0.00677419],
        207.804193548,
    ),
    "A-translated": (
        sb.Problem(sb.Dataset(SET_A.x, SET_A.y - 3.5), UNIFORM),
        [-3.89967742, -3.73845161, -3.45708065, -3.79266633, -3.62075000, -3.89967742],
        354.397741936,
    ),
    "A-pytorch": (
        sb.Problem(SET_A, sb.Initialization.pytorch_default()),
        [0.0920331565, -0.4242206897, 0.0471413793, -0.4312015086, -0.3170741379, 0.0920331565],
        None,
    ),
    "B-u2": (
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(2))),
        [0.195, 0.2244924804, 0.3848849284, -0.0501340163, -0.0331495472, 0.195],
        None,
    ),
    "B-u3": (
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(3, quadratic=1))),
        [0.195, 0.2676689939, 0.4785247474, -0.0687797118, -0.0328301623, 0.195],
        None,
    ),
    "B-u4": (
        sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
        [0.195, 0.3055258024, 0.5519764664, -0.0774863670, -0.0324521814, 0.195],
        None,
    ),
}

LAWS = {
    "uniform-bias": UNIFORM,
    "gaussian-bias": sb.Initialization.rademacher(st.norm(0, 0.5)),
    "heavy-bias": sb.Initialization.rademacher(st.t(2.5)),
    "laplace-bias": sb.Initialization.rademacher(st.laplace(0.1, 0.4)),
    "skewed-bias": sb.Initialization.rademacher(st.gamma(2, -1.5, 0.7)),
    "one-sided": sb.Initialization(sb.Discrete((0.5, 2.0), (0.3, 0.7)), st.uniform(-3, 6)),
    "three-weights": sb.Initialization(sb.Discrete((-2.0, 1.0, 3.0), (0.2, 0.5, 0.3)), st.norm(0, 1)),
    "gaussian": sb.Initialization.gaussian(1.3, 0.7),
    "pytorch": sb.Initialization.pytorch_default(),
    "unit-circle": sb.Initialization.unit_circle(),
    "constant-bias": sb.Initialization.constant_bias(0.8, st.norm()),
    "student-weights": sb.Initialization(st.t(5), st.laplace()),
}
ONE_WEIGHT = [name for name in LAWS if name not in ("gaussian", "pytorch", "student-weights")]
ACTIVATIONS = {"relu": sb.ReLU(), "abs": sb.Abs(), "leaky": sb.LeakyReLU(0.3)}
SCALED = {
    "u1.5": sb.Power(1.5),
    "u3+u2": sb.Power(3, quadratic=1),
    "u4+u2": sb.Power(4, quadratic=1),
    "u4": sb.Power(4),
    "hypentropy": sb.Hypentropy(1.0),
}


def random_data(seed: int, size: int = 8) -> sb.Dataset:
    """`size` uniform points in (-1, 1) with Gaussian ordinates."""
    rng = np.random.default_rng(seed)
    return sb.Dataset(rng.uniform(-1, 1, size), rng.normal(size=size))


AFFINE = ("network", "free")
QUADRATIC_PROBLEMS = {
    f"{law}-{act}-{affine}": sb.Problem(SET_A, LAWS[law], ACTIVATIONS[act], affine=affine)
    for law, act, affine in itertools.product(LAWS, ACTIVATIONS, AFFINE)
}
SCALED_PROBLEMS = {
    f"{law}-{act}-{phi}-{affine}": sb.Problem(SET_B, LAWS[law], ACTIVATIONS[act], sb.Scaled(SCALED[phi]), affine)
    for law, act, phi, affine in itertools.product(ONE_WEIGHT, ACTIVATIONS, SCALED, AFFINE)
    if affine == "free" or law != "heavy-bias" or phi not in ("u1.5", "hypentropy")  # E[phi*] would be infinite
}
RANDOM_WEIGHT_PROBLEMS = {
    "gaussian-relu-u4+u2": sb.Problem(SET_A, LAWS["gaussian"], sb.ReLU(), sb.Scaled(SCALED["u4+u2"])),
    "pytorch-abs-hypentropy": sb.Problem(SET_B, LAWS["pytorch"], sb.Abs(), sb.Scaled(SCALED["hypentropy"])),
}


def _nth(choices, k: int) -> str:
    """The k-th of some names, counted in a circle."""
    return list(choices)[k % len(choices)]


# Parts of the catalogue, by name, for tests that cannot afford all of it. What a rule does not pair goes in circles.
EACH_LAW = [  # each law once; of activations and affine parts each pair twice
    f"{law}-{_nth(ACTIVATIONS, i)}-{_nth(AFFINE, i // 3)}" for i, law in enumerate(LAWS)
]
EACH_LAW_AND_POTENTIAL = [  # each law with each potential once, and each activation with each potential
    next(name for name in (f"{stem}-{_nth(AFFINE, i + j)}", f"{stem}-free") if name in SCALED_PROBLEMS)
    for (i, law), (j, phi) in itertools.product(enumerate(ONE_WEIGHT), enumerate(SCALED))
    for stem in [f"{law}-{_nth(ACTIVATIONS, i + j)}-{phi}"]
]
EACH_ACTIVATION_AND_POTENTIAL = [  # each activation with each potential once, and each law
    next(name for name in (f"{stem}-{_nth(AFFINE, i + j)}", f"{stem}-free") if name in SCALED_PROBLEMS)
    for (i, act), (j, phi) in itertools.product(enumerate(ACTIVATIONS), enumerate(SCALED))
    for stem in [f"{_nth(ONE_WEIGHT, 5 * i + j)}-{act}-{phi}"]
]
