r"""The tangent kernel of networks that train both layers (parameterization `NTK`), and the functions it spans.

.. math:: K(x, x') = K_0(x, x') + E[a^2]\, (x x' + 1)\, K_1(x, x'), \qquad
          K_\nu(x, x') = E[\sigma^{(\nu)}(wx + b)\, \sigma^{(\nu)}(wx' + b)].

Gradient flow of the squared loss ends at :math:`f = K(\cdot, X) K(X, X)^{-1} y`. The first part of f is a weighted
spline; the second, :math:`E[a^2] (x F_1 + F_0)` with :math:`F_j = \sum_i \lambda_i x_i^j K_1(\cdot, x_i)`, has for
two-slope activations kinks at the data, where the pattern of active neurons changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PPoly

from splinebias._arguments import known_keywords, real_vector
from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.errors import DataError
from splinebias.initialization.continuous_breakpoints import CentredGaussian
from splinebias.limit.hypotheses import require_attained, require_limit
from splinebias.limit.kernels.features import Combination, FeatureKernel, enough_points
from splinebias.numerics.cells import Cells
from splinebias.numerics.repeated_integrals import within_reach
from splinebias.parameterization import NTK
from splinebias.potential import Quadratic

if TYPE_CHECKING:
    from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class TangentKernel:
    """The kernel K above.

    Attributes
    ----------
    outer, hidden : FeatureKernel
        K_0 and K_1 above.
    output_moment : float
        E[a^2] above.
    """

    outer: FeatureKernel
    hidden: FeatureKernel
    output_moment: float

    def matrix(self, x: Array, x2: Array) -> Array:
        """The kernel at all pairs of points, shape (len(x), len(x2))."""
        outer, hidden = self._parts(x, x2)
        return np.asarray(outer + self.output_moment * (np.outer(x, x2) + 1) * hidden)

    def _parts(self, x: Array, x2: Array) -> tuple[Array, Array]:
        """K_0 and K_1 at all pairs of points, each of shape (len(x), len(x2)).

        For Gaussian (W, B) and two slopes in closed form, which makes predictions at least 2.5 times faster.
        """
        law, two_slopes = self.outer.law, self.outer.activation.two_slopes
        if two_slopes is not None and isinstance(law, CentredGaussian):
            return arc_cosine_kernels(two_slopes, law.s_w, law.s_b, x, x2)
        return self.outer.matrix(x, x2), self.hidden.matrix(x, x2)

    def combination(self, x: Array, weights: Array) -> Combination:
        r""":math:`\sum_i w_i K(\cdot, x_i)`, for increasing points x, M >= 2, and weights, each of shape (M,)."""
        points = enough_points(x, self.outer.degree + 1, self.outer.law)
        one, other = self.outer.cells(points), self.hidden.cells(points)
        edges = np.union1d(one.edges, other.edges)
        edges = edges[within_reach(edges, points, one.order + self.outer.degree + 1)]  # one set of pieces for all parts
        cells = Cells(edges, one.order)
        outer, hidden = self._parts(points, x)
        result = self.outer.combination_on(cells, x, weights, points, outer @ weights)
        turned = self.hidden.combination_on(cells, x, weights, points, hidden @ weights)
        tilted = self.hidden.combination_on(cells, x, weights * x, points, hidden @ (weights * x))
        parts = [result.c, self.output_moment * turned.c, self.output_moment * _times_x(tilted)]
        coefficients = np.zeros((max(part.shape[0] for part in parts), result.x.size - 1))
        for part in parts:
            coefficients[-part.shape[0] :] += part
        return Combination(PPoly(coefficients, result.x, extrapolate=True), one.resolved and other.resolved)


def limit_kernel(problem: Problem) -> FeatureKernel | TangentKernel:
    """The tangent kernel of the infinitely wide networks of `problem`."""
    law, act = problem.initialization.breakpoint_law, problem.homogeneous
    outer = FeatureKernel(law, act)
    if not isinstance(problem.parameterization, NTK):
        return outer
    return TangentKernel(outer, FeatureKernel(law, act, derivative=1), problem.initialization.output_second_moment)


@known_keywords
def tangent_kernel(problem: Problem, x: Array, x2: Array | None = None) -> Array:
    r"""The infinite-width tangent kernel of a problem, shape (len(x), len(x2)).

    For parameterization `NTK` that is the K at the top of this module, for `Standard` its first term. Residuals decay as
    :math:`r' = -K \,\mathrm{diag}(\omega)\, r` in training time, :math:`\omega_i = m_i/\sum_j m_j`.

    Parameters
    ----------
    problem : Problem
        Its law, activation and parameterization are used; the potential is taken as quadratic.
    x, x2 : array_like, one-dimensional
        Points, any order; `x2` None: the same as `x`.

    Raises
    ------
    DataError
        If the points are no finite vectors of at least one point, or the laws lack the moments of order 2k that the features
        of an activation of degree k need.
    """
    from splinebias.problem import require_problem

    require_problem(problem)
    x = real_vector(x, "x")
    x2 = x if x2 is None else real_vector(x2, "x2")
    for name, points in (("x", x), ("x2", x2)):
        if points.size == 0:
            raise DataError(f"`{name}` must hold at least one point, got none")
    require_limit(problem)
    require_attained(problem, Quadratic().moment_order, bias=True)
    return limit_kernel(problem).matrix(x, x2)


def arc_cosine_kernels(activation: TwoSlope, s_w: float, s_b: float, x: Array, x2: Array) -> tuple[Array, Array]:
    r"""K_0 and K_1 for W ~ N(0, s_w^2), B ~ N(0, s_b^2), each of shape (len(x), len(x2)).

    With :math:`u = (s_w x, s_b)`, :math:`u' = (s_w x', s_b)` at angle :math:`\theta`, :math:`m = (p+q)/2` and
    :math:`h = (p-q)/2`, that is :math:`\sigma(z) = m z + h |z|`,

    .. math:: K_0 = m^2 u \cdot u' + \tfrac{2}{\pi} h^2
              \left(|u||u'| \sin\theta + (\tfrac{\pi}{2} - \theta)\, u \cdot u'\right), \qquad
              K_1 = m^2 + h^2 \left(1 - \tfrac{2\theta}{\pi}\right).

    Notes
    -----
    Cho & Saul, NeurIPS 2009 (arc-cosine kernels of degree 1 and 0; for ReLU m = h = 1/2).
    """
    mean, half = (activation.right + activation.left) / 2, activation.kink / 2
    dot = s_w**2 * np.outer(x, x2) + s_b**2
    cross = s_w * s_b * np.abs(x[:, None] - x2)  # |u||u'| sin(theta)
    theta = np.arctan2(cross, dot)
    outer = mean**2 * dot + 2 / math.pi * half**2 * (cross + (math.pi / 2 - theta) * dot)
    return outer, mean**2 + half**2 * (1 - 2 * theta / math.pi)


def _times_x(pieces: PPoly) -> Array:
    """Coefficients of x times the function, x = (left end) + t on every piece."""
    longer = np.concatenate([pieces.c, np.zeros_like(pieces.c[:1])])
    longer[1:] += pieces.c * pieces.x[:-1]
    return longer
