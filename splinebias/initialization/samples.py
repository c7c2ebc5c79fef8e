r"""The law of samples (w_j, b_j) of one's own: smoothed in the angle for limits, as they are for networks.

In polar coordinates :math:`(w, b/s) = r (\cos\theta, \sin\theta)` a breakpoint is :math:`c = -b/w = -s\tan\theta`. A
smoothed unit takes the radius :math:`r_j` of a sample and an angle near :math:`\theta_j`: with m angles
:math:`t_i = 2\pi i/m`, :math:`\delta = 2\pi/m` and the hat :math:`\Lambda(u) = \max(1 - |u|, 0)`,

.. math:: p(\theta, r) = \sum_i \frac{1}{\delta} \Lambda\!\left(\frac{\theta - t_i}{\delta}\right) \sum_j p_{ij}\,
          \delta_{r_j}(r), \qquad p_{ij} = \frac1n \Lambda\!\left(\frac{\theta_j - t_i}{\delta}\right),

and therefore, with :math:`\cos^2\theta = (1 + c^2/s^2)^{-1}` and the :math:`\theta` of c and of the sign of w,

.. math:: \zeta^{(k)}_\pm(c) = \frac{|\cos\theta|^{2k + 2}}{s\,\delta}
          \sum_i \Lambda\!\left(\frac{\theta - t_i}{\delta}\right) \sum_j p_{ij} r_j^{2k} .

The tails are those of a law with a density: :math:`c^{-4}` for k = 1 where w may be small. A law whose density depends on
the radius only, such as the Gaussian one, is not changed by the smoothing at all. Derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_number, real_vector
from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.initialization.breakpoints import BreakpointLaw, PairLaw

_FEWEST = 10
_WIDEST = math.pi / 8
_NARROWEST = 1e-6
_MOST_SIZES = 64  # radii at an angle: twice as many change a limit with u^4 + u^2 by 4e-5, the samples (10,000) err by 3e-2


class Rings(NamedTuple):
    """Radii at the occupied ones of m equal angles.

    Attributes
    ----------
    at : Array of int, shape (N,)
        Numbers i of the angles 2 pi i / m, increasing.
    radius, mass : Array, shape (N, q)
        Radii there and their probabilities, 0 where there are fewer than q.
    """

    at: NDArray[np.intp]
    radius: Array
    mass: Array


@dataclass(frozen=True, eq=False)
class Samples(PairLaw):
    """The law of samples: see the module for what is smoothed, `of` for what is checked.

    Attributes
    ----------
    w, b : Array, shape (n,)
        The samples.
    scale : float
        The s of the module: the median of the breakpoints' sizes.
    count : int
        The number m of angles, a multiple of four.
    """

    w: Array
    b: Array
    scale: float
    count: int

    @classmethod
    def of(cls, w: Any, b: Any, bandwidth: float | None) -> Self:
        """Samples that were checked.

        Raises
        ------
        DataError
            If they are not finite or not as many, fewer than ten, hold w = 0, or have too few distinct breakpoints.
        """
        w, b = (real_vector(value, name, fix="leave such samples out") for value, name in ((w, "w"), (b, "b")))
        if w.shape != b.shape or w.size < _FEWEST:
            raise DataError(f"`w` and `b` must be as many, {_FEWEST} at least, got {w.size} and {b.size}; draw more")
        if (w == 0).any():
            raise DataError(
                f"`w` must have no 0, got {int((w == 0).sum())} of {w.size}: such a unit has no breakpoint; leave those out"
            )
        with np.errstate(over="ignore"):
            c, squares = np.abs(b / w), [(w**2).sum(), (b**2).sum()]
        if not np.isfinite(c).all() or not np.isfinite(squares).all() or not (c > 0).any():
            raise DataError(
                "`b / w` must be finite and not all 0, and so must squares; scale the samples, or leave some out"
            )
        scale = float(np.median(c[c > 0]))
        if bandwidth is None:
            bandwidth = _natural_bandwidth(np.arctan2(b / scale, w))
        bandwidth = real_number(bandwidth, "bandwidth", above=0, fix="it is an angle in radians; take e.g. 0.1")
        if not _NARROWEST <= bandwidth <= _WIDEST:
            raise DataError(
                f"`bandwidth` must be an angle from {_NARROWEST:g} to pi/8, got {bandwidth:g}; take e.g. 0.1, or none"
            )
        for array in (w, b):
            array.setflags(write=False)
        return cls(w, b, scale, 4 * math.ceil(2 * math.pi / (4 * bandwidth) * (1 - 1e-12)))

    @property
    def bandwidth(self) -> float:
        r"""The :math:`\delta` of the module, in radians."""
        return 2 * math.pi / self.count

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """The samples, in their order, if they are `size` many; else draws, without replacement if there are enough."""
        if size == self.w.size:
            return self.w.copy(), self.b.copy()
        chosen = rng.choice(self.w.size, size=size, replace=size > self.w.size)
        return self.w[chosen], self.b[chosen]

    def breakpoint_law(self) -> BreakpointLaw:
        return SampledBreakpoints(self.rings, self.scale, self.count, np.sort(-self.b / self.w))

    @cached_property
    def rings(self) -> Rings:
        r"""The masses :math:`p_{ij}`; of more than 64 radii at an angle, neighbours are one, of their mean square."""
        radius, angle = np.hypot(self.w, self.b / self.scale), np.arctan2(self.b / self.scale, self.w)
        place = np.mod(angle / self.bandwidth, self.count)
        left = np.minimum(place.astype(np.intp), self.count - 1)
        share = place - left
        node = np.r_[left, (left + 1) % self.count]
        mass, radius = np.r_[1 - share, share] / self.w.size, np.r_[radius, radius]
        order = np.lexsort((radius, node))
        order = order[mass[order] > 0]
        node, mass, radius = node[order], mass[order], radius[order]
        at, first, number = np.unique(node, return_index=True, return_counts=True)
        row = np.repeat(np.arange(at.size), number)
        rank = np.arange(node.size) - first[row]
        most = int(min(_MOST_SIZES, number.max()))
        column = np.where(number[row] > most, rank * most // number[row], rank)
        masses, squares = np.zeros((at.size, most)), np.zeros((at.size, most))
        np.add.at(masses, (row, column), mass)
        np.add.at(squares, (row, column), mass * radius**2)
        return Rings(at, np.sqrt(np.divide(squares, masses, out=np.ones_like(squares), where=masses > 0)), masses)

    @property
    def second_moments(self) -> tuple[float, float]:
        r"""E[W^2] and E[B^2] of the smoothed law: the hat makes :math:`E e^{2i\theta} = e^{2it} (\sin\delta/\delta)^2`."""
        at, radius, mass = self.rings
        squares, kept = (mass * radius**2).sum(axis=1), (math.sin(self.bandwidth) / self.bandwidth) ** 2
        tilt = kept * float(squares @ np.cos(2 * at * self.bandwidth))
        total = float(squares.sum())
        return (total + tilt) / 2, self.scale**2 * (total - tilt) / 2

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        return None

    def describe(self) -> str:
        return f"{self.w.size} samples of (W, B), bandwidth {self.bandwidth:.3g} of atan(b/({self.scale:.3g} w))"

    def to_table(self) -> dict[str, Any]:
        return {"joint": {"name": "samples", "w": self.w.tolist(), "b": self.b.tolist(), "bandwidth": self.bandwidth}}


def _natural_bandwidth(angle: Array) -> float:
    """The median of the arcs that hold n^(3/5) samples around the circle, pi/8 at most."""
    held = math.ceil(angle.size**0.6)
    around = np.sort(angle)
    around = np.r_[around, around[:held] + 2 * math.pi]
    arc = float(np.median(around[held:] - around[:-held]))
    if arc < _NARROWEST:
        raise DataError(
            f"`w` and `b` must have many distinct breakpoints -b/w, got {np.unique(angle).size} of {angle.size}; a limit "
            "needs a density: say what smooths it, such as bandwidth=0.1"
        )
    return min(arc, _WIDEST)


class SampledBreakpoints(BreakpointLaw):
    """The breakpoints of smoothed samples: zeta of the module, and the sizes of weights at a breakpoint.

    Parameters
    ----------
    rings : Rings
        Radii and masses at the angles.
    scale, count : float, int
        The s and m of the module.
    breakpoints : Array, shape (n,)
        Those of the samples, sorted.
    """

    def __init__(self, rings: Rings, scale: float, count: int, breakpoints: Array) -> None:
        self.rings, self.scale, self.count = rings, scale, count
        half = count // 2  # opposite angles have one breakpoint
        touched = np.unique(np.r_[rings.at - 1, rings.at, rings.at + 1] % half)
        at_infinity = bool((touched == count // 4).any())
        ends = np.sort(-scale * np.tan(touched[touched != count // 4] * (2 * math.pi / count)))
        self.knots, self.landmarks = ends, np.unique(np.quantile(breakpoints, (0.02, 0.2, 0.5, 0.8, 0.98)))
        self.support = (-math.inf, math.inf) if at_infinity else (float(ends[0]), float(ends[-1]))

    def zeta(self, c: Array, side: int, degree: int = 1) -> Array:
        moments = (self.rings.mass * self.rings.radius ** (2 * degree)).sum(axis=1)
        total = sum(weight * np.where(found, moments[row], 0.0) for row, found, weight in self._nodes(c, side))
        return np.asarray(self._squared_cosine(c) ** (degree + 1) / self.scale * total)

    def slices(self, c: Array, side: int) -> tuple[Array, Array]:
        squared = self._squared_cosine(c)[..., None]
        v, rho = [], []
        for row, found, weight in self._nodes(c, side):
            v.append(np.sqrt(squared) * self.rings.radius[row])
            rho.append(squared / self.scale * np.where(found, weight, 0.0)[..., None] * self.rings.mass[row])
        return np.concatenate(v, axis=-1), np.concatenate(rho, axis=-1)

    def _squared_cosine(self, c: Array) -> Array:
        return np.asarray(1 / (1 + (c / self.scale) ** 2))

    def _nodes(self, c: Array, side: int) -> list[tuple[NDArray[np.intp], NDArray[np.bool_], Array]]:
        r"""The two angles around those of `c`: their rows, whether they are occupied, and :math:`\Lambda/\delta`."""
        angle = np.arctan(-c / self.scale) if side > 0 else math.pi - np.arctan(c / self.scale)
        step = 2 * math.pi / self.count
        place = np.asarray(angle) / step
        left = np.floor(place)
        share = place - left
        found = []
        for number, weight in ((left, 1 - share), (left + 1, share)):
            node = number.astype(np.intp) % self.count
            row = np.minimum(np.searchsorted(self.rings.at, node), self.rings.at.size - 1)
            found.append((row, self.rings.at[row] == node, weight / step))
        return found
