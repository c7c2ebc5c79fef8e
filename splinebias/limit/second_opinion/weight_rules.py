r"""Where the sizes of the weights at a breakpoint are, and rules for them: between knots and marks of the bulk of a law."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.initialization.breakpoints import PairLaw
from splinebias.initialization.densities.scipy_parameters import law_name
from splinebias.initialization.laws import Continuous
from splinebias.initialization.weight_bias_laws import Independent, Joint
from splinebias.numerics.double_exponential import FINE, PLAIN, UnitRule, fejer, unit_rule

_SMOOTH = fejer(16)  # a density may jump at the ends, where it has no nodes
_STEPS = 8  # pieces of a histogram from which on the inner ones get that rule


class Ladder(NamedTuple):
    """A trapezoidal rule on (0, infinity): sizes over their scale, weights, and those of half of the rule."""

    v: Array
    weights: Array
    half: Array

    @classmethod
    def of(cls, v: Array, pace: Array) -> Ladder:
        """From v at equidistant places, and dv between two of them."""
        return cls(v, pace, np.where(np.arange(v.size) % 2 == 0, 2 * pace, 0.0))


def _softplus_ladder(step: float, last: float = 15.0) -> Ladder:
    """Even steps in v far out, logarithmic ones near 0: for densities that end like that of a normal law, or sooner."""
    y = np.arange(-5.5, last, step)
    bend = np.exp(-y - 3)
    return Ladder.of(np.logaddexp(0.0, y - bend), step * (1 + bend) / (1 + np.exp(bend - y)))


def _log_ladder(step: float) -> Ladder:
    """Even steps in log v over the scale of the law: for layers at 0, and tails of Student laws."""
    count = round(16 / step)
    v = np.exp(np.arange(-count, count + 1) * step)
    return Ladder.of(v, step * v)


class WeightRules(NamedTuple):
    """For normal, other light and heavy tails, between marks, and beyond them."""

    normal: Ladder
    light: Ladder
    heavy: Ladder
    between: UnitRule
    beyond: UnitRule


RULES = WeightRules(_softplus_ladder(0.4), _softplus_ladder(0.4), _log_ladder(0.25), PLAIN, PLAIN)
TAME = RULES._replace(normal=_softplus_ladder(0.4, 9.5))  # of up to v^5, beyond which there is 1e-15 of it


@cache
def steep_rules(power: float) -> WeightRules:
    """Rules for v^power times a density, whose peak is as wide as the root of 1/power in log v, or 1/power at an end."""
    width = 1 / math.sqrt(2 * power)
    light = _softplus_ladder(0.4, math.sqrt(power) + 10)
    return WeightRules(light, light, _log_ladder(min(0.25, 0.7 * width)), FINE, unit_rule(3.25 / math.ceil(24 / width)))


class Rays(NamedTuple):
    """Where the sizes of weights at breakpoints c are.

    Attributes
    ----------
    marks : Array, shape (*c.shape, K)
        Ends of pieces with a rule each; K = 0: one rule for all sizes.
    scale : Array, shape c.shape
        A scale of sizes.
    ladder : Ladder or None
        That rule, in units of the scale: beyond the marks, or of all sizes; None: beyond the marks there is nothing.
    inner : UnitRule
        The rule for pieces that begin beyond 0.
    """

    marks: Array
    scale: Array
    ladder: Ladder | None
    inner: UnitRule = PLAIN


Marks = Callable[[Array, int], Rays]


def marks_of(law: PairLaw, rules: WeightRules) -> Marks | None:
    """What describes the sizes v of weights of a sign at breakpoints c; None for laws of which no density is known."""
    if isinstance(law, Joint):

        def on_rays(c: Array, sign: int) -> Rays:
            nearest, width, _ = law.density.ray(c, sign)
            if (np.abs(nearest) < 2 * width).all():
                light = law.density.gaussian and not law.density.centre.any()
                return Rays(np.zeros((*c.shape, 0)), width, rules.normal if light else rules.heavy)
            return Rays(
                nearest[..., None] + width[..., None] * np.array([-5.0, 0.0, 5.0]), width, rules.heavy, rules.between
            )

        return on_rays
    if not (isinstance(law, Independent) and all(isinstance(part, Continuous) for part in law.laws)):
        return None
    weight, bias = (part for part in law.laws if isinstance(part, Continuous))
    bounded = bool(np.isfinite([*weight.support, *bias.support]).all())
    ladder = rules.light if weight.is_light and bias.is_light else rules.heavy
    names, roots = (
        {law_name(weight.frozen), law_name(bias.frozen)},
        [math.sqrt(part.second_moment) for part in (weight, bias)],
    )
    if names == {"norm"}:
        ladder = rules.normal
    length = np.hypot if names != {"laplace"} else np.add  # the density on a ray is then one function of v over the scale
    inner = _SMOOTH if weight.degree == 0 and len(weight.knots) > _STEPS else rules.between
    plain, own, other = _plain(weight) and _plain(bias), _places(weight), _places(bias)
    box = all(
        part.degree == 0 and len(part.knots) == 2 and part.support[0] <= 0 <= part.support[1] for part in (weight, bias)
    )
    of_box = Ladder(rules.between.u, rules.between.weights, rules.between.half)

    def top(c: Array, sign: int) -> Array:
        """The largest size of a bounded law."""
        end = max(0.0, *(sign * end for end in weight.support))
        toward = np.where(sign * c < 0, max(bias.support[1], 0.0), max(-bias.support[0], 0.0)) / np.abs(c)
        return np.minimum(end, np.where(c == 0, math.inf, toward))

    def of_both(c: Array, sign: int) -> Rays:
        with np.errstate(divide="ignore", invalid="ignore"):
            if box:
                return Rays(np.zeros((*c.shape, 0)), top(c, sign), of_box)
            scale = 1 / length(1 / roots[0], np.abs(c) / roots[1])
            if plain:
                return Rays(np.zeros((*c.shape, 0)), scale, ladder)
            along = -sign * other / c[..., None]
            marks = np.concatenate(
                [np.broadcast_to(sign * own, (*c.shape, own.size)), np.where(np.isfinite(along), along, 0.0)], axis=-1
            )
            if not bounded:
                return Rays(marks, scale, rules.heavy, inner)
            return Rays(np.clip(marks, 0.0, top(c, sign)[..., None]), scale, None, inner)

    return of_both


def _plain(law: Continuous) -> bool:
    """Whether the density has no structure on either side of zero but one scale."""
    low, middle, high = np.interp([0.2, 0.5, 0.8], np.linspace(0, 1, len(law.landmarks)), law.landmarks)
    return not any(law.knots) and not law.plateaus and bool(abs(middle) < (high - low) / 4)


def _places(law: Continuous) -> Array:
    """Where a density is not smooth, its median, and two quantiles around its bulk."""
    if law.degree == 0 and len(law.knots) == 2:  # uniform
        return np.array(law.knots)
    bulk = law.landmarks[1:-1:3] if len(law.landmarks) > 5 else law.landmarks
    return np.unique(np.r_[law.knots, bulk])


def nodes_of(rays: Rays, rules: WeightRules) -> tuple[Array, Array, Array, Array | float]:
    """Nodes on (0, infinity) of shape (*c.shape, q), weights and those of half of the nodes, and the unit of both.

    Weights have the shape of the nodes, or are the same at every breakpoint: (q,).
    """
    marks, scale, ladder = rays.marks, rays.scale[..., None], rays.ladder
    if marks.shape[-1] == 0:
        assert ladder is not None
        return scale * ladder.v, ladder.weights, ladder.half, rays.scale
    shape = marks.shape[:-1]
    edges = np.sort(np.maximum(np.concatenate([np.zeros((*shape, 1)), marks], axis=-1), 0.0), axis=-1)
    wide, left = np.diff(edges, axis=-1), edges[..., :-1]
    used = (wide > 0).reshape(-1, wide.shape[-1]).any(axis=0)
    wide, left = wide[..., used, None], left[..., used, None]
    if ladder is None and wide.shape[-2] == 1:
        plain = rules.between
        return left[..., 0, :] + wide[..., 0, :] * plain.u, plain.weights, plain.half, wide[..., 0, 0]
    inner = [np.zeros((*shape, 0))] * 3  # no weights of this sign
    if used.any():
        beyond = (left > 0).reshape(-1, left.shape[-2]).all(axis=0)
        parts = [
            (
                left[..., some, :] + wide[..., some, :] * rule.u,
                wide[..., some, :] * rule.weights,
                wide[..., some, :] * rule.half,
            )
            for some, rule in ((~beyond, rules.between), (beyond, rays.inner))
            if some.any()
        ]
        inner = [np.concatenate([of.reshape(*shape, -1) for of in column], axis=-1) for column in zip(*parts, strict=True)]
    if ladder is None:
        v, weights, half = inner
        return v, weights, half, 1.0
    last = edges[..., -1:]
    far = rules.beyond
    tail = scale / far.other**2
    outer = (last + scale * (far.u / far.other), tail * far.weights, tail * far.half)
    joined = [np.concatenate([a, b], axis=-1) for a, b in zip(inner, outer, strict=True)]
    return joined[0], joined[1], joined[2], 1.0
