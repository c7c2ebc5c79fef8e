"""Functions on the line that answer ``f(x, nu=0)``, piecewise polynomials with their knots, kinks and JSON text.

Both kinds are piecewise polynomials with linear ends, so that derivatives, integrals and roots are exact and the
evaluation of a million points is one compiled call (`scipy.interpolate.PPoly`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._arguments import at_finite, known_keywords, real_array, real_number, whole_number
from splinebias._arguments import interval as check_interval
from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.json_state import JsonText, checked_object, increasing, numbers
from splinebias.numerics.repeated_integrals import integrate_through, pieces_from_jet

_NARROW = 1e-3  # functions on so little are expanded about no point a unit away
_FAR = 1e12  # breakpoints beyond this are folded into the linear part: exact for |x| < _FAR


@known_keywords
class PiecewisePolynomial(JsonText):
    r"""A function :math:`f(x) = \sum_k c_{k,i} (x - e_i)^{K-k}` on :math:`[e_i, e_{i+1})`, end pieces extended to infinity.

    Parameters
    ----------
    ppoly : scipy.interpolate.PPoly
        Edges e and coefficients c above.
    knots : array_like, shape (K,)
        The points where the function is not smooth, sorted (a subset of the edges).
    """

    def __init__(self, ppoly: PPoly, knots: Any) -> None:
        self._ppoly = ppoly
        known = np.asarray(knots, dtype=float)
        self._knots = known.copy() if known.flags.writeable else known
        self._knots.setflags(write=False)

    @classmethod
    def from_power_units(
        cls, w: Any, b: Any, a: Any, d: float, power: int, *, skip: tuple[float, float] = (0.0, 0.0)
    ) -> PiecewisePolynomial:
        r"""Exactly :math:`\sum_k a_k \max(w_k x + b_k, 0)^p + d + \text{slope}\,x + \text{intercept}`, p = `power`.

        `skip` is (slope, intercept). Knots are the breakpoints; pieces are summed outwards from the middle one.
        """
        w, b, a = (np.asarray(v, dtype=float) for v in (w, b, a))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            c = -b / w
        near = np.abs(c) < _FAR  # False for nan as well
        knots, index = np.unique(c[near], return_inverse=True)
        edges = with_powers_of_two(np.union1d(knots, 0.0))
        middle = edges.size // 2
        top = a * w**power * math.factorial(power)  # derivative number p of an active unit
        jumps = np.zeros(edges.size)
        np.add.at(jumps, np.searchsorted(edges, knots)[index], (np.sign(w) * top)[near])
        always = ~near & (b > 0)
        first = float(top[near & (w < 0)].sum() + top[always].sum())
        z = np.maximum(np.where(near | always, w * edges[middle] + b, 0.0), 0.0)
        jet = np.array([math.perm(power, j) * float(a @ (w**j * z ** (power - j))) for j in range(power)])
        jet[0] += d + skip[1] + skip[0] * edges[middle]
        if power > 1:
            jet[1] += skip[0]
        return cls(pieces_from_jet(edges, np.r_[first, first + np.cumsum(jumps)], middle, jet), knots)

    def __repr__(self) -> str:
        where = f" on [{self.knots[0]:g}, {self.knots[-1]:g}]" if self.knots.size else ""
        return f"{type(self).__name__}({self.knots.size} knots{where})"

    @property
    def knots(self) -> Array:
        """Points where the function (or one of its derivatives) is not smooth, sorted, shape (K,)."""
        return self._knots

    @property
    def edges(self) -> Array:
        """All piece ends, a refinement of `knots`; between two edges the function is one polynomial."""
        return np.asarray(self._ppoly.x)

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` at `x`, same shape as `x`; at a jump, the limit from the right; nan if x is not finite."""
        nu = whole_number(nu, "nu")
        return at_finite(lambda known: self._derivative_at(known, nu), real_array(x, "x"))

    def _derivative_at(self, x: Array, nu: int) -> Array:
        """Derivative number `nu` at finite `x`, same shape."""
        nu = min(nu, self._ppoly.c.shape[0])
        values = np.asarray(self._ppoly(x, nu=nu, extrapolate=True))
        lost = ~np.isfinite(values)
        if lost.any():  # so far out that x to the highest power overflows, although the end pieces are of low degree
            values[lost] = [self._end(float(point), nu) for point in x[lost]]
        return values

    @np.errstate(over="ignore")
    def _end(self, x: float, nu: int) -> float:
        """The derivative `nu` at a far `x`, without the powers that its piece has no use for."""
        piece = int(np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, self._ppoly.c.shape[1] - 1))
        coefficients = np.trim_zeros(self._ppoly.c[:, piece], "f")
        start = self.edges[piece]
        return float(np.polyval(np.polyder(coefficients, nu), x - start)) if coefficients.size > nu else 0.0

    def derivative(self, nu: int = 1) -> PiecewisePolynomial:
        """The derivative number `nu` as a function of the same family (Dirac parts at knots are dropped)."""
        return PiecewisePolynomial(self._ppoly.derivative(min(whole_number(nu, "nu"), self._ppoly.c.shape[0])), self._knots)

    @np.errstate(over="ignore", invalid="ignore")  # in pieces far out
    def antiderivative(self, nu: int = 1) -> PiecewisePolynomial:
        """The `nu`-fold antiderivative (`nu` <= 30) that vanishes at the middle one of the knots, in the same family.

        Not at the first edge, which may be so far out that all digits near the data would be lost. Pieces where values
        overflow are inf or NaN.
        """
        if (count := whole_number(nu, "nu")) > 30:
            raise DataError(f"`nu` must be at most 30, got one of {len(str(count))} digits; integrate in steps")
        x, c, wide = self._ppoly.x, self._ppoly.c, np.diff(self._ppoly.x)
        middle = int(np.searchsorted(x, self._knots[self._knots.size // 2])) if self._knots.size else 0
        for _ in range(count):
            c = np.concatenate([c / np.arange(c.shape[0], 0, -1)[:, None], np.zeros((1, c.shape[1]))])
            rises = np.zeros(c.shape[1])
            for coefficient in c:  # Horner, at the right end
                rises = rises * wide + coefficient
            c[-1, middle + 1 :] = np.cumsum(rises[middle:-1])
            c[-1, :middle] = -np.cumsum(rises[:middle][::-1])[::-1]
        return PiecewisePolynomial(PPoly(c, x, extrapolate=True), self._knots)

    def integrate(self, a: float, b: float) -> float:
        r"""The integral :math:`\int_a^b f` of the function, exact to rounding."""
        return float(self._ppoly.integrate(real_number(a, "a"), real_number(b, "b"), extrapolate=True))

    def roots(self, level: float = 0.0, interval: tuple[float, float] | None = None) -> Array:
        """Points where f equals `level`, sorted; of a piece on which f is constantly `level`, its left end.

        `interval` (lo, hi) keeps the roots in it; by default those on the whole line.
        """
        found = np.asarray(self._ppoly.solve(real_number(level, "level"), extrapolate=True))
        found = np.unique(found[np.isfinite(found)])
        found = found[self._holds(found, level)]
        if interval is not None:
            lo, hi = check_interval(interval)
            found = found[(found >= lo) & (found <= hi)]
        return found

    def _holds(self, roots: Array, level: float) -> NDArray[np.bool_]:
        """Whether f is, or jumps across, `level` at its supposed roots: rounding in pieces far out makes false ones.

        Values above 1e-6 of the size of f on the piece are no zeros.
        """
        x, last = self._ppoly.x, self._ppoly.c.shape[1] - 1
        piece = np.clip(np.searchsorted(x, roots, side="right") - 1, 0, last)
        within = x[piece] + np.diff(x)[piece] * np.linspace(0, 1, 9)[:, None]  # the scale of f is that of its piece
        size = np.maximum(np.abs(self._ppoly(within) - level).max(axis=0, initial=0.0), abs(level))
        right = self._ppoly(roots) - level
        left = self._ppoly(np.nextafter(roots, -np.inf)) - level  # across an edge, of the piece before
        return np.asarray((np.abs(right) <= 1e-6 * size) | ((x[piece] == roots) & (piece > 0) & (left * right <= 0)))

    def to_ppoly(self) -> PPoly:
        """A copy as `scipy.interpolate.PPoly` (which extrapolates with the end pieces)."""
        return PPoly(self._ppoly.c.copy(), self._ppoly.x.copy(), extrapolate=True)

    def _state(self) -> dict[str, Any]:
        """All there is to know about the function, in lists, numbers and words."""
        return {"edges": self._ppoly.x.tolist(), "coefficients": self._ppoly.c.tolist(), "knots": self._knots.tolist()}

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""
        state = checked_object(state, f"a {cls.__name__}", ("edges", "coefficients", "knots"))
        edges = increasing(state["edges"], "edges", least=2)
        coefficients = numbers(state["coefficients"], "coefficients", (None, edges.size - 1), finite=False)
        if not coefficients.size:
            raise DataError("`coefficients` must hold a row at least, got none; use what to_json() wrote")
        return {"ppoly": PPoly(coefficients, edges, extrapolate=True), "knots": increasing(state["knots"], "knots")}


@known_keywords
class PiecewiseLinear(PiecewisePolynomial):
    """A piecewise linear function: what a trained network is.

    Parameters
    ----------
    knots : array_like, shape (K,)
        Sorted breakpoints, K >= 1.
    values : array_like, shape (K,)
        f at the knots.
    left_slope, right_slope : float
        Slopes before the first and after the last knot.
    """

    def __init__(self, knots: Any, values: Any, left_slope: float, right_slope: float) -> None:
        knots, values = np.array(knots, dtype=float), np.array(values, dtype=float)
        increasing = knots.ndim == 1 and knots.size > 0 and np.isfinite(knots).all() and (np.diff(knots) > 0).all()
        if not increasing or knots.shape != values.shape:
            raise DataError(
                f"`knots` must be strictly increasing and finite, one value each, got shapes {knots.shape}, {values.shape}"
            )
        if not np.isfinite([*values, left_slope, right_slope]).all():
            raise DataError("`values` must be finite, slopes too; got nan or infinity")
        slopes = np.r_[left_slope, np.diff(values) / np.diff(knots), right_slope]
        self._values, self._kinks = values, np.diff(slopes)
        edges = with_powers_of_two(knots)
        piece = np.searchsorted(knots, edges, side="right")
        near = np.clip(piece - 1, 0, knots.size - 1)  # expand from whichever knot of the piece is closer
        far = np.clip(piece, 0, knots.size - 1)
        anchor = np.where(np.abs(edges - knots[near]) <= np.abs(edges - knots[far]), near, far)
        starts = values[anchor] + slopes[piece] * (edges - knots[anchor])
        span = float(edges[-1] - edges[0])
        pad = span if 0 < span < _NARROW else max(1.0, float(np.spacing(np.abs(edges).max())))
        starts = np.r_[starts[0] - left_slope * pad, starts]
        coefficients = np.stack([np.r_[left_slope, slopes[piece]], starts])
        super().__init__(PPoly(coefficients, np.r_[edges[0] - pad, edges, edges[-1] + pad], extrapolate=True), knots)

    @classmethod
    def from_units(
        cls, w: Any, b: Any, a: Any, d: float, activation: TwoSlope, *, skip: tuple[float, float] = (0.0, 0.0)
    ) -> PiecewiseLinear:
        r"""Exactly :math:`\sum_k a_k \sigma(w_k x + b_k) + d + \text{slope}\,x + \text{intercept}`, by breakpoints.

        `skip` is (slope, intercept). Units with equal breakpoints are merged. Values are summed outwards from the
        middle breakpoint, so that far breakpoints of heavy-tailed laws cost no accuracy near the data.
        """
        w, b, a = (np.asarray(v, dtype=float) for v in (w, b, a))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            c = -b / w
        near = np.abs(c) < _FAR  # False for nan as well
        slope, intercept = skip[0], skip[1] + d
        z = b[~near]
        gain = np.where(z > 0, activation.right, activation.left) * a[~near]
        slope += float((gain * w[~near]).sum())  # not @: its bits depend on the number of threads
        intercept += float((gain * z).sum())
        if not near.any():
            return cls([0.0], [intercept], slope, slope)
        w, b, a, c = w[near], b[near], a[near], c[near]
        knots, index = np.unique(c, return_inverse=True)
        jumps = np.bincount(index, weights=a * np.abs(w) * activation.kink, minlength=knots.size)
        left = slope + float((a * w * np.where(w > 0, activation.left, activation.right)).sum())
        slopes = left + np.cumsum(jumps)  # slopes[j]: to the right of knot j
        middle = knots.size // 2
        at_middle = float((a * activation.value(w * knots[middle] + b)).sum()) + slope * knots[middle] + intercept
        rise = slopes[:-1] * np.diff(knots)
        below = np.cumsum(rise[:middle][::-1])[::-1]  # outwards from the middle: far breakpoints add far values there only
        values = at_middle + np.r_[-below, 0.0, np.cumsum(rise[middle:])]
        return cls(knots, values, left, float(slopes[-1]))

    @property
    def values(self) -> Array:
        """f at the knots, shape (K,)."""
        return np.asarray(self._values)

    @property
    def kinks(self) -> Array:
        """Jump of the slope at each knot (the mass of f'' there), shape (K,)."""
        return np.asarray(self._kinks)

    def _state(self) -> dict[str, Any]:
        """All there is to know about the function, in lists and numbers: the arguments that make it."""
        left, right = self._ppoly.c[0, [0, -1]].tolist()
        return {"knots": self._knots.tolist(), "values": self._values.tolist(), "left_slope": left, "right_slope": right}

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`: these themselves; DataError if it is none."""
        state = checked_object(state, f"a {cls.__name__}", ("knots", "values", "left_slope", "right_slope"))
        knots = increasing(state["knots"], "knots", least=1)
        slopes = {name: real_number(state[name], name) for name in ("left_slope", "right_slope")}
        return {"knots": knots, "values": numbers(state["values"], "values", (knots.size,)), **slopes}


@known_keywords
class WeightedSpline(PiecewisePolynomial):
    r"""The solution of a weighted spline problem, resolved to rounding on every cell.

    For two-slope activations a solver knows :math:`f'' = h''(c)` at Gauss-Legendre nodes (see `from_curvature`), for
    others a higher derivative. Where that is itself a polynomial between knots (`exact` is True) the pieces are the exact
    solution; elsewhere they interpolate it with a relative error of about 1e-13 on cells chosen by the solver.

    Parameters
    ----------
    ppoly, knots : scipy.interpolate.PPoly, array_like
        As in `PiecewisePolynomial`.
    exact : bool
        Whether the pieces are the solution itself.
    """

    def __init__(self, ppoly: PPoly, knots: Any, *, exact: bool) -> None:
        super().__init__(ppoly, knots)
        self.exact = exact

    @classmethod
    def from_curvature(
        cls, edges: Array, curvature: Array, x: Array, values: Array, knots: Array, *, exact: bool, linear: bool = False
    ) -> WeightedSpline:
        """Integrate a second derivative twice through given values.

        Parameters
        ----------
        edges : Array, shape (N + 1,)
            Cell ends, containing every `x`.
        curvature : Array, shape (N, q)
            f'' at the q Gauss-Legendre nodes of each cell.
        x, values : Array, shape (M,)
            Points, M >= 2, and f there; slopes follow from the curvature between neighbours, with no accumulation.
        knots, exact : Array, bool
            As in `WeightedSpline`; exact if f'' is a polynomial of degree < q on each cell.
        linear : bool
            Whether f'' is linear on cells and given at both ends of them instead, shape (N, 2).
        """
        return cls(integrate_through(edges, curvature, 2, x, values, linear=linear), knots, exact=exact)

    def to_ppoly(self, *, resolved: bool = False) -> PPoly:
        """The exact pieces as `scipy.interpolate.PPoly`, where the curvature penalty is piecewise polynomial.

        Raises
        ------
        CapabilityError
            If the solution is not a piecewise polynomial; ``resolved=True`` hands out the pieces that
            represent it to about 1e-13.
        """
        if not (self.exact or resolved):
            raise CapabilityError(
                "this solution is not piecewise polynomial (its curvature density is not); "
                "to_ppoly(resolved=True) gives pieces that represent it to about 1e-13"
            )
        return super().to_ppoly()

    def _state(self) -> dict[str, Any]:
        """All there is to know about the function, in lists, numbers and words."""
        return super()._state() | {"exact": self.exact}

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""
        rest = dict(state)
        if not isinstance(exact := rest.pop("exact", None), bool):
            raise DataError(f"`exact` must be true or false, got {exact!r}; use what to_json() wrote")
        return super()._arguments(rest) | {"exact": exact}


def with_powers_of_two(points: Array) -> Array:
    """Increasing `points`, and powers of two between them and 0.

    A piece is expanded about its left end, which may be a million times farther out than the point asked for: with these
    ends the rounding of f(x) stays in proportion to x.
    """
    powers = 2.0 ** np.arange(-3, 41)
    extra = np.r_[-powers, powers]
    return np.union1d(points, extra[(extra > min(points[0], 0.0)) & (extra < max(points[-1], 0.0))])
