r"""What integrals miss because doubles end: masses underflow where the curvature overflows.

With an exponential conjugate and a law with exponential tails, both far out, their product can still matter: near the end
of the domain of the dual it decays as slowly as one likes. Nothing on the nodes shows that; the last product before does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.response import Response


class Brink(NamedTuple):
    """Where terms are left out.

    Attributes
    ----------
    at : Array, shape (K,)
        Breakpoints.
    out : Array of bool, shape (K,)
        Whether terms are left out there.
    term : Array, shape (K,)
        The faintest term that is not, 0 if it is not faint.
    """

    at: Array
    out: NDArray[np.bool_]
    term: Array

    @classmethod
    def of(cls, response: Response, side: int, nodes: Array) -> Brink | None:
        """That of a response at `nodes`; None if no term is left out and none is the neighbour of those."""
        found = response.brink(side)
        return None if found is None else cls(nodes.ravel(), found[0].ravel(), found[1].ravel())


def neglected(brinks: list[Brink], x: Array, largest: float) -> float:
    """The moment that one side leaves out if its curvature goes on to decay as it did from `largest`, near the data `x`."""
    at, out, term = (np.concatenate(column) for column in zip(*brinks, strict=True))
    order = np.argsort(at)
    at, out, term = at[order], out[order], term[order]
    beside = out.copy()
    beside[1:] |= out[:-1]
    beside[:-1] |= out[1:]
    span = x[-1] - x[0]
    wide = span + np.maximum(np.maximum(x[0] - at, at - x[-1]), 0.0)
    term, wide = term[beside], wide[beside]
    decay = wide / np.maximum(1.0, -np.log(np.maximum(term / largest, 1e-300)))
    return float((term * decay * (wide + span)).max(initial=0.0))
