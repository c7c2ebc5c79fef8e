"""Divided differences in extended precision, of functions that are polynomials but for a kink: the referee's coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import splinebias as sb
from tests.formulas import sigma
from tests.plane import LONG


class Differences:
    """Divided differences, over k + 2 data at most, of functions that are known at the data and at places.

    Parameters
    ----------
    problem : Problem
        With the M data, and k the degree of the activation.
    x : array, shape (Q,)
        The places.
    unit : float
        Of dual functions, whose powers may be out of range.
    """

    def __init__(self, problem: sb.Problem, x: Any, unit: float = 1.0) -> None:
        self.problem, self.size, self.unit = problem, problem.data.size, LONG(unit)
        self.x0 = LONG(problem.data.x[0])
        self.at = np.r_[problem.data.x, x].astype(LONG) - self.x0
        self.degree = problem.activation.degree
        self.order = min(self.degree + 1, self.size - 1)
        self.matrix = self._of_data(np.eye(self.size, dtype=LONG)).T  # row j: the weights of the data in difference j
        self.free = 2 * problem.free  # differences that lines have
        self.weights = np.array([self._interpolation(x) for x in self.at[self.size :]])
        y = problem.data.y.astype(LONG)
        self.size_of_y = float(np.abs(problem.data.y).max()) or 1.0
        self.y, self.base = (self.matrix @ y).astype(float), (self.weights @ y).astype(float)
        ones = np.ones_like(self.at)[None]
        self.powers = [np.concatenate(self.of(self.at[None] ** j, ones), axis=1)[0] for j in range(self.degree + 1)]
        for j, of_power in enumerate(self.powers):  # what is zero but for rounding
            of_power[max(j + 1 - self.free, 0) : self.size - self.free] = 0.0
            of_power[self.size - self.free :] *= j >= min(self.degree + 1, self.size)
        self.lost = np.abs(self.weights).sum(axis=1).astype(float) + 1  # how much rounding of values counts at places

    def _interpolation(self, x: Any) -> Any:
        """Weights of the data in the polynomial through those next to x that are not next to each other."""
        d = self.at[: self.size]
        near: list[int] = []
        for apart in (0.1, 0.0):  # if there are too few of these, any
            for i in np.argsort(np.abs(d - x)):
                if len(near) < min(self.degree + 1, self.size) and all(
                    abs(d[i] - d[j]) > apart * abs(x - d[i]) for j in near
                ):
                    near.append(int(i))
        weights = np.zeros(self.size, LONG)
        for i in near:
            weights[i] = math.prod((x - d[j]) / (d[i] - d[j]) for j in near if j != i)
        return weights

    def _of_data(self, values: Any) -> Any:
        """Differences of values at the data, shape (N, M): of orders 0, 1, ..., then of the largest order."""
        low, d = [], self.at[: self.size]
        for order in range(1, self.order + 1):
            low.append(values[:, :1])
            values = (values[:, 1:] - values[:, :-1]) / (d[order:] - d[: d.size - order])
        return np.concatenate([*low, values], axis=1)

    def of(self, values: Any, z: Any) -> tuple[Any, Any]:
        """Differences of values at data and places, (N, M + Q): (N, M) of the data, (N, Q) less what nearby data say.

        Those of the largest order are exactly zero where all their z have one sign, so that values are one polynomial.
        """
        positive = z > 0
        data = values[:, : self.size]
        seen, rest = self._of_data(data), values[:, self.size :] - data @ self.weights.T
        for j in range(self.degree + 1, self.size):
            count = positive[:, j - self.order : j + 1].sum(axis=1)
            seen[(count == 0) | (count == self.order + 1), j] = 0
        for q, weights in enumerate(self.weights):
            near = np.r_[np.flatnonzero(weights), self.size + q]
            count = positive[:, near].sum(axis=1)
            rest[((count == 0) | (count == near.size)) & (near.size == self.degree + 2), q] = 0
        return seen[:, self.free :].astype(float), rest.astype(float)

    def of_polynomial(self, w: Any, tau: Any, size: Any) -> Any:
        """Those of size (tau + w x)^k, which every feature is whose kink is not among data and places: nothing cancels."""
        k = self.degree
        terms = [math.comb(k, j) * tau ** (k - j) * w**j for j in range(k + 1)]
        return size[:, None] * (np.stack(terms, axis=1).astype(float) @ np.array(self.powers))

    def dual(self, multipliers: Any) -> Any:
        """Coordinates u with sum_i lambda_i v_i = unit * sum_j u_j (difference j of v)."""
        left, found = np.array(multipliers, LONG), np.zeros(self.size, LONG)
        for j in range(self.size)[::-1]:  # difference j ends at datum j
            found[j] = left[j] / self.matrix[j, j]
            left -= found[j] * self.matrix[j]
        return (found[self.free :] / self.unit).astype(float)

    def misfit(self, missed: Any) -> float:
        """Ten times the largest value at data whose differences these are; a free line has taken two of them."""
        found, differences = np.zeros(self.size, LONG), np.r_[np.zeros(self.free), missed]
        for j in range(self.size):
            found[j] = (differences[j] - self.matrix[j, :j] @ found[:j]) / self.matrix[j, j]
        return 10 * float(np.abs(found).max())

    def zeros(self, dual: Any) -> tuple[Any, Any]:
        """Zeros of sum_i lambda_i sigma(+-(x_i - c)), which is linear between data, less x0."""
        if self.problem.activation.two_slopes is None:
            return np.zeros(0, LONG), np.zeros(0, LONG)
        d = self.at[: self.size]
        c, found = np.r_[d[0] - 1e9 * d[-1], d, 1e9 * d[-1]], []
        for sign in (1, -1):
            z = sign * (self.at - c[:, None])
            g = self.of(sigma(self.problem, z), z)[0].astype(LONG) @ dual.astype(LONG)
            at = np.flatnonzero(g[:-1] * g[1:] < 0)
            found.append(c[at] + (c[at + 1] - c[at]) * g[at] / (g[at] - g[at + 1]))
        return found[0], found[1]
