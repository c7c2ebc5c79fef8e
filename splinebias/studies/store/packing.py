"""Trained functions as bytes: exact knots, or of several inputs units, in; the same function out, bit for bit."""

from __future__ import annotations

import json

import numpy as np

from splinebias.errors import DataError
from splinebias.functions.piecewise import PiecewiseLinear, PiecewisePolynomial
from splinebias.functions.several_inputs import UnitsFunction
from splinebias.problem_tables import part_from_table, part_to_table

_LINEAR, _POLYNOMIAL, _UNITS = b"L", b"P", b"U"  # first byte: how to read the rest

NetworkFunction = PiecewisePolynomial | UnitsFunction
"""What a trained network is: of one input, and of several."""


def pack(function: NetworkFunction) -> bytes:
    """`function` as bytes: 16 per knot for a piecewise linear one (slopes at the two ends, knots, values: little-endian).

    Of d inputs 8 (d + 2) a unit, and a line of JSON with d and the activation.
    """
    if isinstance(function, UnitsFunction):
        head = {"inputs": function.w.shape[1], "activation": part_to_table("activation", function.activation)}
        ends = [function.d, function.intercept, *function.slope]
        units = np.concatenate([function.w.ravel(), function.b, function.a, ends])
        return _UNITS + json.dumps(head).encode() + b"\n" + units.astype("<f8").tobytes()
    if isinstance(function, PiecewiseLinear):
        slopes = function.to_ppoly().c[0]
        numbers: bytes = np.r_[slopes[0], slopes[-1], function.knots, function.values].astype("<f8").tobytes()
        return _LINEAR + numbers
    return _POLYNOMIAL + function.to_json().encode()


def unpack(content: bytes) -> NetworkFunction:
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
    if kind == _UNITS:
        return _units(content)
    if kind != _LINEAR or len(rest) % 16 or len(rest) < 32:
        raise DataError(f"these {len(content)} bytes are no packed function")
    left, right, *_ = numbers = np.frombuffer(rest, dtype="<f8").astype(float)
    knots, values = numbers[2:].reshape(2, -1)
    return PiecewiseLinear(knots, values, left, right)


def _units(content: bytes) -> UnitsFunction:
    """The network of several inputs that `pack` was given, or a DataError."""
    line, _, rest = content[1:].partition(b"\n")
    damaged = DataError(f"these {len(content)} bytes are no packed function")
    try:
        head = json.loads(line)
        inputs, activation = head["inputs"], part_from_table("activation", head["activation"])
    except (DataError, ValueError, TypeError, KeyError, RecursionError):
        raise damaged from None
    if not isinstance(inputs, int) or not 2 <= inputs <= len(rest) // 8 or len(rest) % 8:
        raise damaged
    numbers = np.frombuffer(rest, dtype="<f8").astype(float)
    units, ends = numbers[: -inputs - 2], numbers[-inputs - 2 :]
    width, left = divmod(len(units), inputs + 2)
    if left or not width or not np.isfinite(numbers).all():
        raise damaged
    w, b, a = np.split(units, [inputs * width, (inputs + 1) * width])
    return UnitsFunction(w.reshape(width, inputs), b, a, float(ends[0]), activation, ends[2:], float(ends[1]))
