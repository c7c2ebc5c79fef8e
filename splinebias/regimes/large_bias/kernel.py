r"""Networks whose hidden biases start at a large -B, so that few neurons are active: their kernel in closed form.

:math:`f(x) = m^{-1/2} \sum_r a_r [w_r \cdot x - b_r]_+` on unit inputs, :math:`a_r = \pm 1` fixed, :math:`w_r \sim N(0, I)`,
:math:`b_r = B` at the start; w and b are trained. As :math:`m \to \infty` the kernel of the flow is
:math:`H_{ij} = (x_i \cdot x_j + 1)\, P(g_i \ge B, g_j \ge B)` with standard normal g of correlation :math:`x_i \cdot x_j`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtr, owens_t

from splinebias._arguments import known_keywords, real_array, real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import CapabilityError, DataError

_LARGEST_BIAS = 37.0  # beyond, the probability that a neuron is active is no normal double


@dataclass(frozen=True, eq=False)
class BiasKernel(Drawn):
    r"""The kernel H of wide networks with bias B, on M unit inputs.

    Attributes
    ----------
    points : Array, shape (M, d)
        The unit inputs.
    bias : float
        The B above.
    joint_activity : Array, shape (M, M)
        Probabilities P that a neuron is active on both points; on the diagonal :math:`\Phi(-B)`.
    matrix : Array, shape (M, M)
        The H above.
    """

    points: Array
    bias: float
    joint_activity: Array
    matrix: Array

    def __repr__(self) -> str:
        return (
            f"BiasKernel({len(self.points)} points in {self.points.shape[1]} dimensions, bias {self.bias:.4g}, eigenvalues "
            f"from {self.smallest:.3g} to {float(self.eigenvalues[-1]):.3g})"
        )

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        values, vectors = np.linalg.eigh(self.matrix)
        return values, vectors

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of H, increasing, shape (M,)."""
        return self._spectrum[0]

    @property
    def smallest(self) -> float:
        """Least eigenvalue of H; absolute rounding about 1e-16 of the largest."""
        return float(self.eigenvalues[0])

    @property
    def active_fraction(self) -> float:
        r"""Share :math:`\Phi(-B)` of the neurons that are active on a point at the start."""
        return float(self.joint_activity[0, 0])

    @property
    def separation(self) -> float:
        r"""Least distance :math:`\delta` of two of the points; a point is far from its mirror image."""
        squares = 2 - 2 * (self.points @ self.points.T)
        return math.sqrt(max(float(squares[np.triu_indices(len(squares), 1)].min()), 0.0))

    def residual(self, start: Any, time: float) -> Array:
        r"""Residual :math:`e^{-Ht/M} r_0` at training time t = sum of learning rates, on the mean loss :math:`|r|^2/(2M)`.

        Leading order in the effective width :math:`m \Phi(-B)`.
        """
        r = real_vector(start, "start")
        if r.shape != self.matrix.shape[:1]:
            raise DataError(f"`start` must have one residual a point, {len(self.matrix)}, got {r.size}")
        t = real_number(time, "time", at_least=0)
        values, vectors = self._spectrum
        return np.asarray(vectors @ (np.exp(-np.maximum(values, 0) * t / r.size) * (vectors.T @ r)))

    def rate(self, step: float = 1.0) -> float:
        r"""Learning rate :math:`s M/\lambda_{\max}(H)` of a step s; descent on the mean loss needs s < 2."""
        return real_number(step, "step", above=0) * len(self.matrix) / float(self.eigenvalues[-1])

    def descent(self, start: Any, rate: float, steps: Any) -> Array:
        r"""Residuals :math:`(I - \eta H/M)^k r_0` after the numbers k of steps of descent, shape (len(steps), M)."""
        values, vectors = self._spectrum
        r = real_vector(start, "start")
        factors = 1 - real_number(rate, "rate", above=0) * values / r.size
        return np.asarray((factors ** np.asarray(steps)[:, None] * (vectors.T @ r)) @ vectors.T)

    def steps_to(self, start: Any, loss: float, step: float = 1.0) -> int:
        r"""Steps until the mean loss :math:`|r|^2/(2M)` of that descent is at most `loss`, from the spectrum alone.

        Raises
        ------
        CapabilityError
            If the kernel is singular and leaves a larger loss.
        """
        values, vectors = self._spectrum
        r, goal = real_vector(start, "start"), real_number(loss, "loss", above=0)
        along, factors = vectors.T @ r, 1 - self.rate(step) * np.maximum(values, 0) / r.size

        def left(count: int) -> float:
            return float((factors ** (2 * count) * along**2).sum()) / (2 * r.size)

        high = 1
        while left(high) > goal:
            high *= 2
            if high > 1 << 60:
                raise CapabilityError(
                    f"no number of steps brings the loss to {goal:g}: the kernel is singular; raise `loss`"
                )
        low = high // 2 if left(0) > goal else -1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if left(middle) > goal else (low, middle)
        return high

    def flips(self, start: Any, time: float, width: int) -> Array:
        r"""Share of the neurons of a network of width m whose activity on each point differs at time t from the start.

        :math:`\varphi(B)\, E|\Delta z_i|/\sqrt m` to leading order: neurons at the threshold of point i, :math:`w = B u_i +
        s u_i^\perp` with :math:`s \sim N(0, 1)`, move by :math:`\Delta z_i = \mp \sum_k R_k (u_i \cdot u_k + 1)` over the
        points k that they are active on, :math:`R = H^{-1}(I - e^{-Ht/M}) r_0`; point i itself counts on its active side.
        Where the two sides push against each other, neurons slide along the threshold, active for the share of time at
        which they rest. Leading order in :math:`m \Phi(-B)`; residuals that change sign on the way are not seen. A share
        of 1 says that leading order does not hold, as where residuals cannot decay (equal points, other values). On eight
        points the mean count was 1.0 of this at B = 1 and m = 10^5, .76 and .87 at B = 2 and m = 10^5 and 3 10^5.

        Raises
        ------
        CapabilityError
            If points are not in the plane: there a neuron at the threshold is known by one number s.
        """
        if self.points.shape[1] != 2:
            raise CapabilityError(
                f"flips are predicted for univariate data, got points of dimension {self.points.shape[1]}; "
                "count them in a network"
            )
        r, t = real_vector(start, "start"), real_number(time, "time", at_least=0)
        m = whole_number(width, "width", at_least=1)
        values, vectors = self._spectrum
        decayed = np.where(values > 0, -np.expm1(-values * t / r.size) / np.where(values > 0, values, 1), t / r.size)
        pull = (vectors @ (decayed * (vectors.T @ r))) * (self.points @ self.points.T + 1)  # (i, k)
        across = np.multiply.outer(*self.points.T)
        cos, sin = self.points @ self.points.T, across - across.T  # of the angles from each point to each other one
        density = math.exp(-(self.bias**2) / 2) / math.sqrt(2 * math.pi)
        found = np.empty(r.size)
        for i in range(r.size):
            others = np.flatnonzero(np.arange(r.size) != i)
            edges = self.bias * sin[i, others] / (1 + cos[i, others])  # B tan of half the angle: s beyond it makes k active
            cuts = np.r_[-np.inf, np.unique(edges), np.inf]
            inside = np.r_[cuts[1] - 1, (cuts[1:-2] + cuts[2:-1]) / 2, cuts[-2] + 1]
            active = np.where(sin[i, others] > 0, inside[:, None] > edges, inside[:, None] < edges)
            move = active @ pull[i, others]
            sizes = _crossing(move, move + pull[i, i])
            found[i] = density * float(np.diff(ndtr(cuts)) @ sizes) / math.sqrt(m)
        return np.minimum(found, 1)

    @property
    def exact_bound(self) -> float:
        r"""Lower bound on the least eigenvalue as it is: :math:`\Phi(-B) - \max_{i \ne j} P_{ij}`.

        Derived from nothing here: it was positive and below the least eigenvalue in every case tried, which is no proof.
        """
        off = self.joint_activity[np.triu_indices(len(self.matrix), 1)]
        return self.active_fraction - float(off.max())

    @property
    def worst_case_bound(self) -> float:
        r"""† :math:`e^{-B^2/2} \delta/(100 M^2)`: from memory of the paper, unchecked, constants included."""
        return math.exp(-(self.bias**2) / 2) * self.separation / (100 * len(self.matrix) ** 2)

    @property
    def data_dependent_bound(self) -> float:
        r"""† The bound that uses the separation, from memory of the paper, unchecked, constants included.

        :math:`\max(\frac12 - \frac{B}{\sqrt{2\pi}}, (\frac1B - \frac1{B^3}) \frac{e^{-B^2/2}}{\sqrt{2\pi}}) - e^{-B^2/(2 -
        \delta^2/2)} (\pi - \arctan\frac{\delta\sqrt{1 - \delta^2/4}}{1 - \delta^2/2})/(2\pi)`. It is negative, hence empty,
        unless points are far apart: positive from separations of 0.90 on at B = 0.5, 1.37 at 1, 1.05 at 2 and 0.89 at 3.
        Where it was positive it was below the least eigenvalue.
        """
        bias, delta = self.bias, self.separation
        tail = math.exp(-(bias**2) / 2) / math.sqrt(2 * math.pi)
        own = 0.5 - bias / math.sqrt(2 * math.pi)
        if bias > 0:
            own = max(own, (1 / bias - 1 / bias**3) * tail)
        angle = math.atan2(delta * math.sqrt(max(1 - delta**2 / 4, 0)), 1 - delta**2 / 2)
        return own - math.exp(-(bias**2) / (2 - delta**2 / 2)) * (math.pi - angle) / (2 * math.pi)

    def generalization_bound(self, y: Any) -> float:
        r"""† Leading term :math:`\sqrt{8 e^{-B^2/2} y^T H^{-1} y/M}` of a bound on the error: from memory, unchecked."""
        values, vectors = self._spectrum
        along = vectors.T @ real_vector(y, "y")
        if values[0] <= 0:
            return math.inf
        return math.sqrt(8 * math.exp(-(self.bias**2) / 2) * float((along**2 / values).sum()) / len(values))

    def __str__(self) -> str:
        low, high = self.eigenvalues[[0, -1]]
        return (
            f"large bias B = {self.bias:g}: active share {self.active_fraction:.4g}, eigenvalues {low:.4g} to {high:.4g}; "
            f"below the least: {self.exact_bound:.3g} (exact form); unchecked, from memory: {self.worst_case_bound:.2g}, "
            f"{self.data_dependent_bound:.3g}"
        )

    def to_frame(self) -> Any:
        """The eigenvalues as a pandas DataFrame with columns ``bias``, ``index`` and ``eigenvalue``."""
        values = self.eigenvalues
        return frame_of({"bias": np.full(values.size, self.bias), "index": np.arange(values.size), "eigenvalue": values})


@known_keywords
def bias_generalized_kernel(x: Any, bias: float) -> BiasKernel:
    r"""The kernel of infinitely wide networks whose hidden biases start at -B, in any dimension.

    :math:`H_{ij} = (x_i \cdot x_j + 1)\,(\Phi(-B) - 2\,T(B, \tan(\theta_{ij}/2)))` with Owen's T and the angle
    :math:`\theta_{ij}` between two inputs: trained weights give :math:`x_i \cdot x_j`, trained biases the 1.

    Parameters
    ----------
    x : array_like, shape (M, d) or (M,)
        Inputs; rows are scaled to length 1. A vector of abscissae stands for :math:`(x, 1)/|(x, 1)|`.
    bias : float
        The B above, 0 <= B <= 37.

    Raises
    ------
    DataError
        For NaN or infinity, wrong shapes, a zero vector; for B < 0, and B so large that no neuron is active on any point.

    Notes
    -----
    Hypotheses checked: the range of B. Not checked: that :math:`m \Phi(-B)` is large; this effective width replaces m. Two
    equal directions make H singular. Source: Yang et al. on networks with large biases, of which the abstract was read;
    the closed form was derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> kernel = sb.bias_generalized_kernel([-0.9, -0.1, 0.45, 0.95], 1.0)
    >>> print(kernel.matrix.shape, f"{kernel.active_fraction:.4f}")
    (4, 4) 0.1587
    """
    level = real_number(bias, "bias", at_least=0, fix="B is the threshold that w.x must exceed")
    if level > _LARGEST_BIAS:
        raise DataError(
            f"`bias` must be at most {_LARGEST_BIAS:g}, got {level:g}: no neuron is active on any point; lower it"
        )
    u = unit_inputs(x)
    apart = np.linalg.norm(u[:, None] - u, axis=-1)
    across = np.linalg.norm(u[:, None] + u, axis=-1)
    half = np.divide(apart, across, out=np.full_like(apart, np.inf), where=across > 0)  # tan of half the angle, exact
    alone = float(ndtr(-level))
    joint = np.maximum(alone - 2 * owens_t(level, half), 0.0)
    return BiasKernel(u, level, joint, (u @ u.T + 1) * joint)


def unit_inputs(x: Any, *, least: int = 2) -> Array:
    """Rows of length one, shape (M, d), of at least so many inputs (M, d) or abscissae (M,)."""
    points = real_array(x, "x")
    if points.ndim == 1:
        points = np.stack([points, np.ones_like(points)], axis=1)
    if points.ndim != 2 or not points.size or len(points) < least:
        raise DataError(
            f"`x` must have shape (M, d) or (M,) with M >= {least}, got {real_array(x, 'x').shape}; one row a point"
        )
    if not np.isfinite(points).all():
        raise DataError(f"`x` must be finite, got {points[~np.isfinite(points)][0]}; drop or impute such points")
    sizes = np.linalg.norm(points, axis=1)
    if (zero := np.flatnonzero(sizes == 0)).size:
        raise DataError(f"`x` must have no zero vector, got one at index {zero[0]}: it has no direction; drop it")
    return np.asarray(points / sizes[:, None])


def _crossing(outside: Array, inside: Array) -> Array:
    """Mean over both signs of a of how far from the threshold neurons still change sides, for movements on either side."""
    out, into = np.abs(outside), np.abs(inside)
    slide = np.divide(out**2 + into**2, 2 * (out + into), out=np.zeros_like(out), where=out + into > 0)
    return np.where(outside * inside > 0, (out + into) / 2, slide)
