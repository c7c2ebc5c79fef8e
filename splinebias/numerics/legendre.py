"""Gauss-Legendre rules and the ways between values at their nodes, Legendre series and monomials."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from splinebias._array import Array


@lru_cache(maxsize=32)
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights of the Gauss-Legendre rule with `order` nodes on (0, 1)."""
    nodes, weights = legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


@lru_cache(maxsize=32)
def _to_legendre(order: int) -> Array:
    """Matrix from values at the Gauss nodes to Legendre coefficients (the discrete transform, exact for degree < order)."""
    nodes, weights = legendre.leggauss(order)
    return (np.arange(order)[:, None] + 0.5) * legendre.legvander(nodes, order - 1).T * weights


@lru_cache(maxsize=32)
def _shifted_legendre(order: int) -> Array:
    """Column k: monomial coefficients (lowest first) of the shifted Legendre polynomial P_k(2t - 1); exact integers."""
    powers = range(order)
    return np.array([[(-1.0) ** (k + j) * math.comb(k, j) * math.comb(k + j, j) for k in powers] for j in powers])


def legendre_coefficients(values: Array) -> Array:
    """Legendre coefficients on each cell of a function given at its Gauss nodes; shape (N, q) to (N, q)."""
    return np.asarray(values @ _to_legendre(values.shape[-1]).T)


@lru_cache(maxsize=32)
def _integration(size: int) -> Array:
    """Matrix from a Legendre series of `size` terms in 2t - 1 to that of its integral over t from 0."""
    return np.asarray(legendre.legint(np.eye(size), lbnd=-1, axis=0) / 2)


def legendre_integral(series: Array) -> Array:
    """The integral over t from 0 of Legendre series in 2t - 1, shape (n, N) to (n + 1, N)."""
    return np.asarray(_integration(series.shape[0]) @ series)


@lru_cache(maxsize=32)
def _from_legendre(size: int, order: int) -> Array:
    """Matrix from a Legendre series of `size` terms to values at `order` Gauss nodes."""
    return np.asarray(legendre.legvander(legendre.leggauss(order)[0], size - 1))


def legendre_values(series: Array, order: int) -> Array:
    """Legendre series, shape (n, N), at the Gauss nodes of a rule of `order` nodes, shape (N, order)."""
    return np.asarray((_from_legendre(series.shape[0], order) @ series).T)


def legendre_to_monomial(values: Array, widths: Array) -> Array:
    """Monomial coefficients in (c - left end), highest power first, shape (q, N), from values at Gauss nodes (N, q).

    The way through Legendre coefficients with rounding noise removed keeps the ill-conditioned monomial basis harmless.
    """
    series = _to_legendre(values.shape[1]) @ values.T  # (q, N): one coefficient of all cells after the other
    size = np.abs(series)
    series[size <= 4e-16 * size.max(axis=0)] = 0.0
    local = _shifted_legendre(series.shape[0])[::-1] @ series  # powers of t = (c - left)/width, highest first
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        rate = 1 / widths
        for k in range(series.shape[0] - 1):
            local[: series.shape[0] - 1 - k] *= rate
    if not np.isfinite(local).all():
        local[~np.isfinite(local)] = 0.0
    return np.asarray(local)
