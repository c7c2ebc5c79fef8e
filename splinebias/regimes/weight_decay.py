r"""Weight decay in function space: the whole path in its strength, where it ends, and what a network's coefficient
stands for.

Source: derived here; the reduction of weight decay to a norm is Savarese et al. (COLT 2019), from memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.regimes.least_norm import exchange
from splinebias.regimes.least_norm.bends import Bends
from splinebias.regimes.least_norm.kinked_fit import Fit
from splinebias.regimes.least_norm.sectors import Sectors
from splinebias.regimes.least_norm.strength_path import Stretch, stretches_of
from splinebias.regimes.minimum_norm import MinimumNorm, check, minimum_norm


@dataclass(frozen=True, eq=False)
class WeightDecayPath(Drawn):
    r"""Regularized fits at all strengths, see `weight_decay_path`.

    Attributes
    ----------
    data : Dataset
        What is fitted.
    breaks : Array, shape (B,)
        Strengths at which a knot comes or goes, decreasing; above the first the fit is the least-squares line, below the
        last the knots are those of the interpolant.
    degrees_of_freedom : Array, shape (B + 1,)
        Number of knots at data plus two, between neighbouring breaks: above the first, ..., below the last.
    """

    data: Dataset
    breaks: Array
    degrees_of_freedom: Array
    _fit: Fit = field(repr=False)
    _stretches: list[Stretch] = field(repr=False)

    def __repr__(self) -> str:
        last = f", from {self.breaks[0]:.6g} down to {self.breaks[-1]:.6g}" if self.breaks.size else ""
        return f"WeightDecayPath({self.data!r}; {self.breaks.size} breaks{last})"

    def fitted(self, strengths: Any) -> Array:
        """Values at the data, shape (len(strengths), M), in units of y; strengths >= 0.

        Raises
        ------
        DataError
            For strengths that are no numbers >= 0.
        """
        values = [real_number(s, "strengths", at_least=0.0) for s in np.ravel(strengths).tolist()]
        return np.array([self._at(s)[1] for s in values]).reshape(len(values), self.data.size)

    def losses(self, strengths: Any) -> Array:
        r"""Losses :math:`\frac{1}{2S} \sum m_i (f(x_i) - y_i)^2` at these strengths, shape (len(strengths),)."""
        return np.array([self._fit.loss(row) for row in self.fitted(strengths)])

    def norms(self, strengths: Any) -> Array:
        r"""Total curvature :math:`\int |f''|` at these strengths, shape (len(strengths),)."""
        values = [real_number(s, "strengths", at_least=0.0) for s in np.ravel(strengths).tolist()]
        return np.array([np.abs(self._at(s)[0]).sum() for s in values])

    def to_frame(self) -> Any:
        """A row per break, as a pandas DataFrame: strength, loss and norm there, degrees of freedom below it.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        losses, norms = self.losses(self.breaks), self.norms(self.breaks)
        columns = {"strength": self.breaks, "loss": losses, "norm": norms}
        return frame_of(columns | {"degrees_of_freedom": self.degrees_of_freedom[1:]})

    def at(self, strength: float) -> MinimumNorm:
        """The minimizers at one strength, as `minimum_norm` finds them."""
        return minimum_norm(self.data, strength=strength)

    def gcv(self, *, inflation: float = 1.4) -> tuple[float, float]:
        r"""The strength of least generalized cross-validation score, and that score, in units of y squared.

        .. math:: V(s) = \frac{S^{-1} \sum m_i (f_s(x_i) - y_i)^2}{(1 - \gamma\, \mathrm{df}(s)/M)^2}.

        Between breaks df does not change and the loss grows with s: the least score is at a break, and exact.

        Parameters
        ----------
        inflation : float
            The :math:`\gamma` above, >= 1. At 1 the score is that of Craven & Wahba, which on some data chooses fits
            that are almost interpolants: there it is a quotient of two vanishing numbers. More guards against that.

        Raises
        ------
        DataError
            For an `inflation` below 1, and where even a line has too many freedoms for so few points.

        Notes
        -----
        *Hypotheses, not checked:* independent noise of variance proportional to 1/m_i, no outliers. The number of knots
        plus two is the expected degrees of freedom of such fits (Tibshirani & Taylor, Annals of Statistics 40, 2012),
        1.4 a customary factor (Kim & Gu, JRSS B 66, 2004); both from memory.
        """
        gamma, size = real_number(inflation, "inflation", at_least=1.0), self.data.size
        scored = []
        for stretch, df in zip(self._stretches, self.degrees_of_freedom.tolist(), strict=True):
            if gamma * df < size:
                loss = self._fit.loss(self._fit.line + stretch.zero.fitted + stretch.low * stretch.one.fitted)
                scored.append((2 * loss / (1 - gamma * df / size) ** 2, stretch.low))
        if not scored:
            raise DataError(f"cross-validation needs more than {2 * gamma:g} points, got {size}; add points")
        score, strength = min(scored)
        return strength, score

    def _at(self, s: float) -> tuple[Array, Array]:
        """Jumps and values at the data at strength s."""
        stretch = self._stretches[int(np.searchsorted(-self.breaks, -s, side="right"))]
        fitted = self._fit.line + stretch.zero.fitted + s * stretch.one.fitted
        return stretch.zero.jumps + s * stretch.one.jumps, fitted


@known_keywords
def weight_decay_path(data: Dataset) -> WeightDecayPath:
    r"""The fits of weight decay at all strengths, biases free, with a skip connection: from a line to an interpolant.

    .. math:: \min_f \frac{1}{2S} \sum_i m_i (f(x_i) - y_i)^2 + s \int |f''|, \qquad 0 \le s < \infty, \quad S = \sum m.

    Fitted values and jumps are piecewise linear in s. Between two breaks, knots and signs stay; a break is where a jump
    comes to zero or the certificate :math:`|G(x_j)|` reaches s at another datum, both read off exactly.

    Parameters
    ----------
    data : Dataset
        Points and how often they were observed. Time and memory grow like M squared: a thousand points take a second.

    Returns
    -------
    WeightDecayPath

    Raises
    ------
    DataError
        If `data` is no Dataset, or as `minimum_norm`.

    Notes
    -----
    Derived here. Ties, as in symmetric data, are no harder: each stretch is found by the solver of `minimum_norm`, not by
    following events.
    """
    check(data)
    fit = Fit(data.x, data.y, data.weights)
    stretches = stretches_of(fit, bent=bool((Bends.of(data.x, data.y).changes != 0).any()))
    breaks = np.array([stretch.low for stretch in stretches[:-1]])
    breaks.setflags(write=False)
    return WeightDecayPath(data, breaks, np.array([s.zero.knots.size + 2 for s in stretches]), fit, stretches)


@known_keywords
def largest_strength(data: Dataset, *, penalize_bias: bool = False, affine: str = "free", output_bias: bool = True) -> float:
    r"""The strength of weight decay from which on the fit costs nothing, and no longer changes.

    That is the least-squares line (affine "free"), the weighted mean ("network" with free biases, or with an output
    bias), or 0. It is the largest :math:`|G|/\kappa` of the residuals of that fit, in closed form.

    Parameters
    ----------
    data, penalize_bias, affine, output_bias
        As in `minimum_norm`.

    Returns
    -------
    float
        In units of y times x (free biases) or y.

    Raises
    ------
    DataError
        As `minimum_norm`.
    """
    check(data, penalize_bias=penalize_bias, affine=affine, output_bias=output_bias)
    x, y, m = data.x, data.y, data.weights
    if penalize_bias:
        return exchange.largest_strength(Sectors.of(x, y, m, free=affine == "free", constant=output_bias))
    if affine == "free":
        fit = Fit(x, y, m)
        return float(np.abs(fit.dual(np.zeros_like(y))).max())
    pull = m * (y - np.average(y, weights=m)) / m.sum()
    behind = np.r_[np.cumsum(pull[::-1])[::-1][1:], 0.0]
    right = np.cumsum((behind[:-1] * np.diff(x))[::-1])[::-1]  # G of units with w > 0; of the others: less the first
    return float(max(np.abs(right).max(), np.abs(right - right[0]).max()))


@known_keywords
def sgd_strength(weight_decay: float) -> float:
    r"""The strength s = w/2 that stands for ``torch.optim.SGD(..., weight_decay=w)`` with ``MSELoss``.

    Then :math:`\text{MSE} + \frac{w}{2} |\theta|^2` is stationary, twice :math:`L + \frac{w}{4}\sum(a^2 + |(w, b)|^2)`,
    and at its minimum :math:`a^2 = |(w, b)|^2` for every unit, which leaves :math:`L + \frac{w}{2} \sum |a||(w, b)|`.

    Parameters
    ----------
    weight_decay : float
        The coefficient w, >= 0.

    Returns
    -------
    float
        For ``minimum_norm(data, penalize_bias=True, affine="network", strength=...)``; with biases in a parameter group
        of their own that does not decay, ``penalize_bias=False``.

    Raises
    ------
    DataError
        If `weight_decay` is no number >= 0.

    Notes
    -----
    *Not covered:* an output bias d that decays too adds s d^2/2, which is not in the norm: put it into a parameter group
    without decay. AdamW decays differently and has other minima; Adam's ``weight_decay`` has the same minima as SGD's.
    *Hypotheses, not checked:* width at least the number of knots, a global minimum.
    """
    return real_number(weight_decay, "weight_decay", at_least=0.0) / 2
