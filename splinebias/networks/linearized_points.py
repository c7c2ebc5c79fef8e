r"""A network of several inputs frozen to first order at its parameters, trained in closed form: `linearized` without a line.

As there :math:`\theta_t = \theta_0 + D^{1/2} U S^{-1} (1 - e^{-S^2\tau}) V^T W^{1/2} (y - f_0(X))` with the singular values
:math:`D^{1/2} J^T W^{1/2} = U S V^T`. Nothing sorts the kinks of several inputs: J is written out, O(n M) numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.activation import Homogeneous
from splinebias.data import Points
from splinebias.errors import CapabilityError
from splinebias.functions.several_inputs import Units
from splinebias.networks.linearized import Progress, Setting

_MOST_BYTES = 8 * 2**30


@dataclass(frozen=True, eq=False, repr=False)
class LinearizedUnits(Units):
    r""":math:`\sum_k (a_k + \delta_k) \sigma(z_k) + a_k \sigma'(z_k)\, (\omega_k \cdot x + \beta_k) + \text{affine}`,
    :math:`z_k = w_k \cdot x + b_k`: units, and what moves of their parameters are to first order.

    Attributes
    ----------
    w : Array, shape (n, d)
        Hidden weights.
    b, a : Array, shape (n,)
        Biases and output weights.
    moves : Array, shape (d + 2, n)
        Rows :math:`\omega`, a row for each input, :math:`\beta` and :math:`\delta`.
    activation : Homogeneous
        The :math:`\sigma` above.
    affine : Array, shape (d + 1,)
        Slopes and intercept.
    """

    moves: Array
    activation: Homogeneous
    affine: Array

    def values(self, x: object) -> Array:
        """f at points of shape (..., d), shape (...); on a kink with the derivative that the activation has there."""

        def rows(points: Array, z: Array) -> Array:
            hidden = self.activation.derivative(z) * (points @ self.moves[:-2] + self.moves[-2])
            units = self.activation.value(z) @ (self.a + self.moves[-1]) + hidden @ self.a
            return np.asarray(units + points @ self.affine[:-1] + self.affine[-1])

        return self.summed(x, rows)

    def gradient(self, x: object) -> Array:
        """The gradient at points of shape (..., d), of their shape; on a kink that of one side."""
        degree = self.activation.degree

        def rows(points: Array, z: Array) -> Array:
            steep = np.asarray(self.activation.derivative(z))
            # z s''(z) = (degree - 1) s'(z) for homogeneous s
            bend = (degree - 1) * np.divide(steep, z, out=np.zeros_like(z), where=z != 0) if degree > 1 else 0.0
            moved = bend * (points @ self.moves[:-2] + self.moves[-2]) * self.a
            hidden = (steep * (self.a + self.moves[-1]) + moved) @ self.w + (steep * self.a) @ self.moves[:-2].T
            return np.asarray(hidden + self.affine[:-1])

        return self.summed(x, rows)


def linearized_points(theta: Array, skip: Array, setting: Setting, progress: Progress, *, hidden: bool) -> LinearizedUnits:
    """The function of the linearized network with parameters (w, b, a, d) by then: see `Network.linearized`.

    Raises
    ------
    CapabilityError
        If the Jacobian does not fit into 8 GiB.
    """
    data = setting.data
    assert isinstance(data, Points)
    x, inputs, weights = data.x, data.inputs, data.weights / data.weights.sum()
    units = theta[:-1].reshape(inputs + 2, -1)
    required = 3 * 8 * theta.size * data.size  # the Jacobian and its singular vectors
    if required > _MOST_BYTES:
        raise CapabilityError(
            f"linearizations of several inputs write the Jacobian out, and {units.shape[1]:,} units at {data.size:,} points "
            f"take {required / 2**30:,.0f} GiB; take fewer of either"
        )
    w, b, a, root = units[:inputs].T, units[inputs], units[inputs + 1], np.sqrt(weights)
    affine = np.r_[skip[:-1], skip[-1] + theta[-1]]
    start = LinearizedUnits(w, b, a, np.zeros_like(units), setting.activation, affine)
    scale = np.sqrt(setting.metric(theta))
    rows = _jacobian(start, x, hidden=hidden) * scale[:, None] * root
    left, plane = root * (data.y - start(x)), np.zeros((0, data.size))
    columns = np.c_[x - weights @ x, np.ones(data.size)]
    if setting.free:  # what the skip connection fits at all times is left to it
        plane = np.linalg.qr(root[:, None] * columns)[0].T
        left, rows = left - left @ plane.T @ plane, rows - rows @ plane.T @ plane
    change = scale * progress.fitted(rows, left)
    affine = affine + np.r_[np.zeros(inputs), change[-1]]
    found = LinearizedUnits(w, b, a, change[:-1].reshape(units.shape), setting.activation, affine)
    if not setting.free:
        return found
    best = np.linalg.lstsq(root[:, None] * columns, root * (data.y - found(x)), rcond=None)[0]
    best[-1] -= best[:-1] @ (weights @ x)
    return LinearizedUnits(w, b, a, found.moves, setting.activation, affine + best)


def _jacobian(units: LinearizedUnits, x: Array, *, hidden: bool) -> Array:
    """Derivatives by all parameters at points (M, d), shape (P, M): 0 by those that are not trained."""
    z = units.w @ x.T + units.b[:, None]
    steep = units.a[:, None] * np.asarray(units.activation.derivative(z)) * hidden
    return np.concatenate([*(steep * column for column in x.T), steep, units.activation.value(z), np.ones((1, len(x)))])
