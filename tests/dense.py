r"""Expectations over (W, B) by brute force, for comparison: no breakpoints, no curvature densities, no splines.

E[F(W, B)] for F that is smooth between the lines b = -wx, x in a list: independent laws through their quantile functions
(which turn singular densities into smooth integrands), joint densities in polar coordinates (where those lines are rays).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import splinebias as sb


def tanh_sinh(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, 1); nodes keep their relative accuracy near 0."""
    t = np.arange(-4.1, 3.4 + step / 2, step)
    half = np.pi * np.sinh(t)
    nodes = 1 / (1 + np.exp(-half))
    return nodes, step * np.pi * np.cosh(t) * nodes / (1 + np.exp(half))


def law_nodes(law, cuts, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights with E[h(V)] = sum, for h smooth between `cuts`; through the quantile function from both ends."""
    if isinstance(law, sb.Discrete):
        return np.array(law.values), np.array(law.probabilities)
    unit, unit_weights = tanh_sinh(step)
    values, weights = [], []
    for tail, quantile in ((law.cdf, law.ppf), (law.sf, law.isf)):
        ends = np.unique(np.r_[0.0, np.clip(tail(np.asarray(cuts, dtype=float)), 0, 0.5), 0.5])
        for lo, hi in pairwise(ends):
            if hi > lo:
                values.append(quantile(lo + (hi - lo) * unit))
                weights.append((hi - lo) * unit_weights)
    v, p = np.concatenate(values), np.concatenate(weights)
    return v[np.isfinite(v)], p[np.isfinite(v)]


def independent_nodes(weight, bias, x, step: float = 0.12, kinks=()) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(w, b, probability) of a product rule for F smooth between the lines b = -wx; `kinks` are those of the bias law."""
    x = np.asarray(x, dtype=float)
    ends = [] if isinstance(bias, sb.Discrete) else [e for e in bias.support() if np.isfinite(e)]
    ends = list(bias.values) if isinstance(bias, sb.Discrete) else ends
    w_cuts = [0.0, *(-e / xi for e in ends for xi in x if xi != 0)]
    rows = []
    for w, p in zip(*law_nodes(weight, w_cuts, step), strict=True):
        b, q = law_nodes(bias, [*(-w * x), *kinks], step)
        rows.append((np.full(b.shape, w), b, p * q))
    w, b, p = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return w, b, p


def joint_nodes(density, x, radii, order: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(w, b, probability) for a density of points (..., 2): between the rays in angle, on pieces between `radii`."""
    unit, unit_weights = tanh_sinh(0.12)
    turn = np.arctan(-np.asarray(x, dtype=float))
    angles = np.unique(np.concatenate([turn, turn + np.pi, [np.pi / 2, 3 * np.pi / 2]]))
    angles = np.r_[angles, angles[0] + 2 * np.pi]
    theta = (angles[:-1, None] + np.diff(angles)[:, None] * unit).ravel()
    dtheta = (np.diff(angles)[:, None] * unit_weights).ravel()
    gauss, gauss_weights = np.polynomial.legendre.leggauss(order)
    widths = np.diff(radii)[1:, None]
    r = np.r_[radii[1] * unit, (radii[1:-1, None] + widths * (gauss + 1) / 2).ravel()]
    dr = np.r_[radii[1] * unit_weights, (widths * gauss_weights / 2).ravel()]
    w, b = np.outer(np.cos(theta), r), np.outer(np.sin(theta), r)
    p = density(np.stack([w, b], axis=-1)) * np.outer(dtheta, dr * r)
    return w.ravel(), b.ravel(), p.ravel()


def dual_zeros(problem, multipliers) -> list[float]:
    """Where sum_i lambda_i sigma(+-(x_i - c)), piecewise linear in c, vanishes: alpha is hardly smooth there."""
    x, found = problem.data.x, []
    c = np.r_[x[0] - 1e9 * (x[-1] - x[0]), x, x[-1] + 1e9 * (x[-1] - x[0])]
    for side in (1, -1):
        g = multipliers @ problem.activation.value(side * (x[:, None] - c))
        cross = np.flatnonzero(g[:-1] * g[1:] < 0)
        found += list(c[cross] + (c[cross + 1] - c[cross]) * g[cross] / (g[cross] - g[cross + 1]))
    return found


def assert_mean_over_neurons(problem, nodes_at, query, tolerance: float) -> None:
    r"""The prediction is E[alpha sigma(wx + b)], phi'(alpha) = sum_i lambda_i sigma(w x_i + b), and goes through the data.

    For the quadratic potential also against f = K(., X) K(X, X)^-1 y. `nodes_at` gives (w, b, probability) for F smooth
    between the lines b = -wx of given x.
    """
    prediction = sb.predict(problem)
    assert prediction.outcome is sb.Outcome.CONVERGED
    assert prediction.residual <= 1e-10
    data, act = problem.data, problem.activation
    w, b, p = nodes_at(
        np.unique([*data.x, *query, *(dual_zeros(problem, prediction.multipliers) if problem.scaled else [])])
    )
    at_data = np.array([act.value(w * x + b) for x in data.x])
    at_query = np.array([act.value(w * x + b) for x in query])
    size = np.abs(prediction.function(query)).max() + np.abs(data.y).max()
    alpha = problem.limit_potential.grad_inverse(prediction.multipliers @ at_data)
    if not problem.scaled:  # what the sums over i, of terms that may cancel, cannot know
        terms = (np.abs(at_data) * p) @ (np.abs(prediction.multipliers) @ np.abs(at_data))
        tolerance += 1e-15 * float(terms.max()) / size
    np.testing.assert_allclose((at_data * p) @ alpha, data.y, rtol=0, atol=tolerance * size)
    np.testing.assert_allclose((at_query * p) @ alpha, prediction.function(query), rtol=0, atol=tolerance * size)
    if not problem.scaled:
        kernel = (at_data * p) @ at_data.T
        limit = (at_query * p) @ at_data.T @ np.linalg.solve(kernel, data.y)
        loss = 1e-13 * np.linalg.cond(kernel)  # what the dense solve cannot know
        np.testing.assert_allclose(prediction.function(query), limit, rtol=0, atol=(tolerance + loss) * size)
