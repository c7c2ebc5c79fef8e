r"""Condensation: the few directions that all neurons turn to when a network starts at almost zero, predicted from the data.

While :math:`f \approx 0`, the residual stays at :math:`-y` and each neuron :math:`a\,\sigma(h \cdot (x, 1))` moves alone:
:math:`a' = \rho^p Q(\theta)`, :math:`h' = a \nabla[\rho^p Q(\theta)]` with :math:`h = \rho(\cos\theta, \sin\theta)` and the
Q of `leading_term` (up to the unit of time).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import known_keywords, real_vector
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.activation import Activation, Smooth
from splinebias.data import Dataset, Points
from splinebias.errors import DataError
from splinebias.regimes.small_starts.leading_term import LeadingTerm
from splinebias.regimes.small_starts.point_orientations import PointOrientations, point_orientations

_TURN = 2 * math.pi
_SHOWN = 4  # orientations, in a line


@dataclass(frozen=True, eq=False)
class Decoupled:
    r"""Where neurons of given starts end when each moves alone, the residual frozen at :math:`-y`.

    Attributes
    ----------
    angles : Array, shape (n,)
        Final directions, degrees in [0, 360).
    errors : Array, shape (n,)
        Degrees from there to the nearest condensed orientation of the sign that the output weight has in the end.
    alive : Array of bool, shape (n,)
        Whether that is less than a hundredth of a degree. The others die: they sit where ReLU is zero on all data, or at a
        maximum with Q < 0 (a minimum with Q > 0), where (w, b) shrinks to zero.
    shares : Array, shape (k,)
        Share of all neurons that ended alive at each of the k orientations.
    signs : Array, shape (n,)
        Sign of the output weight in the end.
    """

    angles: Array
    errors: Array
    alive: NDArray[np.bool_]
    shares: Array
    signs: Array


@dataclass(frozen=True, eq=False, repr=False)
class Orientations(Drawn):
    r"""The condensed orientations of networks on a data set: maxima of Q > 0 and minima of Q < 0, k of them.

    Attributes
    ----------
    angles : Array, shape (k,)
        Directions of (w, b) in degrees from the w axis, in [0, 360), increasing.
    signs : Array, shape (k,)
        Sign of the output weight, +1 where Q > 0.
    strengths : Array, shape (k,)
        The Q above, in the unit of y times x^p.
    basins : Array, shape (k,)
        Share of *balanced* starts (:math:`p a^2 = \rho^2`, random sign, uniform direction) that end there, exact: for these
        the direction climbs (a > 0) or descends (a < 0) Q, so that basins are arcs between neighbouring minima (maxima).
        Other starts change the sign of a on the way and have other basins: `decoupled` follows them.
    critical : Array
        All candidates in degrees: zeros of the slope of Q, and boundaries of sectors.
    term : LeadingTerm
        Q as a function of the angle in radians.
    """

    angles: Array
    signs: Array
    strengths: Array
    basins: Array
    critical: Array
    term: LeadingTerm

    def __repr__(self) -> str:
        places = ", ".join(
            f"{angle:.1f} ({'+' if sign > 0 else '-'})" for angle, sign in zip(self.angles, self.signs, strict=True)
        )
        return f"Orientations({self.angles.size}, in degrees with the sign of a: {places})"

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row an orientation: angle in degrees, sign, strength, basin."""
        return frame_of({"angle": self.angles, "sign": self.signs, "strength": self.strengths, "basin": self.basins})

    def distances(self, angles: Array, signs: Array) -> Array:
        """Degrees from each direction to each orientation, shape (n, k); infinite where the signs of a differ."""
        turn = np.abs((angles[:, None] - self.angles + 180) % 360 - 180)
        return np.where(signs[:, None] == self.signs, turn, math.inf)

    def away(self, weights: Array, signs: Array) -> Array:
        """As `distances`, of neurons by their (w, b), shape (n, 2)."""
        return self.distances(np.degrees(np.arctan2(weights[:, 1], weights[:, 0])) % 360, signs)

    def decoupled(self, a: Array, w: Array, b: Array) -> Decoupled:
        r"""Follow neurons of given starts to rest, each alone and in its own time.

        With :math:`\tan\varphi = \sqrt p\, a/\rho` and time measured in :math:`\sqrt p\, \rho^{p-2} R`,
        :math:`R^2 = p a^2 + \rho^2`, the size of a neuron drops out, and with it the blow-up in finite time for p >= 2:

        .. math:: \dot\theta = \sin\varphi\, Q'(\theta)/p, \qquad \dot\varphi = \cos\varphi \cos 2\varphi\, Q(\theta).

        Parameters
        ----------
        a, w, b : array_like, shape (n,)
            Output weights, weights and biases; their common scale does not matter.

        Raises
        ------
        DataError
            If they are no finite vectors of one length, or some (w, b) is zero: it has no direction.

        Notes
        -----
        Runge-Kutta steps of order 4 up to rest; neurons that come to a boundary which attracts them from both sides stay.
        """
        start = [real_vector(value, name) for name, value in (("a", a), ("w", w), ("b", b))]
        if len({part.size for part in start}) > 1:
            raise DataError(
                f"`a`, `w` and `b` must have one length, got {[part.size for part in start]}; one of each a neuron"
            )
        if not (np.hypot(start[1], start[2]) > 0).all():
            raise DataError("every (w, b) must differ from zero, got one without a direction; drop that neuron")
        theta, phi = _to_rest(self.term, *start)
        angles = np.degrees(theta) % 360
        signs = np.sign(phi)
        away = self.distances(angles, signs)
        errors = away.min(axis=1, initial=180.0)
        alive = errors < 0.01
        at = away[alive].argmin(axis=1) if self.angles.size else np.zeros(0, dtype=int)
        return Decoupled(angles, errors, alive, np.bincount(at, minlength=self.angles.size) / theta.size, signs)


@overload
def condensed_orientations(data: Dataset, activation: Activation) -> Orientations:
    """Orientations of networks of one input."""


@overload
def condensed_orientations(data: Points, activation: Activation) -> PointOrientations:
    """Orientations of networks of several inputs."""


@known_keywords
def condensed_orientations(data: Dataset | Points, activation: Activation) -> Orientations | PointOrientations:
    r"""The directions that neurons condense at in networks that start at almost zero.

    They are the maxima with Q > 0 (output weight a > 0) and the minima with Q < 0 (a < 0) of
    :math:`Q(u) = \sum_i m_i y_i\, \kappa (u \cdot (x_i, 1))^p` over unit directions u of (w, b), for an activation
    :math:`\sigma(z) = \sigma(0) + \kappa z^p + \dots`: at most 2p. ReLU and its kin have :math:`\kappa` and p on each side
    of zero; there Q is solved sector by sector, and the sector boundaries are candidates too.

    Parameters
    ----------
    data : Dataset or Points
        Points; weights m count. Of several inputs smooth activations of multiplicity 1 and 2: there Q is a linear or a
        quadratic form, with its extrema at a mean, or at the eigenvectors of the largest and the least eigenvalue.
    activation : Activation
        A smooth one of known multiplicity (`Tanh`, `XTanh`, `X2Tanh`, `Sigmoid`, `Softplus`, your own `Smooth`), or a
        homogeneous one such as `ReLU`.

    Returns
    -------
    Orientations
        Their angles in degrees, signs, strengths Q and basins; of several inputs `PointOrientations`, with directions.

    Raises
    ------
    DataError
        If the activation has :math:`\sigma(0) \ne 0` and the mean of y is not zero: then all neurons follow the mean first
        and do not condense. If this power does not see the data (Q is zero).
    CapabilityError
        If the activation has no known multiplicity; of several inputs, if it is not 1 or 2, or the activation has kinks.

    Notes
    -----
    For networks without output bias. One that is trained, as by `train`, fits the mean of y first: take the orientations of
    ``data.with_ordinates(y - mean)`` then.
    Hypotheses checked: the mean of y for :math:`\sigma(0) \ne 0`; that Q is not zero. Not checked: that the start is small
    enough, and, for p >= 2, that a *trained* network shows all of these directions: there growth is faster than
    exponential and the winner takes all (`train_from_small_start` shows it, `condensation` measures it). The count 2p shows
    in `Orientations.decoupled`.
    Source: Zhou et al. on condensation at small initialization, of which the abstract was read; the condition and the
    count 2p were derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [1, -2, 0.5])
    >>> found = sb.condensed_orientations(data, sb.XTanh())
    >>> print(found.angles.round(1), found.signs)
    [ 76.7 166.7 256.7 346.7] [-1.  1. -1.  1.]
    """
    if not isinstance(data, Dataset | Points):
        raise DataError(f"`data` must be an sb.Dataset, or of several inputs sb.Points, got {data!r}")
    if isinstance(activation, type):
        raise DataError(f"`activation` must be an activation such as sb.Tanh(), got {activation!r}; call it: add ()")
    if isinstance(activation, Smooth) and activation.at_zero != 0:
        _require_mean_zero(data, activation)
    if isinstance(data, Points):
        return point_orientations(data, activation)
    term = LeadingTerm.of(data, activation)
    at = term.critical_directions()
    inside = at + np.arange(1, 8)[:, None] / 8 * (np.r_[at[1:], at[0] + _TURN] - at)
    after = np.sign(term.slope(inside).sum(axis=0))  # on the arc behind each candidate; seven points: one may be a zero
    before = np.roll(after, 1)
    level = term.value(at)
    tops = (before > 0) & (after < 0)
    bottoms = (before < 0) & (after > 0)
    kept = np.flatnonzero((tops & (level > term.rounding)) | (bottoms & (level < -term.rounding)))
    signs = np.where(tops[kept], 1.0, -1.0)
    basins = np.array([_arc(at, after, int(i), top=bool(tops[i])) for i in kept])
    angles = np.degrees(at[kept]) % 360  # 2 pi less rounding is 360 degrees
    order = np.argsort(angles)
    angles, signs, strengths, basins = (part[order] for part in (angles, signs, level[kept], basins / (2 * _TURN)))
    return Orientations(angles, signs, strengths, basins, np.sort(np.degrees(at) % 360), term)


def _require_mean_zero(data: Dataset | Points, activation: Smooth) -> None:
    mean = float(data.weights @ data.y / data.weights.sum())
    if abs(mean) > 1e-12 * np.abs(data.y).max():
        raise DataError(
            f"{activation} has sigma(0) = {activation.at_zero:g} and condenses only if the mean of y is 0, got {mean:g}; "
            f"centre it (data.with_ordinates(y - mean)) or take sigma - sigma(0): sb.Centred(sb.{activation!r})"
        )


def _arc(at: Array, after: Array, top_or_bottom: int, *, top: bool) -> float:
    """Length of the arc from which Q leads up to this maximum, or down to this minimum."""
    rising, size = (1.0 if top else -1.0), at.size
    lengths = (np.r_[at[1:], at[0] + _TURN] - at)[(np.arange(size) + top_or_bottom) % size]
    signs = after[(np.arange(size) + top_or_bottom) % size]
    ahead = np.logical_and.accumulate(signs == -rising)
    behind = np.logical_and.accumulate(signs[::-1] == rising)
    return float(lengths[ahead].sum() + lengths[::-1][behind].sum())


def _to_rest(term: LeadingTerm, a: Array, w: Array, b: Array) -> tuple[Array, Array]:
    """The two angles at the end of the flow of `Orientations.decoupled`."""
    p = term.power
    state = np.stack([np.arctan2(b, w) % (_TURN), np.arctan2(math.sqrt(p) * a, np.hypot(w, b))])
    grid = np.linspace(0, _TURN, 64 * (p + 1))
    size = max(np.abs(term.value(grid)).max(), np.abs(term.slope(grid)).max() / p)
    tops, bottoms = _holding(term)
    step = 0.5 / p

    def speed(z: Array) -> Array:
        sin, cos = np.sin(z[1]), np.cos(z[1])
        return np.asarray(np.stack([sin * term.slope(z[0]) / p, cos * np.cos(2 * z[1]) * term.value(z[0])]) / size)

    moving = np.arange(a.size)
    for _ in range(10_000):
        z = state[:, moving]
        k1 = speed(z)
        k2 = speed(z + step / 2 * k1)
        k3 = speed(z + step / 2 * k2)
        new = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + speed(z + step * k3))
        held = np.zeros(moving.size, dtype=bool)
        stages = np.stack([z[0] + step / 2 * k1[0], z[0] + step / 2 * k2[0], z[0] + step * k3[0], new[0]])
        for edges, side in ((tops, 1.0), (bottoms, -1.0)):
            for edge in edges:  # a stage beyond an edge that attracts from both sides would pull back: stop there instead
                image = edge + _TURN * np.round((z[0] - edge) / _TURN)
                caught = ((image - z[0]) * (image - stages) <= 0).any(axis=0) & (np.sign(z[1]) == side)
                new[0, caught], held = image[caught], held | caught
        state[:, moving] = new
        pace = np.where(held, 0.0, np.abs(k1[0])) + np.abs(k1[1])
        moving = moving[pace > 1e-8]
        if not moving.size:
            break
    return state[0], state[1]


def _holding(term: LeadingTerm) -> tuple[Array, Array]:
    """Sector boundaries that are kinked maxima, and kinked minima: the slope jumps over zero."""
    edges = term.boundaries
    if not edges.size:
        return edges, edges
    gap = 1e-7
    before, after = term.slope(edges - gap), term.slope(edges + gap)
    return edges[(before > 0) & (after < 0)], edges[(before < 0) & (after > 0)]
