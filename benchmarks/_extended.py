r"""The ReLU limit for W = +-1, B ~ U(-L, L) with 60 digits: a reference that shares no code with the library.

With :math:`\zeta_\pm = 1/(4L)` on (-L, L) the limit has :math:`f'' = \zeta m`, :math:`m(c) = \sum_i \lambda_i |x_i - c|`,
so it is a cubic spline whose second derivative is linear between data and, by :math:`\pm(A - Bc)`, beyond them, with
:math:`A = \sum_i \lambda_i x_i`, :math:`B = \sum_i \lambda_i`. Unknowns are the :math:`m_i = m(x_i)`: the continuity of
f' at inner data is tridiagonal, and the slope and offset at -L are integrals of :math:`g_- = (m - A + Bc)/2`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

DIGITS = 60
_NEWTON_STEPS, _MATCHED = 10, 1e-22


def spline_values(
    x: NDArray[np.float64], y: NDArray[np.float64], span: float, query: NDArray[np.float64]
) -> NDArray[np.float64]:
    """f at `query`, points of [x_1, x_M], for increasing data in (-span, span): O(M) operations with 60 digits."""
    with mpmath.workdps(DIGITS):
        knots, values, half = [mpmath.mpf(float(v)) for v in x], [mpmath.mpf(float(v)) for v in y], mpmath.mpf(span)
        m = _curvatures(knots, values, half)
        zeta = 1 / (4 * half)
        found = []
        for point, i in zip(query, np.clip(np.searchsorted(x, query, side="right") - 1, 0, x.size - 2), strict=True):
            step = knots[i + 1] - knots[i]
            right = (mpmath.mpf(float(point)) - knots[i]) / step
            left = 1 - right
            bend = (left**3 - left) * m[i] + (right**3 - right) * m[i + 1]
            found.append(float(left * values[i] + right * values[i + 1] + zeta * step**2 / 6 * bend))
        return np.array(found)


def kernel_values(
    x: NDArray[np.float64], y: NDArray[np.float64], span: float, query: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same by K(., X) K^-1 y with the kernel in closed form: O(M^3) operations with 60 digits."""
    with mpmath.workdps(DIGITS):
        knots, half = [mpmath.mpf(float(v)) for v in x], mpmath.mpf(span)
        matrix = mpmath.matrix([[_kernel(a, b, half) for b in knots] for a in knots])
        multipliers = mpmath.lu_solve(matrix, mpmath.matrix([mpmath.mpf(float(v)) for v in y]))
        found = []
        for point in query:
            row = [_kernel(mpmath.mpf(float(point)), b, half) for b in knots]
            found.append(float(mpmath.fsum(k * v for k, v in zip(row, multipliers, strict=True))))
        return np.array(found)


def mirror_values(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    span: float,
    grad_inverse: Callable[[Any], Any],
    query: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    r"""f at `query` of the absolute-value limit for a scaled potential, W = +-1, B ~ U(-L, L), by 30-digit quadrature.

    :math:`f(x) = \frac{1}{2L} \int |x - c| \alpha(c)\, dc` with :math:`\alpha = (\phi')^{-1}(\sum_i \lambda_i |x_i - c|)`;
    the multipliers are found by Newton's method from `start`, and `grad_inverse` is given for nonnegative numbers.
    """
    with mpmath.workdps(30):
        knots, values, half = [mpmath.mpf(float(v)) for v in x], [mpmath.mpf(float(v)) for v in y], mpmath.mpf(span)
        multipliers = mpmath.matrix([mpmath.mpf(float(v)) for v in start])

        def dual(c: Any) -> Any:
            return mpmath.fsum(m * abs(k - c) for m, k in zip(multipliers, knots, strict=True))

        def mean(integrand: Callable[[Any], Any], kinks: Sequence[Any]) -> Any:
            edges = sorted({-half, *(kink for kink in kinks if abs(kink) < half), half})
            zeros = [(a * dual(b) - b * dual(a)) / (dual(b) - dual(a)) for a, b in pairwise(edges) if dual(a) * dual(b) < 0]
            return mpmath.quad(integrand, sorted({*edges, *zeros})) / (2 * half)

        def alpha(c: Any) -> Any:
            g = dual(c)
            return mpmath.sign(g) * grad_inverse(abs(g))

        def slope(c: Any) -> Any:
            g = abs(dual(c))
            step = mpmath.mpf(10) ** -10 * (g + mpmath.mpf(10) ** -15)
            return (grad_inverse(g + step) - grad_inverse(g)) / step

        for _ in range(_NEWTON_STEPS):
            missing = [v - mean(lambda c, k=k: abs(k - c) * alpha(c), knots) for k, v in zip(knots, values, strict=True)]
            if max(map(abs, missing)) < _MATCHED:
                break
            hessian = [[mean(lambda c, a=a, b=b: abs(a - c) * abs(b - c) * slope(c), knots) for b in knots] for a in knots]
            multipliers += mpmath.lu_solve(mpmath.matrix(hessian), mpmath.matrix(missing))
        else:
            raise ArithmeticError("the reference has not converged")
        points = [mpmath.mpf(float(v)) for v in query]
        return np.array([float(mean(lambda c, p=p: abs(p - c) * alpha(c), [*knots, p])) for p in points])


def _kernel(a: Any, b: Any, half: Any) -> Any:
    """E[sigma(wx + b) sigma(wx' + b)], both halves of the axis by hand."""
    a, b = min(a, b), max(a, b)
    left = (a + half) ** 2 * (3 * b - a + 2 * half) / 6
    right = (half - b) ** 2 * (2 * half - 3 * a + b) / 6
    return (left + right) / (4 * half)


def _curvatures(x: Sequence[Any], y: Sequence[Any], half: Any) -> list[Any]:
    """The m_i: those at the ends from two equations, the others from the tridiagonal ones for each right-hand side."""
    zero = [mpmath.mpf(0)] * len(x)
    parts = [(y, 0, 0), (zero, 1, 0), (zero, 0, 1)]  # ordinates, m_1, m_M
    basis = [_inner(x, ordinates, half, first, last) for ordinates, first, last in parts]
    off = [_end_conditions(x, ordinates, half, m) for (ordinates, _, _), m in zip(parts, basis, strict=True)]
    ends = mpmath.lu_solve(mpmath.matrix([[off[1][i], off[2][i]] for i in range(2)]), -mpmath.matrix(off[0]))
    return [p + ends[0] * q + ends[1] * r for p, q, r in zip(*basis, strict=True)]


def _inner(x: Sequence[Any], y: Sequence[Any], half: Any, first: int, last: int) -> list[Any]:
    """m with given ends, so that f' is continuous."""
    n = len(x)
    h = [x[i + 1] - x[i] for i in range(n - 1)]
    rise = [(y[i + 1] - y[i]) / h[i] for i in range(n - 1)]
    m = [mpmath.mpf(0)] * n
    m[0], m[-1] = mpmath.mpf(first), mpmath.mpf(last)
    above, carried = mpmath.mpf(0), m[0]
    rows = []
    for i in range(1, n - 1):  # h_{i-1} m_{i-1} + 2 (h_{i-1} + h_i) m_i + h_i m_{i+1} = 24 L (change of the chord slope)
        pivot = 2 * (h[i - 1] + h[i]) - h[i - 1] * above
        above, carried = h[i] / pivot, (24 * half * (rise[i] - rise[i - 1]) - h[i - 1] * carried) / pivot
        rows.append((above, carried))
    for i in range(n - 2, 0, -1):
        m[i] = rows[i - 1][1] - rows[i - 1][0] * m[i + 1]
    return m


def _end_conditions(x: Sequence[Any], y: Sequence[Any], half: Any, m: Sequence[Any]) -> list[Any]:
    """What f'(-L) and f(-L) differ from the slope and offset that the units with w < 0 make there."""
    zeta, h = 1 / (4 * half), x[1] - x[0]
    total = (m[0] + m[-1]) / (x[-1] - x[0])  # B
    first = m[0] + total * x[0]  # A
    slope = (y[1] - y[0]) / h - zeta * h * (2 * m[0] + m[1]) / 6
    ends = [(-half, first + total * half), *zip(x, m, strict=True), (half, -first + total * half)]
    area = moment = mpmath.mpf(0)  # of m over (-L, L), the moment about -L
    for (a, left), (b, right) in pairwise(ends):
        area += (b - a) * (left + right) / 2
        moment += (b - a) * ((a + half) * (left + right) / 2 + (b - a) * (left + 2 * right) / 6)
    reach, before = x[0] + half, ends[0][1]
    far_slope = slope - zeta * reach * (before + m[0]) / 2
    far_value = y[0] - far_slope * reach - zeta * reach**2 * (2 * before + m[0]) / 6
    made_slope = -zeta / 2 * (area - 2 * half * first)
    made_value = zeta / 2 * (moment - 2 * half**2 * first + 2 * half**3 / 3 * total)
    return [far_slope - made_slope, far_value - made_value]
