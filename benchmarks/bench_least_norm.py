"""Least norm and weight decay, beside splineops (where it is installed) and convex programs."""

from __future__ import annotations

import time
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from tests.regimes.twins import free_biases, penalized_biases

PEER = "splineops.adaptive_regression_splines.sparsification"


def noise(size):
    """A sine with noise at random points."""
    rng = np.random.default_rng(size)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, np.sin(6 * x) + 0.3 * rng.normal(size=size))


def convex(size):
    """One convex run."""
    x = np.linspace(-1, 1, size)
    return sb.Dataset(x, np.exp(x))


def peer(data):
    """Sparsest interpolants by splineops, or None if that is not installed."""
    if find_spec("splineops") is None:
        return None
    sparsest = import_module(PEER).sparsest_interpolant
    return lambda: sparsest(data.x, data.y)


def cases(*, full):
    """Name, ours, the other way or None, and what that is."""
    many, few, long = noise(100_000 if full else 10_000), noise(8), convex(1000 if full else 100)
    path = noise(200 if full else 50)
    strengths = np.geomspace(1e-5, 1, 100) * sb.largest_strength(path)
    big = noise(1_000_000 if full else 10_000)
    s, top = 1e-2 * sb.largest_strength(few), sb.largest_strength(big)
    middle = noise(10_000)
    lower = 1e-3 * sb.largest_strength(middle)
    return [
        (f"through {many.size:,} points, biases free", lambda: sb.minimum_norm(many), peer(many), "splineops"),
        (f"through {long.size:,} points of a convex run, biases penalized", lambda: pen(long), None, ""),
        ("through 20 points of a convex run, biases penalized", lambda: pen(convex(20)), None, ""),
        (f"through {many.size:,} points, biases penalized", lambda: pen(many), None, ""),
        (
            "through 8 points, penalized, no skip connection",
            lambda: pen(few, affine="network", output_bias=False),
            lambda: penalized_biases(few, "network", False),
            "cvxpy, cones",
        ),
        (
            "weight decay, 8 points, biases free",
            lambda: sb.minimum_norm(few, strength=s),
            lambda: free_biases(few, "free", s),
            "cvxpy, grid",
        ),
        (
            "weight decay, 8 points, biases penalized",
            lambda: pen(few, strength=s),
            lambda: penalized_biases(few, "free", True, s),
            "cvxpy, cones",
        ),
        (f"weight decay, 100 strengths, {path.size} points", lambda: sb.weight_decay_path(path).fitted(strengths), None, ""),
        ("weight decay, 10,000 points, .001 of the largest", lambda: sb.minimum_norm(middle, strength=lower), None, ""),
        (
            f"weight decay, {big.size:,} points, .01 of the largest",
            lambda: sb.minimum_norm(big, strength=1e-2 * top),
            None,
            "",
        ),
        (f"weight decay, {big.size:,} points, .0001 of it", lambda: sb.minimum_norm(big, strength=1e-4 * top), None, ""),
        (
            "weight decay, 10,000 points, biases penalized, no skip connection",
            lambda: pen(middle, affine="network", strength=0.01),
            None,
            "",
        ),
    ]


def pen(data, **kind):
    """The minimizer with penalized biases."""
    return sb.minimum_norm(data, penalize_bias=True, **kind)


@pytest.mark.parametrize("name", ["free", "penalized"])
def bench_hundred_thousand_points(benchmark, name):
    data = noise(100_000)
    found = benchmark.pedantic(sb.minimum_norm, (data,), {"penalize_bias": name == "penalized"}, rounds=3)
    assert found.outcome.ok


def tabulate(*, full):
    """Every case beside the other way, if there is one."""
    rows = []
    for name, ours, other, what in cases(full=full):
        seconds = paired(3 if full else 1, *([ours] if other is None else [ours, other]), clock=time.process_time)
        middle = np.median(seconds, axis=0)
        beside = ["-", "-"] if other is None else [f"{duration(middle[1])} ({what})", times(ratio(seconds, 1))]
        rows.append([name, duration(middle[0]), *beside])
    return table(["case", "here", "the other way", "ratio"], rows)
