r"""Least norm over units of all directions, by exchange: add the maxima of the dual function, drop what is not needed,
polish.

For regularized fits, an active set of units gives the multipliers. Interpolants start from fits of little strength; if
their units are not yet those of the interpolant, linear programs find them. Units of one sector are merged, which costs
nothing at the data and lowers the norm, and Newton's method moves them to where the dual function has its maxima. Each
round is followed by the certificate: :math:`|G| \le 1` in closed form on every sector, and the gap between the norm and
what G proves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from splinebias._array import Array
from splinebias.errors import SolveError
from splinebias.regimes.least_norm.atoms import Atoms, Step, merged, newton_step
from splinebias.regimes.least_norm.certificate import of_units
from splinebias.regimes.least_norm.sectors import Sectors

_ROUNDS, _PROGRAMS, _STEPS = 40, 15, 40  # of exchange, with linear programs, and of Newton's method in each
_NEW = 20  # units that a round may add at least
_TOLERANCE = 1e-12  # of the certificate: to stop at once
_ROUNDING = 1e-14  # of the largest ordinate, in the residuals of a line
_GOOD = 1e-9  # of the certificate: to stop when it gets no better


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Units of least norm with what certifies them.

    Attributes
    ----------
    atoms : Atoms
        The units.
    multipliers : Array, shape (M,)
        G made of them is at most 1; times s, they are the residuals over D.
    residual : float
        The certificate: excess of \\|G\\| over 1, relative gap.
    rounds : int
        Rounds of exchange.
    """

    atoms: Atoms
    multipliers: Array
    residual: float
    rounds: int


def exchange(sectors: Sectors, s: float) -> Exchanged:
    """The least of loss plus s times norm, or of the norm through the data if s = 0."""
    empty = Atoms(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.intp), np.zeros(sectors.linear.shape[1]))
    if s:
        return _fit(sectors, s, empty)
    best = _from_fits(sectors, empty)
    if best.residual > _GOOD:
        with suppress(SolveError):  # data of extreme scale: what the fits gave is kept, and its residual says how good it is
            found = _through(sectors, best.atoms)
            best = min(best, replace(found, rounds=best.rounds + found.rounds), key=lambda each: each.residual)
    return best


def largest_strength(sectors: Sectors) -> float:
    """The least s at which no unit is worth its price."""
    empty = Atoms(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.intp), np.zeros(sectors.linear.shape[1]))
    return float(np.abs(sectors.peaks(_multipliers(empty, sectors, 1.0)).values).max(initial=0.0))


def _best(rounds: Iterator[Exchanged], enough: float = _TOLERANCE) -> Exchanged:
    """The best of rounds until one is good enough, or good and hardly better than the one before."""
    best = None
    for found in rounds:
        stale = best is not None and found.residual >= 0.5 * best.residual
        best = min(best or found, found, key=lambda each: each.residual)
        if best.residual <= enough or (stale and best.residual <= _GOOD):
            break
    assert best is not None
    return best


def _fit(sectors: Sectors, s: float, atoms: Atoms) -> Exchanged:
    """The fit at strength s > 0, from the atoms of another one."""

    def rounds(atoms: Atoms) -> Iterator[Exchanged]:
        multipliers = _multipliers(atoms, sectors, s)
        for number in range(_ROUNDS):
            if number or not atoms.a.size:
                atoms = merged(_active_set(_with_peaks(atoms, sectors, multipliers), sectors, s), sectors)
            atoms, multipliers = _polished(atoms, sectors, s, multipliers)
            yield Exchanged(atoms, multipliers, of_units(atoms, sectors, s, multipliers), number + 1)

    return _best(rounds(atoms))


def _from_fits(sectors: Sectors, empty: Atoms) -> Exchanged:
    """Through the data, with the units of a fit of little strength: below some strength only their sizes still change."""
    largest, nothing = largest_strength(sectors), np.zeros(sectors.x.size)
    if not largest:  # what costs nothing fits
        return Exchanged(empty, nothing, of_units(empty, sectors, 0.0, nothing), 0)

    def rounds(atoms: Atoms) -> Iterator[Exchanged]:
        count = 0
        for share in 10.0 ** -np.arange(1, 11):
            fitted = _fit(sectors, share * largest, atoms)
            atoms, count = fitted.atoms, count + fitted.rounds
            if share <= 1e-4:
                yield _certified(atoms, sectors, fitted.multipliers, count)

    return _best(rounds(empty), _GOOD)


def _through(sectors: Sectors, atoms: Atoms) -> Exchanged:
    """Through the data, by linear programs over more and more directions."""

    def rounds(atoms: Atoms) -> Iterator[Exchanged]:
        multipliers = np.zeros(sectors.x.size)
        for number in range(_PROGRAMS):
            atoms, multipliers = _program(_with_peaks(atoms, sectors, multipliers), sectors)
            found = _certified(merged(atoms, sectors), sectors, multipliers, number + 1)
            yield found
            atoms = found.atoms

    return _best(rounds(atoms))


def _certified(atoms: Atoms, sectors: Sectors, multipliers: Array, rounds: int) -> Exchanged:
    """The atoms after Newton's method through the data, with the better of two certificates."""
    atoms, moved = _polished(atoms, sectors, 0.0, multipliers)
    tried = [moved, _corrected(atoms, sectors, multipliers)]
    residuals = [of_units(atoms, sectors, 0.0, each) for each in tried]
    return Exchanged(atoms, tried[int(np.argmin(residuals))], min(residuals), rounds)


def _corrected(atoms: Atoms, sectors: Sectors, multipliers: Array) -> Array:
    """The multipliers closest to given ones that support the atoms: many may, and few of them are bounded by 1 elsewhere."""
    unknowns = Step.of(atoms, sectors)
    # B' lambda = gradient: G touches 1 at the atoms, with a right angle inside sectors
    missing = unknowns.gradient(atoms) - unknowns.columns.T @ multipliers
    return np.asarray(multipliers + np.linalg.lstsq(unknowns.columns.T, missing, rcond=1e-13)[0])


def _multipliers(atoms: Atoms, sectors: Sectors, s: float) -> Array:
    """Residuals over s D, once the linear part is at its best; 0 where no unit is needed but for rounding."""
    left = sectors.y - sectors.features(atoms.psi) @ atoms.a
    weight = 1 / np.sqrt(sectors.d)
    linear = np.linalg.lstsq(weight[:, None] * sectors.linear, weight * left, rcond=None)[0]
    left -= sectors.linear @ linear
    if not atoms.a.size and (np.abs(left) <= _ROUNDING * np.abs(sectors.y).max()).all():
        left = np.zeros_like(left)
    return np.asarray(left / (s * sectors.d))


def _with_peaks(atoms: Atoms, sectors: Sectors, multipliers: Array) -> Atoms:
    """The atoms, and units without weight at the highest of the local maxima of \\|G\\| that exceed 1."""
    peaks = sectors.peaks(multipliers)
    order = np.argsort(peaks.angles, kind="stable")
    height = np.abs(peaks.values[order])
    highest = (height >= np.r_[0.0, height[:-1]]) & (height >= np.r_[height[1:], 0.0]) & (height > 1 + 1e-13)
    new = order[highest]
    new = new[np.argsort(-np.abs(peaks.values[new]), kind="stable")][: max(_NEW, 2 * atoms.a.size)]
    return Atoms(
        np.r_[atoms.psi, peaks.angles[new]],
        np.r_[atoms.a, np.zeros(new.size)],
        np.r_[atoms.sectors, peaks.sectors[new]],
        atoms.linear,
    )


def _program(atoms: Atoms, sectors: Sectors) -> tuple[Atoms, Array]:
    """The linear program over the atoms and the edges, and its multipliers."""
    psi = np.r_[atoms.psi, sectors.edges]
    inside = np.r_[atoms.sectors, np.full(sectors.edges.size, -1)]
    features = sectors.features(psi)
    scale = np.abs(features).max(axis=0)
    used = scale > 1e-14 * scale.max(initial=0.0)
    psi, inside, features, scale = psi[used], inside[used], features[:, used] / scale[used], scale[used]
    height = np.abs(sectors.y).max() or 1.0
    cost = scale.max() / scale
    columns = np.hstack([features, -features, sectors.linear])
    bounds = [(0, None)] * (2 * psi.size) + [(None, None)] * sectors.linear.shape[1]
    found = linprog(
        np.r_[cost, cost, np.zeros(sectors.linear.shape[1])],
        A_eq=columns,
        b_eq=sectors.y / height,
        bounds=bounds,
        method="highs",
    )
    if found.x is None:
        raise SolveError(f"the linear program over directions was not solved ({found.message}); scale x to about [-1, 1]")
    a = (found.x[: psi.size] - found.x[psi.size : 2 * psi.size]) * height / scale
    multipliers = found.eqlin.marginals / scale.max()
    kept = np.abs(a) > 1e-12 * np.abs(a).max(initial=0.0)
    return Atoms(psi[kept], a[kept], inside[kept], found.x[2 * psi.size :] * height), np.asarray(multipliers)


def _active_set(atoms: Atoms, sectors: Sectors, s: float) -> Atoms:
    """The best weights of given directions: towards the minimizer with the present signs, dropping weights that come to
    zero."""
    weight = 1 / sectors.d
    start = _multipliers(atoms, sectors, s) @ sectors.features(atoms.psi)
    a, signs, alive = atoms.a.copy(), np.where(atoms.a != 0, np.sign(atoms.a), np.sign(start)), np.ones(atoms.a.size, bool)
    features = sectors.features(atoms.psi)
    columns = np.hstack([features, sectors.linear])
    gram, pull = columns.T @ (weight[:, None] * columns), columns.T @ (weight * sectors.y)
    size = a.size
    for _ in range(size + 1):
        used = np.flatnonzero(np.r_[alive, np.ones(sectors.linear.shape[1], bool)])
        right = pull[used] - s * np.r_[signs[alive], np.zeros(sectors.linear.shape[1])]
        aim = np.zeros(size)
        solved = _ridge(gram[np.ix_(used, used)], right)
        aim[alive] = solved[: int(alive.sum())]
        wrong = alive & (aim * signs < 0)
        linear = solved[int(alive.sum()) :]
        if not wrong.any():
            return Atoms(atoms.psi[alive], aim[alive], atoms.sectors[alive], linear)
        ratio = np.where(wrong, a / np.where(wrong, a - aim, 1.0), np.inf)
        step = ratio.min()
        a = np.where(alive, a + step * (aim - a), 0.0)
        alive &= ratio > step
        a[~alive] = 0.0
    return atoms.kept(alive)


def _ridge(gram: Array, right: Array) -> Array:
    """The solution of normal equations, steady where columns depend on each other."""
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    scaled = scale[:, None] * gram * scale
    scaled[np.diag_indices_from(scaled)] += 1e-13
    return np.asarray(scale * np.linalg.solve(scaled, scale * right))


@np.errstate(over="ignore")  # relative sizes, while there are no units
def _polished(atoms: Atoms, sectors: Sectors, s: float, multipliers: Array) -> tuple[Atoms, Array]:
    """Newton's method with units that stop at the edges of their sectors and leave when their weight comes to zero."""
    smallest, rounding = np.inf, 1e-14 * float(np.sum(sectors.y**2 / sectors.d))
    for _ in range(_STEPS):
        unknowns, step, multipliers = newton_step(atoms, sectors, s, multipliers)
        if not np.isfinite(step).all():
            break
        before, share = atoms, 1.0
        psi, a, linear = unknowns.moved(atoms, step, 1.0)
        leaving = _outside(atoms, psi, a, sectors)
        if leaving.any():
            share, atoms = 0.0, _held(before, psi, a, linear, leaving, sectors)
            if s and _objective(atoms, sectors, s) > _objective(before, sectors, s):
                atoms = _stopped(before, unknowns, step, sectors)
        else:
            atoms = replace(atoms, psi=psi, a=a, linear=linear)
        if s and _objective(atoms, sectors, s) > _objective(before, sectors, s) + rounding:
            atoms = before
            break
        size = float(np.abs(step).max(initial=0.0) / max(np.abs(atoms.a).max(initial=0.0), 1e-300))
        if share == 1.0 and (size < 1e-15 or (size < 1e-9 and size >= 0.5 * smallest)):
            break
        smallest = min(smallest, size) if share == 1.0 else np.inf
    return atoms, multipliers


def _objective(atoms: Atoms, sectors: Sectors, s: float) -> float:
    """Loss plus s times norm."""
    return float(0.5 * np.sum((sectors.y - atoms.values(sectors)) ** 2 / sectors.d) + s * atoms.norm)


def _outside(atoms: Atoms, psi: Array, a: Array, sectors: Sectors) -> NDArray[np.bool_]:
    """Which units would have left their sector, or changed their sign."""
    inside = atoms.sectors >= 0
    part = atoms.sectors[inside]
    gone = a * atoms.a <= 0
    gone[inside] |= (psi[inside] <= sectors.lows[part]) | (psi[inside] >= sectors.highs[part])
    return np.asarray(gone)


def _held(atoms: Atoms, psi: Array, a: Array, linear: Array, leaving: NDArray[np.bool_], sectors: Sectors) -> Atoms:
    """New places and weights, with those that leave their sector held at its edge, and those that change sign dropped."""
    psi, inside = psi.copy(), atoms.sectors.copy()
    kept = a * atoms.a > 0
    for k in np.flatnonzero(leaving & kept):
        part = inside[k]
        psi[k] = min(max(psi[k], sectors.lows[part]), sectors.highs[part])
        inside[k] = -1
    kept &= (inside >= 0) | sectors.active(psi)
    return merged(Atoms(psi, a, inside, linear).kept(kept), sectors)


def _stopped(atoms: Atoms, unknowns: Step, step: Array, sectors: Sectors) -> Atoms:
    """What is left of the units when the first one leaves on the way along a step."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        psi, a, _ = unknowns.moved(atoms, step, middle)
        low, high = (low, middle) if _outside(atoms, psi, a, sectors).any() else (middle, high)
    psi, a, linear = unknowns.moved(atoms, step, high)
    return _held(atoms, psi, a, linear, _outside(atoms, psi, a, sectors), sectors)
