"""Numbers that a prediction has and that its multipliers give, and where it is looked at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

_GAPS = 4  # between data that are looked at closely
EPS = 2.3e-16


class Functionals(NamedTuple):
    """Numbers that the function has and that the multipliers give.

    Attributes
    ----------
    said, integral : Array, shape (F,)
        According to the function, and to the multipliers.
    bound : Array, shape (F,)
        On the error of `integral`.
    scale : Array, shape (F,)
        The size relative to which it counts, if larger than max |y|.
    """

    said: Array
    integral: Array
    bound: Array
    scale: Array


def looked_at(x: Array, count: int = _GAPS) -> NDArray[np.intp]:
    """The gaps between data that are looked at: of more than a few the widest, the narrowest, and some others.

    These are the outermost and those between `count` equal parts; none for 0, where every breakpoint is costly.
    """
    gaps = x[1:] - x[:-1]
    some = [0, gaps.size - 1, *(k * gaps.size // count for k in range(1, count))] if count else []
    return np.array(sorted({int(gaps.argmax()), int(gaps.argmin()), *some}), dtype=np.intp)
