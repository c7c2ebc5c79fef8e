r"""minimum_norm: the function of least norm through data, or beside them, that weight decay and small starts lead to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, nearest, real_number, true_or_false
from splinebias._array import Array
from splinebias._result import DrawnFunction
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.regimes.least_norm import circle, total_curvature
from splinebias.regimes.least_norm.bends import Bends
from splinebias.regimes.least_norm.total_curvature import Found


@dataclass(frozen=True, eq=False)
class MinimumNorm(DrawnFunction):
    r"""The function of least norm, see `minimum_norm`; ``least(x, nu=0)`` is `function`.

    Attributes
    ----------
    data : Dataset
        What it passes through, or beside.
    penalize_bias, affine, output_bias, strength
        The arguments of `minimum_norm`.
    function : PiecewiseLinear
        A minimizer. With free biases there may be others, and this one connects the (fitted) dots.
    norm : float
        Its norm :math:`\sum |a||w|`, or :math:`\sum |a||(w, b)|`: the least that a network needs for it, in units of y
        over x (biases free).
    loss : float
        :math:`\frac{1}{2S} \sum m_i (f(x_i) - y_i)^2`, in units of y squared; 0 for interpolants.
    knots, jumps : Array, shape (K,)
        Where `function` bends, and by how much its slope changes there. They are exact where differences of values are not.
    residual : float
        Relative. How far the certificate G is from proving `function` optimal: the excess of :math:`|G|/\kappa` over 1
        anywhere (closed form between data), the gap between the norm and what G proves, the misfit of the data relative
        to max \|y\|.
    outcome : Outcome
        CONVERGED, or INACCURATE when the residual is above 1e-8.
    unique : bool
        Whether `function` is the only minimizer. With free biases that is decided; with penalized ones True says that it was
        shown: knots can sit at finitely many places only, and these determine the function.
    stats : dict
        Steps, seconds.
    """

    data: Dataset
    penalize_bias: bool
    affine: str
    output_bias: bool
    strength: float
    function: PiecewiseLinear
    norm: float
    loss: float
    knots: Array
    jumps: Array
    residual: float
    outcome: Outcome
    unique: bool
    stats: dict[str, Any]
    _found: Found = field(repr=False)

    def __repr__(self) -> str:
        what = "bias-penalized" if self.penalize_bias else "free biases"
        return (
            f"MinimumNorm({self.data!r}, {what}, affine {self.affine}, strength {self.strength:g}; norm {self.norm:.6g}, "
            f"loss {self.loss:.6g}, {self.knots.size} knots, residual {self.residual:.1e}, {self.outcome})"
        )

    @property
    def objective(self) -> float:
        """Loss plus strength times norm; the norm of an interpolant."""
        return self.loss + self.strength * self.norm if self.strength else self.norm

    @property
    def lower(self) -> PiecewiseLinear:
        """The least value that a minimizer takes, point by point, as a function of x.

        It need not be a minimizer itself: between two points others may have to bend less for this one to bend more.

        Raises
        ------
        CapabilityError
            If biases are penalized and the minimizer was not shown to be unique.
        """
        return self._of_the_set(self._found.lower)

    @property
    def upper(self) -> PiecewiseLinear:
        """The largest value that a minimizer takes, point by point, as a function of x; see `lower`."""
        return self._of_the_set(self._found.upper)

    @property
    def sparsest(self) -> PiecewiseLinear:
        r"""A minimizer with fewest knots.

        A run of r changes of slope of one sign needs :math:`\lceil r/2 \rceil` knots. If r is odd there are others with as
        many: here the first segment of the run, every second one and the last keep their lines.

        Raises
        ------
        CapabilityError
            As `lower`.
        """
        return self._of_the_set(self._found.sparsest)

    def _of_the_set(self, member: PiecewiseLinear | None) -> PiecewiseLinear:
        if member is not None:
            return member
        if self.unique:
            return self.function
        raise CapabilityError(
            "the set of all minimizers is known for free biases, or if there is one only: take penalize_bias=False, or "
            "`function`, which is one of them"
        )


@known_keywords
def minimum_norm(
    data: Dataset,
    *,
    penalize_bias: bool = False,
    affine: str = "free",
    output_bias: bool = True,
    strength: float = 0.0,
) -> MinimumNorm:
    r"""The function of least norm through the data, or the fit of weight decay with a given strength.

    .. math:: \min_f \int \kappa(c)\, |f''|(dc) \text{ with } f(x_i) = y_i, \quad\text{or}\quad
              \min_f \frac{1}{2S} \sum_i m_i (f(x_i) - y_i)^2 + s \int \kappa |f''|, \qquad S = \sum m,

    with :math:`\kappa = 1` (biases free: the least :math:`\sum |a||w|` of ReLU networks of any width) or
    :math:`\kappa = \sqrt{1 + c^2}` (biases penalized: :math:`\sum |a||(w, b)|`); f'' is a measure. Minimizers are linear
    splines with few knots.

    Parameters
    ----------
    data : Dataset
        Points and how often they were observed, :math:`m_i`: that matters for strength > 0 only. Replicates belong in
        ``Dataset.from_replicates``.
    penalize_bias : bool
        Whether biases of the hidden layer count in the norm. Then the unit of x matters, and where its zero is.
    affine : {"free", "network"}
        "free": a skip connection makes a line at no cost. "network": the hidden units have to make the whole function.
    output_bias : bool
        For "network" and penalized biases: whether a constant is free. (With free biases it always is: units far out
        make one.)
    strength : float
        The s above, >= 0; 0 interpolates. `sgd_strength` tells it from a network's weight decay, `weight_decay_path` gives
        all at once, and from `largest_strength` on nothing changes any more.

    Returns
    -------
    MinimumNorm

    Raises
    ------
    DataError
        For other values than these; if slopes between neighbours overflow.
    CapabilityError
        For more points than the exchange of directions takes (penalized biases, "network": 200 through the data, 10,000
        for strength > 0); the message says what takes them.

    Notes
    -----
    *Biases free, affine part free*: the minimum is :math:`\sum |s_{i+1} - s_i|` over the slopes between neighbours,
    reached by connecting the dots; other minimizers bend where both neighbouring changes of slope have one sign. O(M).
    "network": the minimum is (T + max(T, S))/2 with T that sum and :math:`S = |s_1 + s_{M-1}|`.

    *Biases penalized, affine part free*: tangents walk along shortest paths that touch the lines of all data in order,
    O(M). For data with :math:`x_1 x_2 < -1` or :math:`x_{M-1} x_M < -1` the outer segments may bend too. All else:
    exchange of directions of hidden weights.

    *Hypotheses, not checked:* that a network reaches its global minimum, and that it has at least as many units as the
    minimizer has knots. Sources: Savarese et al. (COLT 2019), Debarre et al. (2022) and Boursier & Flammarion (2023),
    from memory; the set of minimizers, the minimum without skip connection, the shortest paths and the closed forms are
    derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> least = sb.minimum_norm(sb.Dataset([-2, -1, 0, 1, 2], [4, 1, 0, 1, 4]))
    >>> round(least.norm, 12), least.unique, least.sparsest.knots.tolist()
    (6.0, False, [-0.5, 1.0])
    >>> biased = sb.minimum_norm(least.data, penalize_bias=True)
    >>> round(biased.norm, 9), biased.knots.round(9).tolist()
    (7.211102551, [-0.666666667, 0.666666667])
    """
    began = time.perf_counter()
    check(data, penalize_bias=penalize_bias, affine=affine, output_bias=output_bias)
    strength = real_number(strength, "strength", at_least=0.0, fix="0 interpolates, more regularizes")
    x, y, m = data.x, data.y, data.weights
    if penalize_bias:
        found = circle.least(x, y, m, strength, free=affine == "free", constant=output_bias)
    elif strength:
        found = total_curvature.fit(x, y, m, strength, free=affine == "free")
    else:
        found = total_curvature.interpolant(Bends.of(x, y), free=affine == "free")
    misfit = found.function(x) - y
    residual = found.residual
    if not strength:
        residual = max(residual, _beyond_rounding(misfit, data, found))
    return MinimumNorm(
        data,
        penalize_bias,
        affine,
        output_bias,
        strength,
        found.function,
        found.norm,
        float(np.sum(m * misfit**2) / (2 * m.sum())) if strength else 0.0,
        _frozen(found.masses.knots),
        _frozen(found.masses.jumps),
        residual,
        Outcome.CONVERGED if residual <= 1e-8 else Outcome.INACCURATE,
        found.unique,
        {"steps": found.steps, "seconds": time.perf_counter() - began},
        found,
    )


def check(data: Any, *, penalize_bias: Any = False, affine: Any = "free", output_bias: Any = True) -> None:
    """Refuse arguments that are none of `minimum_norm`, and data whose slopes overflow, with a DataError."""
    if not isinstance(data, Dataset):
        raise DataError(f"`data` must be a Dataset, got {type(data).__name__}; pass sb.Dataset(x, y)")
    for name, value in (("penalize_bias", penalize_bias), ("output_bias", output_bias)):
        true_or_false(value, name)
    if affine not in ("free", "network"):
        raise DataError(f"`affine` must be 'free' or 'network', got {affine!r}{nearest(affine, ('free', 'network'))}")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        slopes = np.diff(data.y) / np.diff(data.x)
        sizes = (np.abs(slopes).sum() * 4, np.square(data.x).sum(), np.square(data.y).sum())
    if not np.isfinite(sizes).all():
        raise DataError(
            f"slopes between neighbours and squares of data must stay finite, got |x| up to {np.abs(data.x).max():g}, "
            f"|y| up to {np.abs(data.y).max():g} and neighbours {np.diff(data.x).min():g} apart; scale the data or merge "
            "such points"
        )


def _beyond_rounding(misfit: Array, data: Dataset, found: Found) -> float:
    r"""The misfit relative to max \|y\|, less what it costs that knots are rounded to the next float."""
    steepest = np.abs(np.diff(data.y) / np.diff(data.x)).max() + np.abs(found.masses.jumps).max(initial=0.0)
    rounding = 2 * np.finfo(float).eps * np.abs(data.x).max() * steepest
    return float(max(np.abs(misfit).max() - rounding, 0.0) / max(np.abs(data.y).max(), np.finfo(float).tiny))


def _frozen(values: Array) -> Array:
    """A copy of an array, as floats and read-only."""
    values = np.array(values, dtype=float)
    values.setflags(write=False)
    return values
