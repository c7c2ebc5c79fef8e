r"""Linear equations :math:`\xi' = -(K_t\, \xi + g_t)`, \xi(0) = 0, for many g at once: \xi at the end as a sum over g.

Radau IIA collocation, of order 2s - 1 with s stages a panel, forgets fast modes on long panels: where K and g have come to
rest, :math:`\xi \to -K^{-1} g` for panels of any length.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

from splinebias._check import Array

STAGES = 8


@lru_cache(maxsize=1)
def radau() -> tuple[Array, Array]:
    r"""Stages c, shape (s,), on a panel (0, 1], and the matrix :math:`a_{ij} = \int_0^{c_i} \ell_j`, shape (s, s)."""
    series = np.zeros(STAGES + 1)
    series[-2:] = -1, 1  # the zeros of P_s - P_(s-1)
    c = (legendre.legroots(series).real + 1) / 2
    c[-1] = 1.0
    power = np.arange(STAGES)
    powers = c[:, None] ** power
    return c, np.asarray(np.linalg.solve(powers.T, (powers * c[:, None] / (power + 1)).T).T, dtype=float)


def propagated(operators: Array, steps: Array) -> Array:
    r"""The :math:`Z_{pi}` with :math:`\xi = -\sum_{pi} Z_{pi}\, g_{pi}` at the end of the last panel.

    Parameters
    ----------
    operators : Array, shape (P, s, M, M)
        K at the stages of each panel, symmetric.
    steps : Array, shape (P,)
        Lengths of the panels.

    Returns
    -------
    Array, shape (P, s, M, M)
    """
    _, a = radau()
    size = operators.shape[-1]
    found, carry = np.zeros_like(operators), np.eye(size)  # carry: the end in terms of the end of this panel
    for panel in range(steps.size - 1, -1, -1):
        scaled = steps[panel] * a
        matrix = np.eye(STAGES * size) + np.einsum("ij,jkl->ikjl", scaled, operators[panel]).reshape((STAGES * size,) * 2)
        last = np.zeros((size, STAGES, size))
        last[:, -1] = carry
        through = np.linalg.solve(matrix.T, last.reshape(size, -1).T).T.reshape(size, STAGES, size)
        found[panel] = np.einsum("kil,ij->jkl", through, scaled)
        carry = through.sum(axis=1)
    return found
