r"""A network with large bias without its dead neurons: how it is drawn, and which of its neurons are active where."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import real_number, whole_number
from splinebias._array import Array
from splinebias.errors import DataError

BLOCK = 1 << 16  # neurons whose values at the data fit a cache
_DRAWN = 1 << 17  # neurons that are drawn at once


@dataclass(frozen=True, eq=False)
class ActiveNeurons(ABC):
    r"""A network :math:`m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+` on M inputs u of dimension d, without its dead neurons.

    Attributes
    ----------
    points, y : Array, shapes (M, d) and (M,)
        Unit inputs and targets.
    width : int
        The m above, dead neurons included.
    a, w, b : Array, shapes (k,), (k, d) and (k,)
        Neurons that are active on at least one datum at the start of training: the others get no gradient, ever.
    """

    points: Array
    y: Array
    width: int
    a: Array
    w: Array
    b: Array

    @classmethod
    def drawn(cls, points: Array, y: Array, bias: float, *, width: int, seed: int) -> Self:
        """Draw w ~ N(0, I), random signs a and b = B in blocks, keeping those neurons that some datum activates.

        Raises
        ------
        DataError
            For B < 0, a width < 1, and a network of which no neuron is active on some point.
        """
        level, m = real_number(bias, "bias", at_least=0), whole_number(width, "width", at_least=1)
        dimension = points.shape[1]
        empty = cls(points, y, m, np.zeros(0), np.zeros((0, dimension)), np.zeros(0))
        kept = [(a[alive], w[alive]) for a, w in drawn_blocks(m, dimension, seed) for alive in [empty.reached(w, level)]]
        a, w = (np.concatenate(part) for part in zip(*kept, strict=True))
        network = replace(empty, a=a, w=w, b=np.full(a.size, level))
        require_active(network.active_fractions(), level, m)
        return network

    @abstractmethod
    def reached(self, w: Array, level: float) -> NDArray[np.bool_]:
        """Which neurons with weights w, shape (n, d), and bias `level` are active on some datum."""

    @abstractmethod
    def step(self, rate: float) -> tuple[Self, Array]:
        r"""One step of descent on the mean loss :math:`\frac1{2M} \sum r_i^2` in w and b; also the residual before."""

    @abstractmethod
    def active_fractions(self) -> Array:
        """Share of all m neurons that are active on each datum, shape (M,)."""

    def activity(self) -> NDArray[np.bool_]:
        """Which kept neuron is active on which datum, shape (k, M): dense, for counting flips."""
        return np.asarray(self.w @ self.points.T >= self.b[:, None])

    def sums(self, u: Array, span: slice) -> Array:
        r""":math:`\sum_r a_r [w_r \cdot u - b_r]_+` over a block of the kept neurons, at inputs of shape (N, d)."""
        return np.asarray(np.maximum(self.w[span] @ u.T - self.b[span, None], 0).T @ self.a[span])

    def spans(self) -> list[slice]:
        """The kept neurons in blocks that fit a cache."""
        return [slice(first, first + BLOCK) for first in range(0, self.a.size, BLOCK)]


def drawn_blocks(width: int, dimension: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """All neurons of the start in blocks, as (a, w): the draw of both kinds of networks."""
    rng = np.random.default_rng(seed)
    for first in range(0, width, _DRAWN):
        size = min(_DRAWN, width - first)
        w = rng.standard_normal((size, dimension))
        yield rng.choice([-1.0, 1.0], size), w


def require_active(fractions: Array, level: float, width: int) -> None:
    """Refuse networks of which no neuron is active on some point: no step changes their value there."""
    if not (fractions > 0).all():
        where = "on any point" if not fractions.any() else f"on {int((fractions == 0).sum())} of {fractions.size} points"
        raise DataError(
            f"`bias` must leave neurons active on every point, got B = {level:g} at width {width}: none is {where}; "
            "lower B or widen"
        )


def require_targets(x: Array, y: Array) -> None:
    """Refuse targets that are not as many as inputs."""
    if y.shape != x.shape[:1]:
        raise DataError(f"`x` and `y` must have one length, got {len(x)} and {y.size}; one y a point")
