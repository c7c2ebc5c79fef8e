r"""Early alignment: whether, and how fast, neurons of a small balanced start turn to one class each, before the loss moves.

Networks :math:`f = \sum_j v_j [w_j \cdot x]_+` on points :math:`x_i \in R^d` with labels :math:`y_i = \pm 1`, gradient flow
on a mean loss, :math:`|v_j| = |w_j|` of size :math:`\varepsilon` at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_array, real_number, real_vector
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.loss import checked_labels, checked_signs
from splinebias.problem import Problem
from splinebias.regimes.small_starts.frozen_pulls import FrozenPulls, follow
from splinebias.regimes.small_starts.label_pairs import hull_distance, signed_cosines_of, without_pairs


@dataclass(frozen=True, eq=False)
class AlignmentMargin(Drawn):
    r"""Early alignment as the points alone predict it: the margin of the hypothesis, and rates.

    Attributes
    ----------
    points : Array, shape (M, d)
        The points; abscissae x are given a second coordinate 1.
    labels : Array, shape (M,)
        The labels, +1 or -1.
    margin : float
        :math:`\mu = \min_{i \ne k} y_i y_k \cos(x_i, x_k)`; the hypothesis of the theorem is :math:`\mu > 0`.
    worst_pair : tuple of int
        Indices (i, k) where that minimum is.
    violated : float
        Share of the pairs with :math:`y_i y_k \cos(x_i, x_k) \le 0`.
    growth : tuple of float
        :math:`\gamma_\pm = |\frac1M \sum_{y_i = \pm 1} x_i|`: log growth rate of aligned neurons of each class, in units of
        :math:`-\ell'(0)`.
    hull_distances : tuple of float
        :math:`m_\pm`: distance of the convex hull of each class from 0.
    """

    points: Array
    labels: Array
    margin: float
    worst_pair: tuple[int, int]
    violated: float
    growth: tuple[float, float]
    hull_distances: tuple[float, float]

    @property
    def signed_cosines(self) -> Array:
        r""":math:`y_i y_k \cos(x_i, x_k)` of all pairs i < k, increasing; `margin` is the first."""
        rows, columns = np.triu_indices(self.labels.size, 1)
        return np.sort(signed_cosines_of(self.points, self.labels)[rows, columns])

    @property
    def holds(self) -> bool:
        r"""Whether the hypothesis :math:`\mu > 0` holds."""
        return self.margin > 0

    @property
    def mean_size(self) -> float:
        r"""Mean of :math:`|x_i|`: a time multiplied by it and by :math:`-\ell'(0)` has no unit."""
        return float(np.linalg.norm(self.points, axis=1).mean())

    @property
    def late_rate(self) -> float:
        r""":math:`\bar\gamma = \frac12/(1/m_+ + 1/m_-)`; 0 where a hull contains 0 and neurons cannot fit that class alone.

        With exponential tails of the loss, :math:`\frac{dt}{d(1/L)} \ln(1/L) \to 1/(4 \bar\gamma)`, a heuristic derived
        here: :math:`L t` is not flat, it falls like :math:`1/\ln(1/L)`.
        """
        plus, minus = self.hull_distances
        return 0.5 * plus * minus / (plus + minus) if plus + minus > 0 else 0.0

    def halving_time(self, scale: float, first_pull: float) -> float:
        r"""Leading order of the time at which the loss has halved from a start of size :math:`\varepsilon`.

        :math:`\ln(1/\varepsilon)/(\gamma\,|\ell'(0)|)` with the :math:`\gamma_\pm` of the class whose fit brings the share
        of fitted points above one half; infinite where its points add up to 0.
        """
        scale = real_number(scale, "scale", above=0)
        order = np.argsort(self.growth)[::-1]  # the faster class first
        sizes = [int((self.labels == sign).sum()) for sign in (1, -1)]
        late = order[0] if 2 * sizes[order[0]] > self.labels.size else order[1]
        speed = self.growth[late] * real_number(first_pull, "first_pull", above=0)
        return math.log(1 / scale) / speed if speed > 0 else math.inf

    def time_scale(self) -> float:
        r"""The bound on the alignment time without its constant, :math:`M \log M/\sqrt\mu` over the mean size, for
        :math:`-\ell'(0) = 1`.

        † From memory of the paper, unchecked, constants included: there the loss is a sum and the bound
        :math:`O(\log M/\sqrt\mu)`; the mean loss brings the factor M. Infinite where :math:`\mu \le 0`: no bound.
        Measured times stay far below it and grow with neither power.
        """
        count = self.labels.size
        return math.inf if not self.holds else count * math.log(count) / (math.sqrt(self.margin) * self.mean_size)

    @property
    def verdict(self) -> str:
        """The hypothesis and whether it holds, in words, with the worst pair."""
        i, k = self.worst_pair
        what = f"mu = {self.margin:.4g} at points {i} and {k}"
        if self.holds:
            return f"holds: {what}"
        return f"violated: {what}, and by {self.violated:.1%} of the pairs"

    def facts(self) -> dict[str, Any]:
        """Numbers by name, for JSON: infinite where there is no bound."""
        return {
            "holds": self.holds,
            "margin": self.margin,
            "worst_pair": list(self.worst_pair),
            "violated": self.violated,
            "growth": list(self.growth),
            "hull_distances": list(self.hull_distances),
            "late_slope": 1 / (4 * self.late_rate) if self.late_rate else math.inf,
            "bound": self.time_scale() if self.holds else math.inf,
        }

    def lines(self) -> dict[str, str]:
        """The `facts` in words, by label, as they are printed."""
        (plus, minus), (far, near) = self.growth, self.hull_distances
        late = (
            f"dt/d(1/L) ln(1/L) tends to {1 / (4 * self.late_rate):.4g}" if self.late_rate else "no rate: a hull contains 0"
        )
        return {
            "points": f"{self.labels.size} of {self.points.shape[1]} coordinates, {(self.labels > 0).sum()} of class +1",
            "hypothesis": self.verdict,
            "growth": f"gamma = {plus:.4g} for class +1, {minus:.4g} for class -1, times -l'(0)",
            "late loss": f"{late}; hulls at {far:.4g} and {near:.4g} from 0 (heuristic)",
            "bound": self.bound_in_words(self.time_scale()),
        }

    def bound_in_words(self, bound: float) -> str:
        """The bound on alignment times, or that there is none."""
        known = f"{bound:.4g} times an unknown constant (from memory of the paper, unchecked)"
        return known if self.holds else "none: the hypothesis fails"

    def __repr__(self) -> str:
        return f"AlignmentMargin({self.labels.size} points, {self.verdict})"

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{text}" for name, text in self.lines().items())

    def frozen(self, angles: Any, signs: Any) -> FrozenPulls:
        r"""Alignment and death of neurons in the plane in the limit :math:`\varepsilon \to 0`, exactly, without training.

        Parameters
        ----------
        angles : array_like, shape (n,)
            Directions :math:`(\cos\theta, \sin\theta)` of (w, b), in radians.
        signs : array_like, shape (n,)
            Signs of the output weights, +1 or -1.

        Returns
        -------
        FrozenPulls
            ``aligned_at``, times for :math:`-\ell'(0) = 1` (divide by `first_pull` of another loss), and ``dead``.

        Raises
        ------
        CapabilityError
            For points that are not in the plane, or where :math:`\mu \le 0`, so that neurons may slide along lines.
        """
        if self.points.shape[1] != 2 or not self.holds:
            raise CapabilityError(
                f"directions are followed exactly in the plane and with mu > 0, got {self.points.shape[1]} coordinates and "
                f"mu = {self.margin:.4g}; see sb.alignment, which trains"
            )
        angles, signs = np.broadcast_arrays(real_vector(angles, "angles"), checked_signs(signs))
        return follow(self.points, self.labels, angles, signs)

    def largest_subset(self, *, exact: bool = False) -> np.ndarray[Any, np.dtype[np.intp]]:
        r"""Indices of points with :math:`\mu > 0`: what greedy deletion leaves, or the largest subset there is.

        Greedy: again and again the point with most violated pairs goes, of several the first, until none is left; how many
        stay depends on the order of the points. Exact: a maximum independent set of the graph of violated pairs, by
        integer programming, whose time is unknown in advance (360 digits: a fifth of a second). Either
        may delete one class entirely: `alignment_margin` refuses the rest.
        """
        bad = signed_cosines_of(self.points, self.labels) <= 0
        np.fill_diagonal(bad, val=False)
        if exact:
            return without_pairs(bad)
        kept = np.ones(self.labels.size, dtype=bool)
        counts = bad.sum(axis=1)
        while counts.max(initial=0) > 0:
            worst = int(counts.argmax())
            kept[worst] = False
            counts = counts - bad[worst]
            counts[~kept] = 0
        return np.flatnonzero(kept)


@known_keywords
def alignment_margin(points: Any, labels: Any = None) -> AlignmentMargin:
    r"""Check the hypothesis of early alignment on points with labels, and compute the rates that it predicts.

    Parameters
    ----------
    points : array_like, shape (M, d) or (M,), or Dataset, Points, Problem
        Inputs of any dimension without bias; a vector of abscissae stands for the points (x, 1), and so does a `Dataset`.
        Of a `Problem`, whose networks have biases, points of any dimension are (x, 1). Order matters where ties are
        broken (`largest_subset`), and `Points` sorts.
    labels : array_like, shape (M,)
        The labels, each +1 or -1; both must occur. To be left out with an object that has them.

    Raises
    ------
    DataError
        For wrong shapes, NaN or infinity, a zero vector, labels other than +1 and -1, or one class only; for points that
        count more than once.

    Notes
    -----
    Hypotheses checked: :math:`\mu = \min y_i y_k \cos(x_i, x_k) > 0` (`AlignmentMargin.holds`, with the worst pair). Not
    checked: that the start is balanced and small. Hull distances come from non-negative least squares, exactly.
    Source: Min, Mallada & Vidal on early neuron alignment, of which the abstract was read; rates derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> found = sb.alignment_margin([-2, -1.5, 1.5, 2], [-1, -1, 1, 1])
    >>> print(f"{found.margin:.4f}", found.worst_pair, found.holds)
    0.3846 (1, 2) True
    """
    x, y = _checked(*_taken_apart(points, labels))
    products = signed_cosines_of(x, y)
    upper = np.triu_indices(y.size, 1)
    pairs = products[upper]
    worst = int(pairs.argmin())
    growth = [float(np.linalg.norm(x[y == sign].sum(axis=0))) / y.size for sign in (1, -1)]
    hulls = [hull_distance(x[y == sign]) for sign in (1, -1)]
    return AlignmentMargin(
        x,
        y,
        float(pairs[worst]),
        (int(upper[0][worst]), int(upper[1][worst])),
        float((pairs <= 0).mean()),
        (growth[0], growth[1]),
        (hulls[0], hulls[1]),
    )


def _taken_apart(points: Any, labels: Any) -> tuple[Any, Any]:
    """Points and labels of what may be an object that has both."""
    data = points.data if isinstance(points, Problem) else points
    if not isinstance(data, Dataset | Points):
        return points, labels
    if labels is not None:
        raise DataError(f"`labels` must be left out with {data!r}, which has them, got {labels!r}")
    if (data.weights != data.weights[0]).any():
        raise DataError(
            f"points of early alignment must count once, got weights in {data!r}; give points and labels as arrays"
        )
    if isinstance(points, Problem) and isinstance(data, Points):
        return np.column_stack([data.x, np.ones_like(data.y)]), data.y
    return data.x, data.y


def _checked(points: Any, labels: Any) -> tuple[Array, Array]:
    x, y = real_array(points, "points"), real_array(labels, "labels")
    if x.ndim == 1:
        x = np.stack([x, np.ones_like(x)], axis=1)
    if x.ndim != 2 or y.shape != x.shape[:1] or not x.size:
        raise DataError(
            f"`points` must have shape (M, d) or (M,) and `labels` (M,), got {x.shape} and {y.shape}; one label a point"
        )
    if not np.isfinite(x).all():
        raise DataError(f"`points` must be finite, got {x[~np.isfinite(x)][0]}; drop or impute such points")
    if (zero := np.flatnonzero(~x.any(axis=1))).size:
        raise DataError(f"`points` must differ from 0, got the zero vector at index {zero[0]}: it has no direction; drop it")
    return x, checked_labels(y)
