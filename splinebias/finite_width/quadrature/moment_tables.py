r"""Tables of second moments for :math:`|u|^p + u^2`: functions of log z, one for each power and law of u.

Other quadratic parts only rescale both axes, see `effective_moments`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from splinebias._array import Array
from splinebias.initialization.zeta import Profile
from splinebias.limit.dual.effective_potential import PowerTable
from splinebias.potential import Hypentropy, Potential, Power

_LARGEST = 690.0  # logarithm of the range of doubles, nearly
_DIGITS = 40.0  # logarithm of what is nothing
_TERMS = 12  # coefficients of a table on a piece
_PER_BLOCK = 64  # pieces
_IN_WEIGHTS = {"square": 4, "pull": 4, "bend": 2}  # the power of u


@dataclass(frozen=True)
class MomentTable:
    r"""One average for :math:`|u|^p + u^2` as a function of x = log z, over :math:`z^2`, z or 1/z, in polynomial pieces.

    Made like `PowerTable`, whose step it has: the trapezoidal rule in log u, of which integrals are convolutions.

    Attributes
    ----------
    p : float
        The power.
    profile : Profile
        The law of u.
    kind : str
        Which average: square, pull or bend.
    """

    p: float
    profile: Profile
    kind: str

    @property
    def step(self) -> float:
        """Width of pieces, and distance of nodes of the rule, in log z."""
        return PowerTable(self.p, self.profile).step

    @cached_property
    def order(self) -> tuple[float, float]:
        """Powers of u in the averages where the quadratic part rules, and where the other does."""
        q = self.p / (self.p - 1)
        return (self.p, q) if self.kind == "bend" else (4.0, 2 * q)

    @cached_property
    def fits(self) -> bool:
        """Whether the law of u is analytic, with these moments, and the rule finds the first."""
        known = self.step > 0 and (self.kind != "bend" or self.p > 2) and math.isfinite(self.ends[1])
        if not known or not all(math.isfinite(self.profile.moment(order)) for order in self.order):
            return False
        weights = self.rule[1]
        k = _IN_WEIGHTS[self.kind]
        return abs(float(weights.sum()) - self.profile.moment(k)) <= 1e-13 * self.profile.moment(k)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Logarithms of z below and above which one power is all there is; infinity: out of the range of doubles."""
        p, tail, (flat, steep) = self.p, self.profile.tail, self.order
        if p > 2:
            below, above = min(p - 2, tail - flat), (p - 2) / (p - 1)
        else:
            below, above = min((2 - p) / (p - 1), tail - steep), 2 - p
        if not below > 0 or min(_DIGITS / below, _DIGITS / above) > _LARGEST:
            return -math.inf, math.inf
        return max(-_DIGITS / below, -_LARGEST), min(_DIGITS / above, _LARGEST)

    @cached_property
    def rule(self) -> tuple[int, Array]:
        """The number of the first step in log u, and weights."""
        h, k, highest, tail = self.step, _IN_WEIGHTS[self.kind], max(self.order), self.profile.tail
        end = 60 / max(tail - highest, 0.1) if math.isfinite(tail) else 5 * self.profile.strip
        first, last = -round(60 / h), round(min(_LARGEST / 2, end) / h)
        t = h * np.arange(first, last + 1)
        with np.errstate(all="ignore"):
            u = np.exp(t)
            weights = h * u ** (k + 1) * self.profile.density(u)
            growth = np.maximum(u ** (highest - k), 1.0) * np.maximum(u**-2.0, 1.0)  # of what is averaged
        weights = np.where(np.isfinite(weights), weights, 0.0)
        matters = np.flatnonzero(weights * growth > 1e-19 * weights.sum())
        return first + int(matters[0]), weights[matters[0] : matters[-1] + 1]

    def lattice(self, y: Array) -> Array:
        """What is averaged, at y = uz."""
        phi = Power(self.p, 1.0)
        a = np.asarray(phi.grad_inverse(y))
        per, steep = a / y, 1 / np.asarray(phi.hess(a))
        if self.kind == "square":
            return per**2
        return per * steep if self.kind == "pull" else y * turn(phi, a, steep, y)

    def power(self, x: Array, quadratic_rules: Array) -> Array:
        """The values where one power is all there is."""
        p, q, (flat, steep) = self.p, self.p / (self.p - 1), map(self.profile.moment, self.order)
        scale = p ** -(q - 1.0)
        if self.kind == "bend":
            low = -p * (p - 1) * (p - 2) / 2.0**p * flat
            low, high = low * np.exp((p - 2) * x), (q - 1) * (q - 2) * scale * steep * np.exp((q - 2) * x)
        else:
            high = scale**2 * steep * np.exp(2 * (q - 2) * x) * (q - 1 if self.kind == "pull" else 1.0)
            low = flat / 4
        return np.asarray(np.where(quadratic_rules, low, high))

    def __call__(self, x: Array) -> Array:
        """The function at `x`, shape (N,)."""
        found, (low, high) = np.empty_like(x), self.ends
        inside = (x > low) & (x < high)
        out = x[~inside]
        with np.errstate(over="ignore", under="ignore"):
            found[~inside] = self.power(np.maximum(out, -_LARGEST), (out <= low) == (self.p > 2))
        scaled = x[inside] / self.step
        if not scaled.size:
            return found
        piece = np.floor(scaled)
        place, piece = 2 * (scaled - piece) - 1, piece.astype(np.intp)
        first, last = int(piece.min()) // _PER_BLOCK, int(piece.max()) // _PER_BLOCK
        table = np.concatenate([_block(self, number) for number in range(first, last + 1)], axis=1)
        piece -= first * _PER_BLOCK
        values = np.take(table[-1], piece)
        for k in range(_TERMS - 2, -1, -1):
            values *= place
            values += np.take(table[k], piece)
        found[inside] = values
        return found


@lru_cache(maxsize=64)
def moment_table(p: float, profile: Profile, kind: str) -> MomentTable:
    """The table of a kind, see `MomentTable`; the same where it is asked for again."""
    return MomentTable(p, profile, kind)


@lru_cache(maxsize=2000)
def _block(table: MomentTable, number: int) -> Array:
    """Coefficients on the pieces of a block, shape (terms, pieces), in the place on a piece, from -1 to 1."""
    h, (first, weights) = table.step, table.rule
    place = np.cos(np.pi * (np.arange(_TERMS) + 0.5) / _TERMS)
    at = number * _PER_BLOCK + first + np.arange(_PER_BLOCK + weights.size - 1)  # steps of x + t
    with np.errstate(under="ignore", over="ignore"):
        lattice = table.lattice(np.exp(np.clip(h * (at + (place[:, None] + 1) / 2), -_LARGEST / 2, _LARGEST / 2)))
        values = np.lib.stride_tricks.sliding_window_view(lattice, weights.size, axis=1) @ weights
    series = np.linalg.solve(np.vander(place, increasing=True), values)
    series.setflags(write=False)
    return np.asarray(series)


def turn(potential: Potential, alpha: Array, steep: Array, z: Array) -> Array:
    r"""A'' where :math:`A = \alpha \ge 0`, A' = `steep`, at `z`, 0 at rest; of potentials of one's own by a difference."""
    if isinstance(potential, Hypentropy):  # A is a multiple of sinh
        return alpha
    if isinstance(potential, Power):
        p, there = potential.p, alpha > 0
        bent = np.power(alpha, p - 3, out=np.zeros_like(alpha), where=there)
        return np.asarray(-p * (p - 1) * (p - 2) * bent * steep**3)
    step = 1e-6
    near = 1 / potential.hess(potential.grad_inverse(z * (1 + step)))
    return np.asarray(np.divide(near - steep, step * z, out=np.zeros_like(z), where=z > 0))
