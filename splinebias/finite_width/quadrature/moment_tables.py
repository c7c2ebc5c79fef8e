r"""Tables of second moments for :math:`|u|^p + u^2`: functions of log z, one for each power and law of u.

Other quadratic parts only rescale both axes, see `effective_moments`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np

from splinebias._array import Array
from splinebias.initialization.zeta import Profile
from splinebias.limit.dual.responses.effective_potential import step_of
from splinebias.limit.dual.responses.log_table import LARGEST, LogTable, trapezoidal
from splinebias.potential import Hypentropy, Potential, Power

_DIGITS = 40.0  # logarithm of what is nothing
_IN_WEIGHTS = {"square": 4, "pull": 4, "bend": 2}  # the power of u


@dataclass(frozen=True)
class MomentTable(LogTable):
    r"""One average for :math:`|u|^p + u^2` as a function of x = log z, over :math:`z^2`, z or 1/z, in polynomial pieces.

    Attributes
    ----------
    p : float
        The power.
    profile : Profile
        The law of u.
    kind : str
        Which average: square, pull or bend.
    """

    terms: ClassVar[int] = 12
    reach: ClassVar[float] = LARGEST / 2

    p: float
    profile: Profile
    kind: str

    @cached_property
    def step(self) -> float:
        return step_of(self.p, self.profile)

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
        if not below > 0 or min(_DIGITS / below, _DIGITS / above) > LARGEST:
            return -math.inf, math.inf
        return max(-_DIGITS / below, -LARGEST), min(_DIGITS / above, LARGEST)

    @cached_property
    def rule(self) -> tuple[int, Array]:
        highest = max(self.order)
        return trapezoidal(self.profile, self.step, _IN_WEIGHTS[self.kind], tail=highest, highest=highest, lowest=-2.0)

    def lattices(self, y: Array) -> Array:
        phi = Power(self.p, 1.0)
        a = np.asarray(phi.grad_inverse(y))
        per, steep = a / y, 1 / np.asarray(phi.hess(a))
        if self.kind == "square":
            return (per**2)[None]
        return (per * steep if self.kind == "pull" else y * turn(phi, a, steep, y))[None]

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
        """The average at `x` = log z, shape (N,), also where one power is all there is."""
        found, (low, high) = np.empty_like(x), self.ends
        inside = (x > low) & (x < high)
        out = x[~inside]
        with np.errstate(over="ignore", under="ignore"):
            found[~inside] = self.power(np.maximum(out, -LARGEST), (out <= low) == (self.p > 2))
        if inside.any():
            found[inside] = super().__call__(x[inside])[0]
        return found


@lru_cache(maxsize=64)
def moment_table(p: float, profile: Profile, kind: str) -> MomentTable:
    """The table of a kind, see `MomentTable`; the same where it is asked for again."""
    return MomentTable(p, profile, kind)


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
