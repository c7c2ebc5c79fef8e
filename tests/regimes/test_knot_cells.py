"""Cells between candidate knots: what is summed up there, and the best choice among the candidates."""

import numpy as np
import pytest

from splinebias.regimes.least_norm.kinked_fit import Fit
from splinebias.regimes.least_norm.knot_cells import choose, dropped, spline


def noisy(size, seed):
    """A weighted sine with noise."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size))
    return Fit(x, np.sin(6 * x) + 0.3 * rng.normal(size=size), rng.integers(1, 4, size).astype(float))


def certificate(fit, knots, values):
    """G at the data of the spline with these values at the ends and the knots, by its definition."""
    nodes = fit.x[np.r_[0, knots, -1]]
    pull = fit.m * (fit.rest - np.interp(fit.x, nodes, values)) / fit.total
    return np.maximum(fit.x[:, None] - fit.x, 0).T @ pull


def test_cells_of_fewer_knots_are_sums_of_cells():
    fit = noisy(200, 0)
    candidates = np.arange(3, 197, 4)
    kept = np.array([2, 3, 11, 30, 40])
    cells, direct = fit.cells(candidates), fit.cells(candidates[kept])
    sums = cells.kept(kept + 1)
    np.testing.assert_array_equal(sums.nodes, direct.nodes)
    for name in ("left", "both", "right", "pulls"):
        np.testing.assert_allclose(getattr(sums, name), getattr(direct, name), rtol=1e-12, atol=1e-12)
    values = direct.values(np.ones(5)) @ (1.0, 1e-3)
    jumps = direct.jumps(values)
    first = float(values[0]), float((values[1] - values[0]) / (direct.nodes[1] - direct.nodes[0]))
    np.testing.assert_allclose(spline(direct.nodes, first, jumps), values, atol=1e-12)
    np.testing.assert_allclose(direct.dual(values), certificate(fit, candidates[kept], values)[candidates[kept]], atol=1e-13)
    np.testing.assert_allclose(direct.dual(values), 1e-3, atol=1e-13)


@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("step", [1, 3])
def test_repeated_choices_end_at_the_best_of_the_candidates(share, step):
    """All data as candidates, or every third, with signs at random at first, offered again until none is wanted."""
    for seed in range(8):
        fit = noisy(120, seed)
        candidates = np.arange(1, 119, step)
        s = share * np.abs(fit.dual(np.zeros(120))).max()
        rng = np.random.default_rng(seed)
        cells, signs = fit.cells(candidates), rng.choice([-1.0, 1.0], candidates.size)
        jumps, line, before = np.zeros(candidates.size), (0.0, 0.0), np.inf
        for _ in range(60):
            value = cells.objective(spline(cells.nodes, line, jumps), jumps, s)
            assert value <= before + 1e-12 * (1 + abs(value))
            found = choose(cells, signs, jumps, line, s, 0.0)
            before, knots = value, candidates[found.numbers]
            g = certificate(fit, knots, found.values)
            excess = np.abs(g[candidates]) - s
            jumps, sub = np.zeros(candidates.size), cells.kept(found.numbers + 1)
            jumps[found.numbers] = sub.jumps(found.values)
            assert np.all(jumps[found.numbers] * found.signs > 0)
            np.testing.assert_allclose(g[knots], s * found.signs, atol=1e-12)
            if excess.max() <= 1e-11:
                break
            line = float(found.values[0]), float(np.diff(found.values)[0] / np.diff(sub.nodes)[0])
            signs = np.where(jumps != 0, np.sign(jumps), np.sign(g[candidates]))
        assert excess.max() <= 1e-11


def test_dropping_all_wrong_knots_at_once_may_raise_the_objective():
    """So that the way down is needed: from a minimizer, offered neighbours of its knots, boldness ends elsewhere."""
    worse = 0
    for seed in range(10):
        fit = noisy(300, seed)
        s = 0.02 * np.abs(fit.dual(np.zeros(300))).max()
        best = fit.solve(s)[0]
        candidates = np.unique(np.r_[best.knots, best.knots + 1, best.knots - 1])
        candidates = candidates[(candidates > 0) & (candidates < 299)]
        cells, jumps, signs = fit.cells(candidates), np.zeros(candidates.size), np.sign(best.dual[candidates])
        jumps[np.searchsorted(candidates, best.knots)] = best.jumps
        line = float(best.fitted[0]), float((best.fitted[1] - best.fitted[0]) / (fit.x[1] - fit.x[0]))
        value = cells.objective(spline(cells.nodes, line, jumps), jumps, s)
        bold, found = dropped(cells, signs, s), choose(cells, signs, jumps, line, s, 0.0)
        objectives = []
        for one in (bold, found):
            sub = cells.kept(one.numbers + 1)
            objectives.append(sub.objective(one.values, sub.jumps(one.values), s))
        worse += objectives[0] > value + 1e-6 * abs(value)
        assert objectives[1] == pytest.approx(value, rel=1e-12)
        np.testing.assert_array_equal(candidates[found.numbers], best.knots)
    assert worse
