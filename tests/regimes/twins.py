"""Convex programs for least norm and weight decay, on sectors without a grid or on a fine grid: the independent check."""

from __future__ import annotations

import cvxpy as cp
import numpy as np


def _affine(x, affine, constant):
    """What costs nothing, as columns."""
    if affine == "free":
        return np.stack([np.ones_like(x), x], axis=1)
    return np.ones((x.size, 1)) if constant else np.zeros((x.size, 0))


def _solve(cost, fit, cones, data, strength):
    """The optimal value: norm through the data, or loss plus strength times norm."""
    if strength:
        m = data.weights
        loss = cp.sum(cp.multiply(m, cp.square(fit - data.y))) / (2 * m.sum())
        problem = cp.Problem(cp.Minimize(loss + strength * cost), cones)
    else:
        problem = cp.Problem(cp.Minimize(cost), [*cones, fit == data.y])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert problem.status == "optimal"
    return problem.value


def free_biases(data, affine, strength=0.0):
    """Units of both orientations at a fine grid that holds the data, and a constant."""
    x = data.x
    wide = x[-1] - x[0]
    c = np.union1d(x, np.linspace(x[0] - wide, x[-1] + wide, 200))
    right, left = cp.Variable(c.size), cp.Variable(c.size)
    free = cp.Variable(2 if affine == "free" else 1)
    units = np.maximum(x[:, None] - c, 0) @ right + np.maximum(c - x[:, None], 0) @ left
    return _solve(cp.norm1(right) + cp.norm1(left), units + _affine(x, affine, constant=True) @ free, [], data, strength)


def penalized_biases(data, affine, output_bias, strength=0.0):
    """Second-order cones: what the units of a sector make is linear in the sum of a (w, b), and costs its length."""
    x = data.x
    cost, fit, cones = 0.0, np.zeros(x.size), []
    for orientation in (1, -1):
        for k in range(x.size + 1):  # breakpoints between neighbours k - 1 and k, or beyond the data
            active = np.arange(x.size) >= k if orientation > 0 else np.arange(x.size) < k
            for sign in (1, -1):
                p = cp.Variable(2)  # (sum of a w, sum of a b), a >= 0
                inner = active[:, None] * np.stack([x, np.ones_like(x)], axis=1) @ p
                idle = (~active)[:, None] * np.stack([x, np.ones_like(x)], axis=1) @ p
                cost = cost + cp.norm(p)
                fit = fit + sign * inner
                cones.extend([inner >= 0, idle <= 0])
    free = _affine(x, affine, output_bias)
    if free.shape[1]:
        fit = fit + free @ cp.Variable(free.shape[1])
    return _solve(cost, fit, cones, data, strength)
