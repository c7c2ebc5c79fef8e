r"""How far the hidden weights of a wide network move while it is trained, predicted from the limit (theory section 7).

The infinite-width picture holds them fixed. To leading order a hidden unit moves along the path that its output weight
:math:`a = \alpha_t/n`, :math:`\alpha_t = (\phi')^{-1}(\sum_j \lambda_j(t)\, \sigma(w x_j + b))`, prescribes. For
gradient flow

.. math:: \Delta(w, b) = n^{-2} \sum_i \sigma'(w x_i + b)\, (x_i, 1) \int_0^\infty \alpha_t\, \lambda_i'(t)\, dt,

of which the part along (w, b) is :math:`\alpha^2/(2 n^2 (w^2 + b^2))`, relative: with two slopes
:math:`a^2 - w^2 - b^2` is conserved. The integral depends on the path of the multipliers only, not on its speed.

Where that is more than a unit can move, leading order does not hold: in narrow networks, for units in a sliver between close
points, of which few have to make much. A unit that contributes what the limit asks of it, :math:`a\,|(w, b)| = \rho\,
|(w_0, b_0)|^2` with :math:`\rho = |\alpha|/(n |(w_0, b_0)|)`, and conserves :math:`a^2 - w^2 - b^2`, ends with

.. math:: |(w, b)| = s\,|(w_0, b_0)|, \qquad s^2 = \tfrac12 (1 + \sqrt{1 + 4\rho^2}), \qquad
          |\Delta(w, b)| \le (1 + s)\,|(w_0, b_0)|,

and by no more than that is it said to move. (Derived here for gradient flow, and the scale for other potentials.)

Of several inputs w and :math:`x_i` are vectors, and all of this holds as it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from splinebias._arguments import known_keywords, points_of, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.data import Points
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.largest_error import check_probability
from splinebias.finite_width.movement.pulled_units import Pull, PullAlongPath, Units, length, pull_along_path, pull_of_modes
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction, beyond_bending
from splinebias.limit.several_inputs.solver import PointsSolver
from splinebias.parameterization import Standard
from splinebias.problem import Problem, require_problem

if TYPE_CHECKING:
    from splinebias.training.train import Training

_LAZY = 0.1  # movement, relative to n^(-1/2), below which random fluctuations hide it


class Measured(NamedTuple):
    """How far the hidden weights of a trained network moved, beside the prediction for the same units.

    Attributes
    ----------
    movement, predicted : Array, shape (n,)
        |change of (w, b)| / |(w, b)| of every unit.
    overall, predicted_overall : float
        The same of all (w, b) together, in the root mean square.
    """

    movement: Array
    predicted: Array
    overall: float
    predicted_overall: float


@dataclass(frozen=True, eq=False)
class Laziness(Drawn):
    r"""Predicted movement of hidden weights at one width.

    Attributes
    ----------
    problem : Problem
        What is trained.
    width : int
        The number n of units.
    seed : int
        Of the units over which averages are taken.
    multipliers : Array, shape (M,)
        Those at the end.
    pull : PullAlongPath or PullOfModes
        What moves the units.
    """

    problem: Problem
    width: int
    seed: int
    multipliers: Array = field(repr=False)
    pull: Pull = field(repr=False)

    def change(self, w: Any, b: Any) -> Array:
        r""":math:`\Delta(w, b)` for units that start at (w, b), each of shape (K,); shape (2, K), rows w and b.

        To leading order, and not farther than a unit can move, see `bound`; along (w, b) where doubles end. Of d inputs `w`
        has shape (K, d), here and below, and the change d rows of w.
        """
        units = Units.of(self.problem, self.multipliers, self.pull, self._units(w, b))
        return units.bounded(self._change(units, self.width), self.width)

    def _units(self, w: Any, b: Any) -> Array:
        """Rows of w and b, shape (d + 1, K), or a DataError."""
        b = real_vector(b, "b")
        if isinstance(self.problem.data, Points):
            w = points_of(w, self.problem.data.inputs, "w")
            if w.shape[:-1] != b.shape:
                raise DataError(f"`w` must have a row for each of {b.size} `b`, got shape {w.shape}")
            return np.vstack([w.T, b])
        w = real_vector(w, "w")
        if w.shape != b.shape:
            raise DataError(f"`w` and `b` must be as many, got {w.size} and {b.size}")
        return np.stack([w, b])

    @np.errstate(over="ignore", invalid="ignore")  # far from lazy
    def _change(self, units: Units, width: int) -> Array:
        """The change of units that leading order gives at a width, shape (d + 1, K)."""
        phi, n = self.problem.phi, float(width)
        if self.problem.scaled:
            return np.asarray(phi.grad_inverse(units.force / n) / n)
        return np.asarray(phi.hess_at_zero / phi.hess(units.start) * units.force / n**2)

    def bound(self, w: Any, b: Any) -> Array:
        r"""The :math:`1 + s` above, how far units that start at (w, b) can move relative to their size, shape (K,)."""
        return Units.of(self.problem, self.multipliers, self.pull, self._units(w, b)).bound(self.width)

    def movement(self, w: Any, b: Any) -> Array:
        r""":math:`|\Delta(w, b)|/|(w, b)|` per unit, shape (K,): sum of squares of `growth` and of the turn."""
        return _relative(self.change(w, b), self._units(w, b))

    def growth(self, w: Any, b: Any) -> Array:
        r"""Relative change of |(w, b)| per unit, shape (K,); :math:`\alpha^2/(2n^2(w^2 + b^2))` for gradient flow."""
        units = self._units(w, b)
        along, square = (units * self.change(w, b)).sum(axis=0), (units**2).sum(axis=0)
        return np.asarray(np.divide(along, square, out=np.zeros_like(along), where=square > 0))

    @cached_property
    def _sample(self) -> Units:
        """20,000 units of the law."""
        w, b = self.problem.initialization.pair_law.sample(20_000, np.random.default_rng(self.seed))
        return Units.of(self.problem, self.multipliers, self.pull, np.vstack([w.T, b]))

    def _leading_order_at(self, width: int) -> float:
        """`overall` at a width if units could move as far as leading order says."""
        moved = _overall(self._change(self._sample, width), self._sample.start)
        return math.inf if math.isnan(moved) else moved

    def _is_lazy(self, width: int) -> bool:
        return self._leading_order_at(width) <= _LAZY / math.sqrt(width)

    @cached_property
    def _moved(self) -> Array:
        """The change of the sample, shape (d + 1, 20,000)."""
        return self._sample.bounded(self._change(self._sample, self.width), self.width)

    @cached_property
    def overall(self) -> float:
        r""":math:`(E|\Delta(w, b)|^2/E|(w, b)|^2)^{1/2}` over 20,000 units of the law."""
        return _overall(self._moved, self._sample.start)

    def quantile(self, probability: float) -> float:
        """What `movement` stays below for this share, in (0, 1), of the same units."""
        return float(np.quantile(_relative(self._moved, self._sample.start), check_probability(probability)))

    @cached_property
    def largest(self) -> float:
        """The 99 % quantile of `movement` over the same units."""
        return self.quantile(0.99)

    @cached_property
    def holds(self) -> bool:
        """Whether leading order holds: the network is lazy, or no unit that counts would move farther than it can."""
        return self._is_lazy(self.width) or self.overall > 0.9 * self._leading_order_at(self.width)

    @cached_property
    def lazy_width(self) -> int:
        r"""The least width at which leading order moves weights by a tenth of n^(-1/2), so that fluctuations hide it.

        Movement falls like n^-2, with scaled potentials like :math:`(\phi')^{-1}(\cdot/n)/n`.
        """
        high = 1
        while high < 2**300 and not self._is_lazy(high):  # beyond it no width is looked for
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_lazy(middle) else (middle, high)
        return high

    @property
    def advice(self) -> str:
        """Empty if the infinite-width picture applies at this width, else what to do."""
        if self._is_lazy(self.width):
            return ""
        moved = f"{self.overall:.1%}" if self.overall < 10 else f"{self.overall:.1e} times their size"
        width = self.lazy_width if self.lazy_width < 10**9 else f"{self.lazy_width:.1e}"
        if not self.holds:
            return (
                f"leading order does not hold: hidden weights move by up to {moved}, few units have to make much (between "
                f"close points?): networks may be far from the limit; take a width of about {width}, or smoother data"
            )
        return (
            f"hidden weights move by {moved}, which shows beside fluctuations of order n^(-1/2): "
            f"take a width of about {width} or expect deviations from the infinite-width limit"
        )

    def to_frame(self) -> Any:
        """Shares of units and what their `movement` stays below, as a pandas DataFrame; CapabilityError without pandas."""
        shares = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
        return frame_of({"share": shares, "movement": [self.quantile(share) for share in shares.tolist()]})

    def measured(self, run: Training) -> Measured:
        """How far the hidden weights of `run`, a network of this problem and width, moved.

        Any method will do: where hidden weights hardly count in f, the flow moves them as they should all the same.
        """
        if run.width != self.width or run.problem != self.problem:
            raise DataError(f"`run` must be a network of this problem and width {self.width}, got {run!r}")
        w, b = run.start.units()[:2]
        units = np.vstack([w.T, b])
        ends = np.vstack([part.T for part in run.network.units()[:2]])
        change, predicted = ends - units, self.change(w, b)
        movement, expected = (_relative(moved, units) for moved in (change, predicted))
        return Measured(movement, expected, _overall(change, units), _overall(predicted, units))

    def __str__(self) -> str:
        text = (
            f"width {self.width}: hidden weights move by {self.overall:.2e}, half by less than "
            f"{self.quantile(0.5):.2e}, 99 % by less than {self.largest:.2e}"
        )
        return f"{text}; {self.advice}" if self.advice else text

    def __repr__(self) -> str:
        return f"Laziness({self.problem.describe()}; width {self.width})"


@known_keywords
def laziness(problem: Problem, width: int, *, seed: int = 0) -> Laziness:
    r"""Predict how far hidden weights move in training: does the infinite-width picture apply at this width?

    Parameters
    ----------
    problem : Problem
        What is to be trained, of one input or of several. Output weights start at 0.
    width : int
        The number n of units, >= 1.
    seed : int
        Of the 20,000 units over which `overall` and `largest` are taken.

    Returns
    -------
    Laziness
        ``overall``, ``quantile(q)``, ``largest``, ``holds``, ``advice``, ``lazy_width``; ``movement(w, b)`` per unit;
        ``measured(run)``.

    Raises
    ------
    DataError
        If the width is no whole number >= 1; whatever `predict` refuses.
    CapabilityError
        For activations without two slopes, for `NTK` (whose hidden layer is meant to move) and for output weights that do
        not start at 0; as `predict_path`.

    Notes
    -----
    Quadratic and unscaled potentials: closed form from the decay modes. Scaled ones: the path of the multipliers at 120
    times, to four digits, and a pass over the units for each, seconds. *Checked:* that no unit would move farther than it
    can; where some would, ``holds`` is False, and the numbers are bounds rather than predictions.
    Source: theory section 7.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> narrow, wide = sb.laziness(problem, 30), sb.laziness(problem, 3000)
    >>> round(narrow.overall / wide.overall), wide.advice
    (10000, '')
    """
    require_problem(problem)
    width, seed = whole_number(width, "width", at_least=1), whole_number(seed, "seed")
    if not isinstance(problem.parameterization, Standard):
        raise CapabilityError(
            f"laziness is predicted for Standard() networks, got {problem.parameterization}, whose hidden weights are meant "
            "to move; train one, and compare run.network.w with run.start.w"
        )
    missing = PointsSolver().supports(problem) if problem.data.inputs > 1 else beyond_bending(problem)
    if missing is not None:
        raise CapabilityError(f"laziness is predicted for two slopes: {missing}")
    if problem.initialization.output is not None:
        raise CapabilityError(
            f"laziness is predicted for output weights that start at 0, got {problem.initialization!r}; "
            "dataclasses.replace(initialization, output=None, antisymmetric=True) has the same hidden weights"
        )
    limit = predict(problem)  # refuses what cannot be fitted
    pull = pull_of_modes(problem) if problem.linear else pull_along_path(limit)
    return Laziness(problem, width, seed, limit.multipliers, pull)


def roughly(prediction: Prediction, width: int) -> Laziness:
    r"""`laziness` up to the time of a prediction as if multipliers had gone straight to where they are.

    Growth then is the same for gradient flow, the turn of the same order (both together within 2 % on published data). For
    `Standard` networks with two slopes whose output weights start at 0.
    """
    path = np.linspace(0.0, 1.0, 13)[:, None] * prediction.multipliers
    pull = PullAlongPath(path, prediction.problem.limit_potential)
    return Laziness(prediction.problem, width, 0, prediction.multipliers, pull)


def _relative(change: Array, units: Array) -> Array:
    """Lengths of changes relative to those of units, both of shape (d + 1, K); 0 for units that are 0, which do not move."""
    size = length(units)
    return np.asarray(np.divide(length(change), size, out=np.zeros_like(size), where=size > 0))


@np.errstate(over="ignore", invalid="ignore")
def _overall(change: Array, units: Array) -> float:
    """Movement in the root mean square, relative to that of the units, both of shape (d + 1, K)."""
    return float(np.sqrt((change**2).sum() / (units**2).sum()))
