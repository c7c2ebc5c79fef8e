r"""network_norm: the norm of the weights of a trained network, beside the least one that makes the same values at the
data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_vector
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.data import Dataset
from splinebias.errors import DataError
from splinebias.regimes.minimum_norm import MinimumNorm, minimum_norm


@dataclass(frozen=True, eq=False)
class NetworkNorm(Drawn):
    r"""The norm of a network, see `network_norm`.

    Attributes
    ----------
    value : float
        :math:`\sum |a_k||w_k|`, or :math:`\sum |a_k||(w_k, b_k)|`.
    least : MinimumNorm
        The function of least norm through the network's own values at the data.
    """

    value: float
    least: MinimumNorm

    @property
    def ratio(self) -> float:
        """The value over the least norm, >= 1 up to rounding; infinite if a line (or constant) would have cost nothing."""
        if self.least.norm:
            return self.value / self.least.norm
        return np.inf if self.value else 1.0

    def __repr__(self) -> str:
        return f"NetworkNorm({self.value:.8g}, {self.ratio:.6g} times the least of its values at the data)"


@known_keywords
def network_norm(
    weights: tuple[Any, Any, Any],
    values: Dataset,
    *,
    penalize_bias: bool = False,
    affine: str = "network",
    output_bias: bool = True,
) -> NetworkNorm:
    r"""The norm of a ReLU network :math:`\sum_k a_k [w_k x + b_k]_+ + d`, beside the least for its values at the data.

    Weight decay and small starts are said to find the least: this is how near a network came, whatever it was trained on and
    whether or not it interpolates.

    Parameters
    ----------
    weights : tuple of three array_like, shape (n,)
        (w, b, a): weights and biases of the hidden layer, output weights; torch tensors must be detached.
    values : Dataset
        The abscissae of the data with the network's *own* values there, ``sb.Dataset(x, run.function(x))``.
    penalize_bias, affine, output_bias
        As in `minimum_norm`. "free" if the network has a skip connection.

    Returns
    -------
    NetworkNorm

    Raises
    ------
    DataError
        If the three are no finite vectors of one length, otherwise as `minimum_norm`.
    CapabilityError
        As `minimum_norm`.

    Examples
    --------
    >>> import splinebias as sb
    >>> print(sb.network_norm(([1, 1], [0, -1], [1, 1]), sb.Dataset([-1, 0, 1, 2], [0, 0, 1, 3])))
    NetworkNorm(2, 1 times the least of its values at the data)
    """
    w, b, a = _three(weights)
    least = minimum_norm(values, penalize_bias=penalize_bias, affine=affine, output_bias=output_bias)
    return NetworkNorm(float(np.abs(a) @ (np.hypot(w, b) if penalize_bias else np.abs(w))), least)


def _three(weights: Any) -> tuple[Array, Array, Array]:
    """Three vectors of one length, or a DataError."""
    if not isinstance(weights, tuple | list) or len(weights) != 3:
        raise DataError(f"`weights` must be a tuple (w, b, a), got {type(weights).__name__}; pass (net.w, net.b, net.a)")
    w, b, a = (real_vector(vector, name) for vector, name in zip(weights, "wba", strict=True))
    if not w.shape == b.shape == a.shape:
        raise DataError(f"`weights` must be three vectors of one length, got {w.size}, {b.size} and {a.size}")
    return w, b, a
