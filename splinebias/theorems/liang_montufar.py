r"""Verdicts on Liang & Montúfar (ICLR 2025): what mirror potentials change, and what they do not.

Functions and their keyword arguments: as in `jin_montufar`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import quad

from splinebias.activation import Abs
from splinebias.data import Dataset
from splinebias.limit.predict import predict
from splinebias.potential import Hypentropy, Potential, Power, Scaled
from splinebias.problem import Problem
from splinebias.theorems.verdict import DERIVED, Verdict
from splinebias.theorems.wide_networks import SET_A, SET_B, UNIFORM, CostOfNeurons, Limit, WideNetworks, limit_function

_SOURCE = "Liang & Montúfar 2025"
_RELU = f"{_SOURCE}, theorem on ReLU networks"
_ABS = f"{_SOURCE}, theorem on absolute-value networks"
_CONSTANT = f"; the constant: {DERIVED}"
UNSCALED = {"u^4 + u^2": Power(4, quadratic=1), "hypentropy": Hypentropy(0.5)}
SCALED = {"u^4 + u^2": Power(4, quadratic=1), "u^2": Power(2)}


def plain_limit(problem: Problem) -> Any:
    """The limit of gradient descent, whatever the potential of the problem."""
    return limit_function(Problem(problem.line_data, problem.initialization, problem.activation))


def unscaled(*, fast: bool, function: Limit = plain_limit) -> tuple[Verdict, ...]:
    """Unscaled potentials have one limit, that of gradient descent."""
    return tuple(
        WideNetworks(Problem(SET_A, UNIFORM, potential=phi), 6400, 8 if fast else 32).beside(
            f"LM unscaled {name}",
            f"networks trained with the unscaled potential {name} have the limit of gradient descent",
            _RELU + _CONSTANT,
            function,
        )
        for name, phi in UNSCALED.items()
    )


def functional(f: Any, data: Dataset) -> float:
    r""":math:`G_1 + G_2 + G_3` of LM for b ~ U(-1, 1): :math:`\int h''^2/p + (h'(\infty) + h'(-\infty))^2 +
    (\int h''|c| - 2h(0))^2/E[B^2]`, by quadrature between the data and 0."""
    bend = _over_support(lambda c, h: h**2 / 0.5, f, data)
    slopes = float(f(1.0, 1)) + float(f(np.nextafter(-1.0, -2.0), 1))  # no neuron bends f beyond -1 and 1
    offset = _over_support(lambda c, h: abs(c) * h, f, data) - 2 * float(f(0.0))
    return bend + slopes**2 + 3 * offset**2


def relu_functional(*, fast: bool, of: Callable[[Any, Dataset], float] = functional) -> Verdict:
    """What the output weights cost is G_1 + G_2 + G_3 of the limit."""
    problem = Problem(SET_A, UNIFORM)
    networks, limit = WideNetworks(problem, 6400, 16 if fast else 64), predict(problem)
    return CostOfNeurons(networks, np.square, lambda z: z / 2).verdict(
        "LM functional",
        "the least n sum a_k^2 is G_1 + G_2 + G_3: curvature, slopes and offset",
        f"{_RELU}; the deviation at finite width: {DERIVED}",
        of(limit.function, problem.line_data),
        2 * limit.multipliers,
    )


def curvature_cost(f: Any, data: Dataset, phi: Potential) -> float:
    r""":math:`\int \phi(h''/(2p))\, p`, p = 1/2 on [-1, 1], by quadrature between the data."""
    return _over_support(lambda c, h: 0.5 * float(phi.value(np.array(h))), f, data)


def scaled(
    *,
    fast: bool,
    function: Limit = limit_function,
    of: Callable[[Any, Dataset, Potential], float] = curvature_cost,
) -> tuple[Verdict, ...]:
    """Scaled potentials: absolute-value networks end at the least integral of phi(h''/(2p)) p, and at that cost."""
    verdicts: list[Verdict] = []
    for name, phi in SCALED.items():
        problem = Problem(SET_B, UNIFORM, Abs(), Scaled(phi))
        networks, limit = WideNetworks(problem, 6400, 8 if fast else 32), predict(problem)
        end = networks.beside(
            f"LM scaled {name}",
            f"absolute-value networks with the scaled potential {name} end at the least integral of phi(h''/(2p)) p",
            _ABS + _CONSTANT,
            function,
        )
        cost = CostOfNeurons(networks, phi.value, phi.grad_inverse).verdict(
            f"LM cost {name}",
            f"with the scaled potential {name} the mean of phi(n a_k) over neurons is that integral",
            f"{_ABS}; the deviation at finite width: {DERIVED}",
            of(limit.function, problem.line_data, phi),
            limit.multipliers,
        )
        verdicts += [end, cost]
    return tuple(verdicts)


CLAIMS = (unscaled, relu_functional, scaled)


def _over_support(integrand: Callable[[float, float], float], f: Any, data: Dataset) -> float:
    """The integral of integrand(c, f''(c)) over [-1, 1], cut at the data and at 0, where it is not smooth."""
    cuts = np.unique(np.r_[data.x, 0.0, -1.0, 1.0])
    pieces = (quad(lambda c: integrand(c, float(f(c, 2))), lo, hi, epsabs=1e-11)[0] for lo, hi in pairwise(cuts))
    return float(sum(pieces))
