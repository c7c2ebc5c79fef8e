r"""How wide networks with large biases have to be to follow their kernel: measured, bias by bias."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, listed, real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import DataError
from splinebias.regimes.large_bias.descent import large_bias
from splinebias.regimes.large_bias.kernel import bias_generalized_kernel


@dataclass(frozen=True, eq=False)
class LargeBiasWidths(Drawn):
    r"""Measured widths at which networks stay within a distance of their kernel, see `large_bias_widths`.

    Attributes
    ----------
    biases : Array, shape (k,)
        The B, in the order in which they were given.
    distance : float
        The stated distance: largest \|r - predicted r\| during a run over \|r_0\|.
    widths : Array, shape (k,)
        Smallest m at which the mean distance over seeds is that, between two tried widths by a power law; infinite where no
        tried width is enough.
    tried : dict of float to dict of int to tuple of float
        Distances of all seeds at every width tried, for each B.
    active_fractions, smallest : Array, shape (k,)
        :math:`\Phi(-B)` and the least eigenvalue of H.
    """

    biases: Array
    distance: float
    widths: Array
    tried: dict[float, dict[int, tuple[float, ...]]]
    active_fractions: Array
    smallest: Array

    @property
    def effective_widths(self) -> Array:
        r""":math:`m \Phi(-B)`: the number of neurons that are active on a point at these widths."""
        return self.widths * self.active_fractions

    @property
    def scaled_widths(self) -> Array:
        r""":math:`m \lambda_{\min}^2`, constant where what matters is how far neurons move.

        They move by :math:`|H^{-1} r_0|/\sqrt m` at most, one way for :math:`m \propto \lambda_{\min}^{-2} \propto e^{B^2}`,
        a heuristic derived here. On eight points, within a tenth, it was 5.3, 14.8, 17.1 and 16.9 at B = 0, 1, 1.5 and 2.
        """
        return self.widths * self.smallest**2

    def __repr__(self) -> str:
        return f"LargeBiasWidths({self})"

    def __str__(self) -> str:
        rows = ", ".join(f"{m:.3g} at B = {b:g}" for b, m in zip(self.biases, self.widths, strict=True))
        return f"widths within {self.distance:g} of the kernel: {rows}"

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for every bias: width, effective width, least eigenvalue, scaled width."""
        columns = {"bias": self.biases, "width": self.widths, "effective_width": self.effective_widths}
        return frame_of(columns | {"smallest": self.smallest, "scaled_width": self.scaled_widths})


@known_keywords
def large_bias_widths(
    x: Any,
    y: Any,
    biases: Any,
    *,
    distance: float = 0.1,
    seeds: Iterable[int] = (0, 1, 2),
    largest: int = 1 << 21,
) -> LargeBiasWidths:
    r"""Measure the smallest width at which the residual of networks stays within a distance of :math:`e^{-Ht/M} r_0`.

    Widths are doubled from :math:`64/\Phi(-B)` on until the mean distance over the seeds is small enough.

    Parameters
    ----------
    x, y
        As in `large_bias`.
    biases : array_like, shape (k,)
        The B.
    distance : float
        Largest distance during a run (five e-folds of the slowest mode) over :math:`|r_0|`, between 0 and 1.
    seeds : iterable of int
        Networks at each width.
    largest : int
        Width beyond which none is tried.

    Raises
    ------
    DataError
        As `large_bias`; for a distance outside (0, 1); for no seeds.

    Notes
    -----
    A search over trained networks, not a prediction. Theorems give widths that are enough, not those that are needed.
    """
    levels, goal = real_vector(listed(biases), "biases"), real_number(distance, "distance", above=0)
    networks, most = tuple(whole_number(seed, "seeds") for seed in seeds), whole_number(largest, "largest", at_least=1)
    if goal >= 1 or not networks:
        raise DataError(f"`distance` must be below 1 and `seeds` hold at least one, got {goal:g} and {networks}")
    kernels = [bias_generalized_kernel(x, level) for level in levels]
    tried: dict[float, dict[int, tuple[float, ...]]] = {}
    for kernel in kernels:
        found = tried[kernel.bias] = {}
        width = math.ceil(64 / kernel.active_fraction)
        while width <= most:
            found[width] = tuple(large_bias(x, y, kernel.bias, width=width, seed=seed).distance for seed in networks)
            if np.mean(found[width]) <= goal:
                break
            width *= 2
    widths = np.array([_crossing_width(found, goal) for found in tried.values()])
    return LargeBiasWidths(
        levels,
        goal,
        widths[[list(tried).index(level) for level in levels.tolist()]],
        tried,
        np.array([kernel.active_fraction for kernel in kernels]),
        np.array([kernel.smallest for kernel in kernels]),
    )


def _crossing_width(found: dict[int, tuple[float, ...]], goal: float) -> float:
    """Where the power law between the last two tried widths meets the goal; the first width itself if it is enough."""
    sizes, means = list(found), [float(np.mean(one)) for one in found.values()]
    if not means or means[-1] > goal:
        return math.inf
    if len(means) == 1:
        return float(sizes[0])
    share = math.log(means[-2] / goal) / math.log(means[-2] / means[-1])
    return float(sizes[-2] * (sizes[-1] / sizes[-2]) ** share)
