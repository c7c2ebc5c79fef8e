r"""How far apart two functions of several inputs are on a box: seeded points, then ascent from the farthest of them.

There are no knots to search between: the sup is a lower bound, and how fast the search found it is all that is known of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._arguments import known_keywords, whole_number
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import DataError
from splinebias.functions.several_inputs import values_at

_STARTS, _ROUNDS = 16, 200  # of the ascent
_SHOWN = 6  # coordinates of a point
_REPLICATES = 8  # samples whose integrals are averaged


@dataclass(frozen=True)
class BoxComparison(Drawn):
    r"""The distance between two functions on a box of d inputs.

    Attributes
    ----------
    sup : float
        The largest :math:`|f - g|` that was found, in units of y: a lower bound of the maximum.
    l2 : float
        :math:`(\int (f - g)^2 dx)^{1/2}`, not divided by the volume of the box.
    l2_error : float
        Standard error of `l2`, from eight independent samples.
    argmax : Array, shape (d,)
        Where `sup` was found.
    box : Array, shape (d, 2)
        Smallest and largest value of every input.
    functions : tuple of callable, optional
        The f and g, for the picture.
    """

    sup: float
    l2: float
    l2_error: float
    argmax: Array
    box: Array
    functions: tuple[Any, Any] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"functions": None}  # most functions of one's own cannot be sent to other processes

    def __repr__(self) -> str:
        at = ", ".join(f"{value:.4g}" for value in self.argmax[:_SHOWN]) + (", ..." if len(self.argmax) > _SHOWN else "")
        return (
            f"BoxComparison(sup {self.sup:.4g} at ({at}), l2 {self.l2:.4g} +- {self.l2_error:.1g}, {len(self.box)} inputs)"
        )


@known_keywords
def compare_on_box(f: Any, g: Any, box: Any, *, draws: int = 2**13, seed: int = 0) -> BoxComparison:
    r"""Measure :math:`f - g` on a box: `compare` of several inputs.

    Parameters
    ----------
    f, g : callable
        Vectorized functions of points (..., d), with values of shape (...).
    box : array_like, shape (d, 2)
        Smallest and largest value of every input, as ``problem.default_box``.
    draws, seed : int
        Scrambled Sobol points, rounded up to eight powers of two, and the seed of their randomness.

    Returns
    -------
    BoxComparison

    Raises
    ------
    DataError
        If `box` is no such array, an argument is not callable, or a value is not finite.

    Notes
    -----
    From the 16 points farthest apart, along the inputs and along random directions, by steps that grow where they lead up
    and halve where none does, down to 1e-10 of the box: kinks do not disturb that. *Not checked:* that the largest of the
    maxima which were found is the largest there is.
    """
    from scipy.stats import qmc

    box, draws, seed = checked_box(box), whole_number(draws, "draws", at_least=1), whole_number(seed, "seed")
    for name, function in (("f", f), ("g", g)):
        if not callable(function):
            raise DataError(f"`{name}` must be callable, got {function!r}; pass e.g. prediction.function")

    def difference(x: Array) -> Array:
        return values_at(f, x, "f") - values_at(g, x, "g")

    low, width = box[:, 0], box[:, 1] - box[:, 0]
    power = max(2, math.ceil(math.log2(draws / _REPLICATES)))
    samples = [
        low + width * qmc.Sobol(len(box), rng=np.random.default_rng([seed, k])).random_base2(power)
        for k in range(_REPLICATES)
    ]
    values = np.stack([difference(x) for x in samples])
    squares = float(width.prod()) * (values**2).mean(axis=1)
    square, spread = float(squares.mean()), float(squares.std(ddof=1)) / math.sqrt(_REPLICATES)
    points, sizes = np.concatenate(samples), np.abs(values).ravel()
    best, argmax = _ascended(difference, points[np.argsort(-sizes)[:_STARTS]], box, np.random.default_rng(seed))
    l2 = math.sqrt(square)
    return BoxComparison(best, l2, spread / (2 * l2) if l2 else 0.0, argmax, box, (f, g))


Place = tuple[float, float] | tuple[tuple[float, float], ...]
"""Where functions are compared: an interval, or of several inputs a box, a pair (low, high) for every input."""


def checked_place(value: Any) -> Place:
    """`value` as an interval (low, high) of one input, or as a box, or a DataError."""
    try:
        depth = np.ndim(value)
    except ValueError:  # rows of different lengths, to be refused
        depth = 1
    return tuple((low, high) for low, high in checked_box(value).tolist()) if depth == 2 else check_interval(value)


def place_text(place: Place) -> str:
    """An interval or a box in words."""
    ends = np.reshape(np.asarray(place, dtype=float), (-1, 2)).tolist()
    return " x ".join(f"[{low:g}, {high:g}]" for low, high in ends)


def checked_box(box: Any) -> Array:
    """`box` as an array of shape (d, 2) with low < high in every row, or a DataError."""
    try:
        ends = np.asarray(box, dtype=float)
    except (TypeError, ValueError):
        ends = np.zeros(0)
    if ends.ndim != 2 or ends.shape[1:] != (2,) or not np.isfinite(ends).all() or not (ends[:, 0] < ends[:, 1]).all():
        raise DataError(f"`box` must have a row (low, high), low < high, for every input, got {box!r}")
    return ends


def _ascended(difference: Any, x: Array, box: Array, rng: np.random.Generator) -> tuple[float, Array]:
    """The largest |difference| that pattern searches from points (P, d) find, and where."""
    low, high = box.T
    step = np.full(len(x), 0.05)
    value = np.abs(difference(x))
    for _ in range(_ROUNDS):
        turned = np.linalg.qr(rng.standard_normal((len(box), len(box))))[0]
        directions = np.concatenate([np.eye(len(box)), turned])
        moves = np.concatenate([directions, -directions]) * (high - low)
        tried = np.clip(x[:, None] + step[:, None, None] * moves, low, high)
        found = np.abs(difference(tried))
        k = found.argmax(axis=1)
        at = np.arange(len(x))
        better = found[at, k] > value
        x, value = np.where(better[:, None], tried[at, k], x), np.where(better, found[at, k], value)
        step = np.where(better, step * 1.5, step / 2)
        if (step < 1e-10).all():
            break
    best = int(value.argmax())
    return float(value[best]), x[best]
