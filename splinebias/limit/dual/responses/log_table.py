r"""Averages E[f(uz)] over a law of u as tables in log z: convolutions of what is smooth in the logarithm.

Polynomials on pieces of width h in :math:`x = \log z`, made where they are asked for, from the trapezoidal rule with the
same step in :math:`t = \log u`. Integrals are then convolutions of functions of x + t alone. With functions that are
analytic in a strip of half-width d and h = 0.1 d both errors are :math:`10^{-16}` and less: :math:`e^{-2\pi d/h}`, and
:math:`(d/4h)^{-k}` or so for the coefficients number k.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from splinebias._array import Array

if TYPE_CHECKING:
    from splinebias.initialization.zeta import Profile

LARGEST = 690.0  # logarithm of the range of doubles, nearly
_PER_BLOCK = 64  # pieces


class LogTable(ABC):
    """Some functions of log z, of no problem: tables are kept by what they are equal to.

    Attributes
    ----------
    terms : int
        Coefficients on a piece.
    reach : float
        Largest size of log(uz) that is asked for.
    """

    terms: ClassVar[int]
    reach: ClassVar[float]

    @property
    @abstractmethod
    def step(self) -> float:
        """Width h of pieces, and distance of nodes of the rule, in log z."""

    @property
    @abstractmethod
    def rule(self) -> tuple[int, Array]:
        """The number of the first step in log u, and weights."""

    @abstractmethod
    def lattices(self, y: Array) -> Array:
        """The K functions f at y = uz, shape (K, ...)."""

    def __call__(self, x: Array) -> Array:
        """The averages at `x` = log z, shape (K, N), N > 0."""
        scaled = x / self.step
        piece = np.floor(scaled)
        place, piece = 2 * (scaled - piece) - 1, piece.astype(np.intp)
        first, last = int(piece.min()) // _PER_BLOCK, int(piece.max()) // _PER_BLOCK
        blocks = [_block(self, number) for number in range(first, last + 1)]
        table = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=2)
        piece -= first * _PER_BLOCK
        found = np.take(table[:, -1], piece, axis=1)
        for k in range(self.terms - 2, -1, -1):
            found *= place
            found += np.take(table[:, k], piece, axis=1)
        return found


@lru_cache(maxsize=2000)
def _block(table: LogTable, number: int) -> Array:
    """Coefficients on the pieces of a block, shape (K, terms, pieces), in the place on a piece, from -1 to 1."""
    h, (first, weights) = table.step, table.rule
    place = np.cos(np.pi * (np.arange(table.terms) + 0.5) / table.terms)
    at = number * _PER_BLOCK + first + np.arange(_PER_BLOCK + weights.size - 1)  # steps of x + t
    with np.errstate(under="ignore", over="ignore"):
        y = np.exp(np.clip(h * (at + (place[:, None] + 1) / 2), -table.reach, table.reach))
        values = np.lib.stride_tricks.sliding_window_view(table.lattices(y), weights.size, axis=2) @ weights
    series = np.linalg.solve(np.vander(place, increasing=True), values)
    series.setflags(write=False)
    return np.asarray(series)


def trapezoidal(
    profile: Profile, step: float, power: int, *, tail: float, highest: float, lowest: float
) -> tuple[int, Array]:
    r"""The number of the first step in log u, and the weights of :math:`u^k` in the rule, k = `power`.

    For averages of :math:`u^k f(uz)` where f grows no faster than :math:`y^{m - k}`, m = `highest`, and towards 0 than
    :math:`y^l`, l = `lowest`; `tail` is the moment whose decay says where the rule may end.
    """
    end = 60 / max(profile.tail - tail, 0.1) if math.isfinite(profile.tail) else 5 * profile.strip
    first, last = -round(60 / step), round(min(LARGEST / 2, end) / step)
    with np.errstate(all="ignore"):
        u = np.exp(step * np.arange(first, last + 1))
        weights = step * u ** (power + 1) * profile.density(u)
        growth = np.maximum(u ** (highest - power), 1.0) * np.maximum(u**lowest, 1.0)
    weights = np.where(np.isfinite(weights), weights, 0.0)
    matters = np.flatnonzero(weights * growth > 1e-19 * weights.sum())
    return first + int(matters[0]), weights[matters[0] : matters[-1] + 1]
