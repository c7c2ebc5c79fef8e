"""Quadrature over the law of a neuron's (w, b), for expectations of what is smooth in them: finer and finer rules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.initialization.breakpoints import PairLaw
from splinebias.initialization.laws import Continuous, Law
from splinebias.initialization.weight_bias_laws import Independent, Joint, Mixture, OnUnitCircle
from splinebias.numerics.legendre import gauss_legendre

_NODES = (6, 12, 24, 48)  # of a panel; of the unit circle 16 times as many
_LEAST = 1e-22  # mass below which a neuron is left out
_FAR = 8.0  # moment that is integrated to rounding


class NeuronRule(NamedTuple):
    """Neurons with masses that sum to 1, shape (N,) each."""

    w: Array
    b: Array
    mass: Array


def neuron_rules(law: PairLaw) -> Iterator[NeuronRule]:
    """Finer and finer rules for a law that `unknown_law` has nothing against."""
    return (_rule(law, nodes) for nodes in _NODES)


def unknown_law(law: PairLaw) -> str | None:
    """Why there is no rule for a law, in words, or None."""
    if isinstance(law, Mixture):
        return next((missing for part in law.components if (missing := unknown_law(part)) is not None), None)
    if isinstance(law, Independent | OnUnitCircle) or (isinstance(law, Joint) and law.density.gaussian):
        return None
    return (
        f"with smooth neurons it integrates over independent w and b, the unit circle, joint normal laws and mixtures of "
        f"these, got {law.describe()}"
    )


def _rule(law: PairLaw, nodes: int) -> NeuronRule:
    if isinstance(law, Mixture):
        parts = [_rule(part, nodes) for part in law.components]
        masses = [p * part.mass for p, part in zip(law.probabilities, parts, strict=True)]
        return NeuronRule(np.concatenate([p.w for p in parts]), np.concatenate([p.b for p in parts]), np.concatenate(masses))
    if isinstance(law, OnUnitCircle):
        angle = 2 * np.pi * (np.arange(16 * nodes) + 0.5) / (16 * nodes)
        return NeuronRule(np.cos(angle), np.sin(angle), np.full(angle.size, 1 / angle.size))
    if isinstance(law, Joint):
        normal = _of_one(_standard_normal(), nodes)
        one, other, mass = _pairs(normal, normal)
        root = np.linalg.cholesky(law.density.scatter)
        w, b = law.density.centre[:, None] + root @ np.stack([one, other])
        return NeuronRule(w, b, mass)
    assert isinstance(law, Independent), "others are refused before"
    return NeuronRule(*_pairs(*(_of_one(part, nodes) for part in law.laws)))


def _pairs(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """All pairs of the nodes of two rules that have some mass."""
    mass = np.multiply.outer(one[1], other[1])
    i, j = np.nonzero(mass > _LEAST)
    return one[0][i], other[0][j], mass[i, j] / mass[i, j].sum()


def _of_one(law: Law, nodes: int) -> tuple[Array, Array]:
    """Nodes and masses for the law of one number."""
    if not isinstance(law, Continuous):
        return np.array(law.values), np.array(law.probabilities)
    lo, hi = law.reach(_FAR)
    marks = np.array([mark for mark in (*law.landmarks[1:-1], *law.knots) if lo <= mark <= hi])
    edges = np.unique(np.r_[marks, [end for end in (lo, hi) if math.isfinite(end)]])
    apart = np.r_[True, np.diff(edges[:-1]) > 1e-5 * (edges[-1] - edges[0]), True]
    edges = edges[apart]
    u, weight = gauss_legendre(nodes)
    wide = np.diff(edges)[:, None]
    at, mass = [(edges[:-1, None] + wide * u).ravel()], [(wide * weight).ravel()]
    for end, last, sign in ((lo, edges[0], -1.0), (hi, edges[-1], 1.0)):
        if math.isinf(end):  # a power tail: smooth in u after x = last + scale u / (1 - u)
            scale = edges[-1] - edges[0]
            at.append(last + sign * scale * u / (1 - u))
            mass.append(scale * weight / (1 - u) ** 2)
    nodes_at = np.concatenate(at)
    masses = np.concatenate(mass) * law.pdf(nodes_at)
    return nodes_at, masses / masses.sum()


def _standard_normal() -> Law:
    import scipy.stats as st

    from splinebias.initialization.laws import as_law

    return as_law(st.norm(), "normal")
