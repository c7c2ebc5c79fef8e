r"""The functional that training minimizes, for any function: what a given f would cost a Problem's neurons.

It is the least :math:`E[\alpha^2]` (unscaled potentials) or :math:`E[D_\phi(\alpha, 0)]` (scaled) over all
:math:`\alpha` with :math:`E[\alpha(w, b)\, \sigma(wx + b)] = f(x)`. The limit of training is the interpolant for which it is
least; `Prediction.penalty` is its value there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, whole_number
from splinebias.activation import ReLU
from splinebias.curvature_penalty.measured_curvature import Reader, is_network, network_kinks
from splinebias.curvature_penalty.slope_terms import Demand
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.sums import as_function
from splinebias.limit.hypotheses import require_attained
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.parameterization import Standard
from splinebias.potential import Quadratic
from splinebias.problem import Problem, require_problem


@known_keywords
@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # next to the end of doubles the value is infinite
def penalty(f: Any, problem: Problem, *, smoothing: int | None = None) -> float:
    r"""Value of the curvature penalty of `f`; infinity if no density of neurons represents it.

    For ReLU and unscaled potentials, and any law, it is LM's G1 + G2 + G3 in the form

    .. math:: \int \frac{f''^2}{\zeta} + d^T G^{-1} d, \qquad
              G = \int \frac{\zeta_+ \zeta_-}{\zeta} (1, c)(1, c)^T, \qquad
              d = \int \frac{\zeta_+}{\zeta} f'' (1, c) - (f'(\infty),\, -f_\infty),

    with :math:`f_\infty` the intercept of the right asymptote: the cheapest way to bend, plus the cheapest exchange of
    curvature between w > 0 and w < 0 that gives f its slope and offset. For powers of ReLU,
    :math:`D = f^{(k+1)}/k!` takes the place of f'', :math:`\zeta^{(k)}` that of :math:`\zeta` and the k + 1 coefficients of
    the left asymptote P that of slope and offset:

    .. math:: \int \frac{D^2}{\zeta} + d^T G^{-1} d, \qquad
              G_{ij} = \int \frac{\zeta_+ \zeta_-}{\zeta} c^{i+j}, \qquad
              d_i = \int c^i e, \qquad \int (c - x)^k \Bigl(e + (-1)^{k+1} \frac{\zeta_-}{\zeta} D\Bigr) dc = P(x).

    For Abs d has to vanish and the first term is :math:`\int f''^2/(4\zeta)`; with a scaled potential and W = +-1 that is
    :math:`\int \phi(f''/(2p))\, p`. All other cases (scaled ReLU, random |W|) minimize over alpha(w, b) through the dual.

    Parameters
    ----------
    f : callable, or anything with a `function`
        A prediction, a trained network, a function of this library; a scipy piecewise polynomial, read between its end
        points and continued by its tangents (degree k: Taylor polynomials) there, not by its end polynomials; or any
        vectorized ``f(x, nu)`` that has k continuous derivatives and is a polynomial of degree k at both ends. Derivatives
        up to number k + 1 are asked.
    problem : Problem
        Its law, activation, potential and affine part define the functional. f need not pass through the data, which only
        say where the axis is looked at first.
    smoothing : int, optional
        For networks only: a `PiecewiseLinear`, or for powers of ReLU a `PiecewisePolynomial` of degree k. Its
        :math:`f^{(k+1)}` is a sum of Dirac masses and its penalty infinite as it stands; here the masses are spread over
        this number J of bins of equal breakpoint probability, in proportion to zeta. Default: the square root of the number
        of kinks, rounded up (see Notes).

    Returns
    -------
    float
        In units of y^2 for quadratic potentials. Infinity if f or a derivative up to number k jumps (other than of networks,
        number k), f curves where zeta = 0, has curvature that decays too slowly in an infinite tail, or breaks a tie that
        no neuron can mend (Abs: opposite slopes and offsets at the two ends; laws with one sign of w at each breakpoint).

    Raises
    ------
    CapabilityError
        If the parameterization is not `Standard`, or the potential is scaled and not quadratic with a power of ReLU.
    DataError
        If `problem` is no Problem, `f` does not answer ``f(x, nu)`` with finite numbers, `smoothing` is given for a
        smooth f or is no whole number >= 1, or the laws lack the moments that the problem needs.
    SolveError
        If the minimization over alpha does not converge.

    Notes
    -----
    A network of n units that samples alpha has bins with sampling noise, which adds about J/n to the penalty (relative), and
    the width of the bins takes O(J^-2) away; the penalty itself fluctuates by O(n^-1/2). With J = sqrt(n) both are at or
    below that. Measured on LM's set A (ReLU, uniform bias, n = 25,600): -0.8 % +- 2.5 %, with n^(1/3) bins -4.9 % +- 2.6 %.

    Accuracy for smooth f about 1e-10, relative. Ties count as broken beyond 1e-6 relative (for a smoothed network 1/J, since
    a trained output bias of order 1/n breaks them too). Kinks outside the support of the breakpoints, where training moves
    a few, count in the end bin if they are nearer to it than its width.
    *Hypotheses:* checked as above; not checked: that an f without `edges` has no kinks, and that
    :math:`\int f''^2/\zeta` does not diverge at a point where zeta vanishes.
    Source: Liang & Montufar (2025), both theorems; Jin & Montufar (2023), Theorem 4 and other activation functions.
    """
    require_problem(problem)
    f = as_function(f, "f")
    _check_capability(problem)
    require_attained(problem, problem.limit_potential.moment_order, bias=not problem.free)
    reader = Reader(problem.initialization.breakpoint_law, problem.homogeneous.degree, problem.data.x)
    cells = FeatureKernel(reader.law, problem.homogeneous).cells(reader.x)
    cells = replace(cells, order=max(cells.order, 16))  # f may be of higher degree than the solution
    if is_network(f, reader.degree):
        bins = max(1, math.ceil(math.sqrt(network_kinks(f, reader.degree)[0].size))) if smoothing is None else smoothing
        measured, slack = reader.network(f, cells, whole_number(bins, "smoothing", at_least=1)), 1 / bins
    else:
        if smoothing is not None:
            raise DataError(
                f"`smoothing` is for networks (PiecewiseLinear) only, got {smoothing!r} with {f!r}; leave it out"
            )
        measured, slack = reader.smooth(f, cells), 1e-6
    if measured is None:
        return math.inf
    slopes = problem.activation.two_slopes or ReLU()  # of its powers, [z]_+^k with p = 1 and q = 0
    ties = reader.degree - 1 if problem.free else reader.degree + 1
    demand = Demand(reader, measured, slopes, ties).met(slack)
    if demand is None:
        return math.inf
    if not isinstance(problem.limit_potential, Quadratic):
        return demand.convex_cost(problem.limit_potential)
    cost = demand.bending_cost() + demand.slope_cost()
    return cost / 2 if problem.scaled else cost


def _check_capability(problem: Problem) -> None:
    """Raise CapabilityError if there is no functional of f alone to evaluate."""
    if not isinstance(problem.parameterization, Standard):
        raise CapabilityError(
            f"the penalty of a function is for Standard() networks only, got {problem.parameterization}; predict gives the "
            "minimum, Prediction.penalty"
        )
    if problem.activation.two_slopes is None and not isinstance(problem.limit_potential, Quadratic):
        raise CapabilityError(
            f"the penalty of a function with {problem.activation} is for quadratic problems only, got a scaled "
            f"{problem.phi}; take sb.Quadratic()"
        )
