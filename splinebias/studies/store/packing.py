"""Trained functions as bytes: exact knots in, the same function out, bit for bit."""

from __future__ import annotations

import numpy as np

from splinebias.errors import DataError
from splinebias.functions.piecewise import PiecewiseLinear, PiecewisePolynomial

_LINEAR, _POLYNOMIAL = b"L", b"P"  # first byte: how to read the rest


def pack(function: PiecewisePolynomial) -> bytes:
    """`function` as bytes: 16 per knot for a piecewise linear one (slopes at the two ends, knots, values: little-endian)."""
    if isinstance(function, PiecewiseLinear):
        slopes = function.to_ppoly().c[0]
        numbers: bytes = np.r_[slopes[0], slopes[-1], function.knots, function.values].astype("<f8").tobytes()
        return _LINEAR + numbers
    return _POLYNOMIAL + function.to_json().encode()


def unpack(content: bytes) -> PiecewisePolynomial:
    """The function that `pack` was given.

    Raises
    ------
    DataError
        If `content` is no such thing.
    """
    if not isinstance(content, bytes):
        raise DataError(f"a packed function is bytes, got {content!r}")
    kind, rest = content[:1], content[1:]
    if kind == _POLYNOMIAL:
        return PiecewisePolynomial.from_json(rest.decode(errors="replace"))
    if kind != _LINEAR or len(rest) % 16 or len(rest) < 32:
        raise DataError(f"these {len(content)} bytes are no packed function")
    left, right, *_ = numbers = np.frombuffer(rest, dtype="<f8").astype(float)
    knots, values = numbers[2:].reshape(2, -1)
    return PiecewiseLinear(knots, values, left, right)
