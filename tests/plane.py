r"""Nodes in the plane of (w, b) for the referee: sums over them are expectations of functions with kinks where wx + b = 0.

One variable is outer and one inner. Inner integrals are sums of Gauss-Legendre rules between kinks, knots and quantiles of
the law; outer panels shrink geometrically towards w = 0. Nodes are told by w and by :math:`\tau = w x_0 + b` in extended
precision, so that :math:`wx + b = \tau + w (x - x_0)` keeps its digits however far the data are from the origin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.stats as st

import splinebias as sb
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture, OnUnitCircle

LONG = np.longdouble
_TAILS = 10.0 ** -np.array([3, 4.5, 6, 9, 13, 18, 25, 35, 50, 70, 100, 140, 200, 300])
_SHARES = np.r_[_TAILS[::-1], 0.02, 0.08, 0.25]
_CHUNK = 100_000  # nodes made at once


class Nodes(NamedTuple):
    """Nodes with weights: `w`, `tau` (extended), the error of `tau`, and what each counts; each of shape (N,)."""

    w: Any
    tau: Any
    blur: Any
    mass: Any


@dataclass(frozen=True, eq=False)
class Frame:
    """What the functions to be integrated look like.

    Attributes
    ----------
    x0 : longdouble
        The origin of x.
    kinks : array of longdouble, shape (K,)
        Data and places, less x0: units with wx + b = 0 there have a kink.
    zeros : tuple of arrays of longdouble
        The same for the zeros of the dual functions, of w > 0 and w < 0.
    graded : bool
        Whether functions are only continuous at the kinks: rules are then graded towards them, and panels narrower.
    order : float
        Order of the moments of the law that are integrated.
    outer, inner : int
        Orders of the rules.
    """

    x0: Any
    kinks: Any
    zeros: tuple[Any, Any]
    graded: bool
    order: float
    outer: int
    inner: int

    def bends(self, sign: float) -> Any:
        """All of these for units whose weight has a sign."""
        return np.r_[self.kinks, self.zeros[0 if sign > 0 else 1]]

    @cached_property
    def rule(self) -> tuple[Any, Any]:
        """Nodes and weights on (0, 1) of the inner rule."""
        u, weights = unit_gauss(self.inner * 3 // 2 if self.graded else self.inner)
        if not self.graded:
            return u.astype(LONG), weights
        smooth = u**3 * (10 + u * (6 * u - 15))  # derivative 30 u^2 (1 - u)^2
        return smooth.astype(LONG), weights * 30 * (u * (1 - u)) ** 2

    def between(self, edges: Any) -> tuple[Any, Any, Any]:
        """Rows of the inner rule between neighbours in each row of edges (W, E): row, nodes and weights, each (N,)."""
        edges = np.sort(edges, axis=1)
        lo, width = edges[:, :-1], np.diff(edges, axis=1)
        row, piece = np.nonzero(width > 0)
        lo, width = lo[row, piece][:, None], width[row, piece][:, None]
        u, weights = self.rule
        return np.repeat(row, u.size), (lo + width * u).ravel(), (width.astype(float) * weights).ravel()


def unit_gauss(order: int) -> tuple[Any, Any]:
    """Gauss-Legendre on (0, 1)."""
    u, weights = np.polynomial.legendre.leggauss(order)
    return (u + 1) / 2, weights / 2


def knots(law: Any) -> list[float]:
    """Where the density of a law is not smooth."""
    inner = [law.mean()] if law.dist.name in ("laplace", "dgamma", "dweibull") else []
    return [end for end in law.support() if math.isfinite(end)] + inner


def marks(law: Any, order: float) -> Any:
    """Points of a law between which its density is smooth and does not change by many orders, in order.

    Heavy tails end where what they add to the moment of an order is below rounding, or at 1e31.
    """
    lo, hi = law.support()
    with np.errstate(all="ignore"):
        found = np.r_[law.ppf(_SHARES), law.ppf(0.5), law.isf(_SHARES)]
    middle, scale = law.ppf(0.5), law.isf(0.25) - law.ppf(0.25)
    if law.dist.name != "uniform":
        steps = scale * 4.0 ** -np.arange(31.0 if _singular(law) else 13.0)
        found = np.r_[found, lo + steps, hi - steps] if lo > -math.inf or hi < math.inf else found
        far = scale * 3.0 ** np.arange(1, 64)
        for sign, outmost in ((-1, np.nanmin(found[np.isfinite(found)])), (1, np.nanmax(found[np.isfinite(found)]))):
            some = middle + sign * far
            found = np.r_[found, some[np.abs(some) < np.abs(outmost)]]
    found = np.r_[found, knots(law)]
    found = np.unique(found[np.isfinite(found) & (found >= lo) & (found <= hi) & (np.abs(found - middle) < 1e31 * scale)])
    if law.pdf(middle + 1e4 * scale) + law.pdf(middle - 1e4 * scale) == 0:
        return found
    share = law.pdf(found) * (np.abs(found - middle) / scale + 1) ** (order + 1) * scale
    return found[(share > 1e-30) | (np.abs(found - middle) < 1e3 * scale)]


def _singular(law: Any) -> bool:
    ends = [end for end in law.support() if math.isfinite(end)]
    with np.errstate(all="ignore"):
        return bool(np.any(law.pdf(np.array(ends)) > 1e3 / (law.isf(0.25) - law.ppf(0.25)))) if ends else False


def nodes_of(law: Any, frame: Frame) -> Iterator[Nodes]:
    """The nodes of a law of (w, b), in chunks."""
    if isinstance(law, Mixture):
        for share, part in zip(law.probabilities, law.components, strict=True):
            for found in nodes_of(part, frame):
                yield found._replace(mass=share * found.mass)
    elif isinstance(law, OnUnitCircle):
        yield _on_circle(frame)
    elif isinstance(law, Joint):
        yield from _joint(law.density.law, frame)
    else:
        assert isinstance(law, Independent)
        weight, bias = law.given
        if isinstance(weight, sb.Discrete):
            fixed = marks(bias, frame.order)
            for w, share in zip(weight.values, weight.probabilities, strict=True):
                found = _lines(np.array([w]), lambda _, b: bias.pdf(b), lambda _: fixed[None], frame)
                yield found._replace(mass=share * found.mass)
        elif isinstance(bias, sb.Discrete):
            for b, share in zip(bias.values, bias.probabilities, strict=True):
                yield _swapped(weight, b, share, frame)
        else:
            fixed, w = marks(bias, frame.order), _panels(weight, marks(bias, frame.order), knots(bias), frame)
            yield from _outer(w, weight.pdf, lambda _, b: bias.pdf(b), lambda w: np.tile(fixed, (w.size, 1)), frame)


def _outer(edges: Any, of_weight: Any, density: Any, fixed: Any, frame: Frame) -> Iterator[Nodes]:
    """Panels in w, between their edges, times lines in b."""
    u, weights = unit_gauss(frame.outer)
    w = (edges[:-1, None] + np.diff(edges)[:, None] * u).ravel()
    mass = (np.diff(edges)[:, None] * weights).ravel() * of_weight(w)
    w, mass = w[mass > 0], mass[mass > 0]
    per_row = (fixed(w[:1]).shape[1] + frame.kinks.size + 10) * frame.rule[0].size
    for part in np.array_split(np.arange(w.size), max(1, w.size * per_row // _CHUNK)):
        for of_sign in (part[w[part] > 0], part[w[part] < 0]):
            if of_sign.size:
                found = _lines(w[of_sign], density, fixed, frame, mass[of_sign])
                yield found


def _lines(w: Any, density: Any, fixed: Any, frame: Frame, mass: Any = 1.0) -> Nodes:
    """Lines in b at weights of one sign: nodes between the kinks and the `fixed` (W, E) edges, inside the latter."""
    shift = w.astype(LONG) * frame.x0
    ends = fixed(w).astype(LONG) + shift[:, None]
    bends = np.clip(-np.outer(w.astype(LONG), frame.bends(w[0])), ends[:, :1], ends[:, -1:])
    row, tau, weights = frame.between(np.concatenate([ends, bends], axis=1))
    with np.errstate(all="ignore"):
        weights = weights * density(w[row], (tau - shift[row]).astype(float)) * np.broadcast_to(mass, w.shape)[row]
    keep = (weights > 0) & np.isfinite(weights)  # a density may be infinite at an end
    tau = tau[keep]
    return Nodes(w[row][keep], tau, float(np.finfo(LONG).eps) * np.abs(tau).astype(float), weights[keep])


def _panels(weight: Any, of_bias: Any, bias_knots: Any, frame: Frame) -> Any:
    """Edges in w: marks of the law, shrinking to 0, and where a knot of the bias law meets a kink or its marks the data."""
    own, x = marks(weight, frame.order), np.abs((frame.kinks + frame.x0).astype(float))
    reach = np.diff(np.quantile(of_bias, [0.25, 0.75]))[0] / x.max() if x.max() > 0 else np.inf
    largest = np.abs(own).max()
    least = 1e-5 * min(reach, np.diff(np.quantile(own, [0.4, 0.6]))[0], largest)
    factor = 2 if frame.graded else 3
    sizes = largest * float(factor) ** -np.arange(math.ceil(math.log(largest / least) / math.log(factor)) + 1)
    crossings = [own, sizes, -sizes, [0.0]]
    with np.errstate(all="ignore"):
        for sign in (1, -1):
            places = (frame.bends(sign) + frame.x0).astype(float)
            meet = (-np.outer(bias_knots, 1 / places)).ravel() if len(bias_knots) else np.zeros(0)
            crossings.append(meet[meet * sign > 0])
        middle, spread = np.median(of_bias), np.diff(np.quantile(of_bias, [0.3, 0.7]))[0]
        if abs(middle) > spread or not (of_bias[0] < 0 < of_bias[-1]):
            crossings += [-of_bias / float(place) for place in frame.kinks[[0, -1]] + frame.x0]
    edges = np.concatenate(crossings)
    return np.unique(edges[np.isfinite(edges) & (edges >= own[0]) & (edges <= own[-1])])


def _swapped(weight: Any, b: float, share: float, frame: Frame) -> Nodes:
    """A line in w, at a bias."""
    own, parts = marks(weight, frame.order), []
    for sign in (-1, 1):
        side = np.unique(np.r_[own[own * sign > 0], 0.0 if own[0] <= 0 <= own[-1] else own[np.abs(own).argmin()]])
        if side.size < 2 or (np.abs(own) * (own * sign > 0)).max() == 0:
            continue
        largest = np.abs(side).max()
        sizes = sign * largest * 4.0 ** -np.arange(40)
        with np.errstate(divide="ignore"):
            bends = -LONG(b) / (frame.bends(sign) + frame.x0)
        edges = np.r_[side, sizes, np.where(np.isfinite(bends), bends, side[0])]
        parts.append(np.clip(edges, side[0], side[-1]))
    found = [frame.between(edges[None])[1:] for edges in parts]
    w, weights = (np.concatenate(of) for of in zip(*found, strict=True))
    mass = weights * weight.pdf(w.astype(float)) * share
    tau = w * frame.x0 + LONG(b)
    keep = (mass > 0) & np.isfinite(mass)
    return Nodes(w[keep], tau[keep], np.full(keep.sum(), 4 * float(np.finfo(LONG).eps) * abs(b)), mass[keep])


def _on_circle(frame: Frame) -> Nodes:
    """The unit circle, in the angle of (w, b)."""
    right = np.arctan(-(frame.bends(1) + frame.x0))
    left = np.arctan(-(frame.bends(-1) + frame.x0)) + LONG(np.pi)
    quarter = LONG(np.pi) / 2
    fixed = np.linspace(-1, 3, 33).astype(LONG) * quarter
    steps = quarter * LONG(3) ** -np.arange(40)
    around = [side + of for side in (right.min(), right.max(), left.min(), left.max()) for of in (steps, -steps)]
    turns = np.r_[right, left, fixed, *around]
    _, angle, weights = frame.between(np.clip(turns, -quarter, 3 * quarter)[None])
    w, b = np.cos(angle), np.sin(angle)
    return Nodes(w, w * frame.x0 + b, np.full(w.size, 4 * float(np.finfo(LONG).eps)), weights / (2 * math.pi))


def _joint(law: Any, frame: Frame) -> Iterator[Nodes]:
    """Correlated normal and Student laws: lines in b between quantiles of the conditional law."""
    student = hasattr(law, "df")
    (mean, spread) = (law.loc, law.shape) if student else (law.mean, law.cov_object.covariance)
    own, slope, rest = math.sqrt(spread[0, 0]), spread[0, 1] / spread[0, 0], spread[1, 1] - spread[0, 1] ** 2 / spread[0, 0]
    given = marks(st.t(law.df + 1) if student else st.norm(), frame.order)

    def fixed(w: Any) -> Any:
        far = (w - mean[0]) ** 2 / spread[0, 0]
        scale = np.sqrt(rest * ((law.df + far) / (law.df + 1) if student else 1.0)) * np.ones_like(w)
        return (mean[1] + slope * (w - mean[0]))[:, None] + scale[:, None] * given

    marginal = st.t(law.df, mean[0], own) if student else st.norm(mean[0], own)
    edges = _panels(marginal, mean[1] + math.sqrt(spread[1, 1]) * given, [], frame)
    yield from _outer(edges, np.ones_like, lambda w, b: law.pdf(np.stack([w, b], axis=-1)), fixed, frame)
