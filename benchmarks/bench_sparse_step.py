"""A step of descent over active neurons, sorted directions, beside a blocked dense step over all of them (large bias)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._timing import duration, paired, ratio, table, times
from splinebias.regimes.large_bias.dense_step import blocked_dense_step
from splinebias.regimes.large_bias.kernel import unit_inputs
from splinebias.regimes.large_bias.sparse_step import BiasNetwork

_RATE = 0.1


def networks(
    width: int, bias: float, points: int
) -> tuple[BiasNetwork, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The network of living neurons, and all neurons of the same law."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, points)
    y = np.sin(3 * x)
    dense = unit_inputs(x), y, rng.choice([-1.0, 1.0], width), rng.standard_normal((width, 2)), np.full(width, bias)
    return BiasNetwork.draw(x, y, bias, width=width, seed=0), dense


def measure(rounds: int, width: int, bias: float, points: int) -> np.ndarray:
    """Seconds of both steps in every round."""
    sparse, dense = networks(width, bias, points)
    return paired(rounds, lambda: sparse.step(_RATE), lambda: blocked_dense_step(*dense, _RATE))


def tabulate(*, full: bool) -> str:
    """Width, B and points; both steps and their ratio."""
    width, rounds = (1_000_000, 9) if full else (100_000, 3)
    rows = []
    for bias, points in ((0.0, 10), (1.0, 10), (2.0, 10), (2.0, 100), (3.0, 10)):
        seconds = measure(rounds, width, bias, points)
        ours, other = np.median(seconds, axis=0)
        rows.append(
            [f"m = {width:,}, B = {bias:g}, M = {points}", duration(ours), duration(other), times(ratio(seconds, 1))]
        )
    return table(["network", "active neurons", "all neurons, in blocks", "times longer"], rows)


@pytest.mark.parametrize("bias", [0.0, 2.0])
def bench_sparse_step(benchmark, bias):
    sparse, _ = networks(1_000_000, bias, 10)
    benchmark(sparse.step, _RATE)


if __name__ == "__main__":
    print(tabulate(full=True))
