r"""Units of a linear spline with penalized biases, and Newton's method on them.

Inside a sector a unit is the vector :math:`p = a(\cos\psi, \sin\psi)`, linear in what it does at the data, at the cost
:math:`|p|`; at an edge it is a number. So for given sectors the problem is smooth and convex as long as no p vanishes:

.. math:: \nabla |p_k| = B_k^T \lambda, \qquad B v + s D \lambda = y, \qquad D_{ii} = S/m_i,

with the unpenalized part among the v; s = 0 interpolates.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from splinebias._array import Array
from splinebias.regimes.least_norm.sectors import Indices, Sectors


@dataclass(frozen=True, eq=False)
class Atoms:
    """Units: angles, output weights, and the sectors they may move in.

    Attributes
    ----------
    psi, a : Array, shape (K,)
        Angles and output weights.
    sectors : Array of int, shape (K,)
        Their sectors; -1 at an edge, where they stay.
    linear : Array, shape (L,)
        Coefficients of what costs nothing.
    """

    psi: Array
    a: Array
    sectors: Indices
    linear: Array

    def kept(self, which: NDArray[np.bool_]) -> Atoms:
        """Some of the units."""
        return Atoms(self.psi[which], self.a[which], self.sectors[which], self.linear)

    @property
    def norm(self) -> float:
        """The sum of \\|a\\|."""
        return float(np.abs(self.a).sum())

    def values(self, sectors: Sectors) -> Array:
        """What they make at the data."""
        return np.asarray(sectors.features(self.psi) @ self.a + sectors.linear @ self.linear)


def merged(atoms: Atoms, sectors: Sectors) -> Atoms:
    """Units of one sign that share a closed sector as one: the same at the data, and no more costly."""
    atoms = atoms.kept(atoms.a != 0)
    changed = True
    while changed:
        changed = False
        order = np.argsort(atoms.psi, kind="stable")
        psi, a, inside = atoms.psi[order], atoms.a[order], atoms.sectors[order]
        for k in range(psi.size - 1):
            part = inside[k] if inside[k] >= 0 else inside[k + 1]
            if part < 0:
                part = int(sectors.sector_of(np.array(0.5 * (psi[k] + psi[k + 1]))))
            shared = sectors.lows[part] <= psi[k] and psi[k + 1] <= sectors.highs[part]
            if not shared or a[k] * a[k + 1] <= 0 or (inside[k] >= 0 and inside[k + 1] >= 0 and inside[k] != inside[k + 1]):
                continue
            p = a[k] * np.exp(1j * psi[k]) + a[k + 1] * np.exp(1j * psi[k + 1])
            sign = np.sign(a[k])
            middle = 0.5 * (psi[k] + psi[k + 1])
            angle = middle + np.angle(sign * p * np.exp(-1j * middle))
            atoms = Atoms(
                np.r_[psi[:k], angle, psi[k + 2 :]],
                np.r_[a[:k], sign * abs(p), a[k + 2 :]],
                np.r_[inside[:k], part, inside[k + 2 :]],
                atoms.linear,
            )
            changed = True
            break
    return atoms


@dataclass(frozen=True, eq=False)
class Step:
    """Unknowns v of some atoms: two coordinates for those inside sectors, then one for those at edges, then the linear part.

    Attributes
    ----------
    columns : Array, shape (M, N)
        What each unknown does at the data.
    inside : Array of bool, shape (K,)
        Which atoms have two coordinates.
    """

    columns: Array
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, atoms: Atoms, sectors: Sectors) -> Step:
        """The columns of what moves in `atoms`: two for each inside a sector, one for any other, then the linear part."""
        inside = atoms.sectors >= 0
        plane = sectors.plane(atoms.sectors[inside]).reshape(sectors.x.size, -1)
        return cls(np.concatenate([plane, sectors.features(atoms.psi[~inside]), sectors.linear], axis=1), inside)

    def gradient(self, atoms: Atoms) -> Array:
        """The gradient of the norm of `atoms` by the columns, shape (U,)."""
        psi, sign = atoms.psi[self.inside], np.sign(atoms.a)
        units = np.stack([np.cos(psi), np.sin(psi)], axis=1) * sign[self.inside, None]
        return np.concatenate([units.ravel(), sign[~self.inside], np.zeros(atoms.linear.size)])

    def hessian(self, atoms: Atoms) -> Array:
        """The second derivative of the norm of `atoms` by the columns, shape (U, U)."""
        psi, size = atoms.psi[self.inside], np.abs(atoms.a[self.inside])
        found = np.zeros((self.columns.shape[1],) * 2)
        across = np.stack([-np.sin(psi), np.cos(psi)], axis=1)
        for k, (row, length) in enumerate(zip(across, size, strict=True)):
            found[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = np.outer(row, row) / length
        return found

    def moved(self, atoms: Atoms, step: Array, share: float) -> tuple[Array, Array, Array]:
        """Angles, output weights and linear part after a share of a step."""
        count = 2 * int(self.inside.sum())
        psi, a = atoms.psi.copy(), atoms.a.copy()
        sign = np.sign(a[self.inside])
        along = step[:count].reshape(-1, 2) @ np.array([1, 1j])
        turned = np.abs(a[self.inside]) + share * sign * along * np.exp(-1j * psi[self.inside])
        psi[self.inside] += np.angle(turned)
        a[self.inside] = sign * np.abs(turned)
        stop = count + int((~self.inside).sum())
        a[~self.inside] += share * step[count:stop]
        return psi, a, atoms.linear + share * step[stop:]


def newton_step(atoms: Atoms, sectors: Sectors, s: float, multipliers: Array) -> tuple[Step, Array, Array]:
    """One step for fixed sectors, and the multipliers (times 1, not s) after it."""
    unknowns = Step.of(atoms, sectors)
    b = unknowns.columns
    h, g = unknowns.hessian(atoms), unknowns.gradient(atoms)
    left = sectors.y - atoms.values(sectors)
    if s and b.shape[0] > 2 * b.shape[1] + 50:  # many data: eliminate the multipliers
        weight = 1 / sectors.d
        system = s * h + b.T @ (weight[:, None] * b)
        step = _solve(system, b.T @ (weight * left) - s * g)
        return unknowns, step, (left - b @ step) / (s * sectors.d)
    size = b.shape[1]
    system = np.block([[h, -b.T], [b, s * np.diag(sectors.d)]])
    found = _solve(system, np.r_[-g, left])
    return unknowns, found[:size], found[size:]


def _solve(system: Array, right: Array) -> Array:
    """The solution, of least size where there are many."""
    if not right.size:
        return right
    scale = 1 / np.sqrt(np.maximum(np.abs(system).max(axis=1), np.finfo(float).tiny))
    scaled, target = scale[:, None] * system * scale, scale * right
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # singular: the residual tells
            factors = lu_factor(scaled)
            found = lu_solve(factors, target)
            if np.isfinite(found).all():
                found = found + lu_solve(factors, target - scaled @ found)  # the digits that a small s takes
        if np.isfinite(found).all() and np.abs(scaled @ found - target).max() <= 1e-8 * np.abs(target).max():
            return np.asarray(scale * found)
    except (np.linalg.LinAlgError, ValueError):
        pass  # no factors: as where they do not solve it
    return np.asarray(scale * np.linalg.lstsq(scaled, target, rcond=1e-13)[0])
