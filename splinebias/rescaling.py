r"""Data in other units: x where the breakpoints of a law are, y of order 1, and results back in the units of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, known_keywords, real_array, real_number, whole_number
from splinebias._array import Array
from splinebias._result import DrawnFunction, Printed
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.functions.sums import as_function
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.numerics.cells import Cells
from splinebias.problem import Problem, require_problem


@dataclass(frozen=True, eq=False)
class Restored(DrawnFunction):
    r"""A function of rescaled data in the units of the data, :math:`f(x) = y_0 + s_y\, g((x - x_0)/s_x)`.

    Attributes
    ----------
    rescaling : Rescaling
        The units above.
    inner : callable
        The g above.
    """

    rescaling: Rescaling
    inner: Any

    @property
    def problem(self) -> Problem:
        """The problem in the units of the data."""
        return self.rescaling.original

    @property
    def function(self) -> Restored:
        """This function, under the name that other results have for theirs."""
        return self

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` at `x`, same shape as `x`."""
        nu, to = whole_number(nu, "nu"), self.rescaling
        inner = to.x(real_array(x, "x"))
        values = at_finite(lambda known: self.inner(known, nu) if nu else self.inner(known), inner).astype(float)
        return values * (to.y_unit / to.x_unit**nu) + (to.y_origin if nu == 0 else 0.0)

    @property
    def knots(self) -> Array:
        """Points where the function may fail to be smooth; AttributeError if g does not know its own."""
        return np.asarray(self.inner.knots, dtype=float) * self.rescaling.x_unit + self.rescaling.x_origin

    @property
    def edges(self) -> Array:
        """The ends of its pieces; AttributeError if g does not know its own."""
        return np.asarray(self.inner.edges, dtype=float) * self.rescaling.x_unit + self.rescaling.x_origin

    def __repr__(self) -> str:
        return f"Restored({self.inner!r} in the units of the data)"


@dataclass(frozen=True, eq=False)
class Rescaling(Printed):
    r"""A problem in the units :math:`(x - x_0)/s_x`, :math:`(y - y_0)/s_y`, and the way back.

    Attributes
    ----------
    problem : Problem
        The problem in these units, to be solved and trained.
    original : Problem
        The problem in the units of the data.
    x_origin, x_unit, y_origin, y_unit : float
        The :math:`x_0, s_x, y_0, s_y` above; the units are positive.
    """

    problem: Problem
    original: Problem
    x_origin: float
    x_unit: float
    y_origin: float
    y_unit: float

    def x(self, x: Any) -> Array:
        """Abscissae of the data in the units of `problem`, same shape."""
        return (np.asarray(x, dtype=float) - self.x_origin) / self.x_unit

    def restored(self, result: Any) -> Restored:
        """A prediction, network or function of `problem` as a function of x in the units of the data.

        Deviations, such as ``band.std(rescaling.x(x))``, are to be multiplied by `y_unit`.

        Raises
        ------
        DataError
            If `result` is no function, or belongs to other data.
        """
        problem = getattr(result, "problem", None)
        if isinstance(problem, Problem) and problem.data != self.problem.data:
            raise DataError(
                f"`result` must be one of the rescaled problem, got that of {problem!r}; solve `rescaling.problem`"
            )
        return Restored(self, as_function(result, "result"))

    def __repr__(self) -> str:
        x, y = f"(x - {self.x_origin:g}) / {self.x_unit:g}", f"(y - {self.y_origin:g}) / {self.y_unit:g}"
        return f"Rescaling({x}, {y}; {self.problem.describe()})"


@known_keywords
def rescaled(problem: Problem, *, share: float = 0.5) -> Rescaling:
    r"""The problem with its data moved to where the breakpoints of its law are, and y to order 1.

    Abscissae are mapped to the interval between the quantiles (1 - share)/2 and (1 + share)/2 of the breakpoints c = -b/w,
    rounded to three digits; y to mean 0 and largest size between 1/2 and 1, the unit being a power of 2.

    Parameters
    ----------
    problem : Problem
        In the units of the data.
    share : float
        How many of the breakpoints are to lie among the data, between 0 and 1.

    Returns
    -------
    Rescaling
        ``problem`` to solve, ``restored(result)`` in the units of the data, ``x(x)``.

    Raises
    ------
    DataError
        For a `share` that is not between 0 and 1.

    Notes
    -----
    It is another problem: the law stays where it is and the data move, so limits differ, as they do between x in seconds and
    x in hours. The same as without: the limit of quadratic problems for other units of y; for another zero of y with
    a free affine part; for other x, with a free affine part, where :math:`\zeta` is constant among the data both times.
    Training times, penalties and learning rates are those of the units they are computed in: with `gcv_time`, about
    1.5e6 on the motorcycle data in milliseconds, 1.5e5 on the same data rescaled, for one smoothness. *Hypotheses, not
    checked:* that the breakpoints are one bulk. Derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> problem = sb.Problem(sb.datasets.titanium(), sb.Initialization.pytorch_default())
    >>> units = sb.rescaled(problem)
    >>> units.problem.data.span
    (-1.0, 1.0)
    >>> f = units.restored(sb.predict(units.problem))
    >>> bool(abs(f(problem.data.x) - problem.data.y).max() < 1e-12)
    True
    """
    require_problem(problem)
    share = real_number(share, "share", above=0)
    if share >= 1:
        raise DataError(f"`share` must be below 1, got {share!r}; all breakpoints of most laws span the whole line")
    lo, hi = _middle(problem.initialization.breakpoint_law, share)
    data = problem.data
    first, last = data.span
    x_unit = (last - first) / (hi - lo)
    x_origin = (first * hi - last * lo) / (hi - lo)
    y_origin = float(np.average(data.y, weights=data.weights))
    largest = float(np.abs(data.y - y_origin).max())
    y_unit = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    moved = Dataset((data.x - x_origin) / x_unit, (data.y - y_origin) / y_unit, data.weights)
    return Rescaling(replace(problem, data=moved), problem, x_origin, x_unit, y_origin, y_unit)


def few_breakpoints(problem: Problem) -> str:
    """Empty, or words on how few of the breakpoints of the law lie among the data, and what to do."""
    lo, hi = problem.data.span
    edges, mass = _masses(problem.initialization.breakpoint_law, (lo, hi))
    among = float(mass[(edges[:-1] >= lo) & (edges[1:] <= hi)].sum())
    if among >= 0.05:  # share of the breakpoints among the data below which a law is said to have few there
        return ""
    return (
        f"only {among:.2%} of the breakpoints of this law lie among the data, on [{lo:g}, {hi:g}]: networks have to be that "
        "much wider, and training takes longer; sb.rescaled(problem) moves the data to where they are"
    )


def _masses(law: BreakpointLaw, points: tuple[float, ...] = ()) -> tuple[Array, Array]:
    """Edges of cells graded towards what the law knows of itself, and the probability of a breakpoint in each."""
    centres = np.unique(np.r_[law.landmarks, law.knots, 0.0])
    centres = centres[:: max(1, centres.size // 50)]
    steps = 2.0 ** np.arange(-20, 41, 0.25)
    edges = np.r_[
        (centres[:, None] + np.r_[-steps, 0.0, steps]).ravel(), points, [e for e in law.support if math.isfinite(e)]
    ]
    edges = np.unique(edges[(edges >= law.support[0]) & (edges <= law.support[1])])
    cells = Cells(edges, 4)
    return edges, (cells.weights * law.both.density(cells.nodes)).sum(axis=1)


def _middle(law: BreakpointLaw, share: float) -> tuple[float, float]:
    """The middle interval that holds this share of the breakpoints, to three digits of its length."""
    edges, mass = _masses(law)
    below = np.r_[0.0, np.cumsum(mass)]
    lo, hi = np.interp([(1 - share) / 2 * below[-1], (1 + share) / 2 * below[-1]], below, edges)
    digit = 10.0 ** (math.floor(math.log10(hi - lo)) - 2)
    return float(round(lo / digit) * digit), float(round(hi / digit) * digit)
