r"""A network to first order: values and Jacobian at given points, as operators on the parameters.

Parameters are one flat tensor :math:`\theta = (w, b, a, d)` of shape (..., 3n + 1), as in `network`; of D inputs, where
:math:`w_k` has D rows, (..., (D + 2) n + 1), which is a case of `FeatureLinearization`. The Jacobian
:math:`J = \partial f/\partial\theta` (M x P, P = 3n + 1) is rarely written out: training needs products with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from splinebias.activation import Activation, TwoSlope
from splinebias.networks.activation_pattern import pattern


class Linearization(ABC):
    r"""A network to first order at given points: value f and Jacobian J.

    Attributes
    ----------
    value : Tensor, shape (..., M)
        :math:`f(x_i)` without the skip part.
    """

    value: Tensor

    @abstractmethod
    def vjp(self, u: Tensor) -> Tensor:
        """:math:`J^T u`, shape (..., M) to (..., 3n + 1): the gradient, for u = weights times residuals."""

    @abstractmethod
    def jvp(self, v: Tensor) -> Tensor:
        """:math:`J v`, shape (..., 3n + 1) to (..., M): how f moves when the parameters move along v."""

    @abstractmethod
    def gram(self, scale: Tensor) -> Tensor:
        r""":math:`J D J^T` for :math:`D = \mathrm{diag}(\text{scale})`, shape (..., 3n + 1) to (..., M, M).

        With `scale` :math:`= 1/\Phi''(\theta)` this is the tangent kernel of mirror flow at the points.
        """

    def dense(self) -> Tensor:
        """J written out, shape (..., M, 3n + 1)."""
        every = torch.eye(self.value.shape[-1], dtype=self.value.dtype, device=self.value.device)
        rows = [self.vjp(row.expand_as(self.value)) for row in every]
        return torch.stack(rows, dim=-2)


def linearize(theta: Tensor, points: Tensor, activation: Activation) -> Linearization:
    """The network with parameters `theta`, shape (..., 3n + 1), at `points`, shape (2, M): rows x, increasing, and 1.

    Of D inputs there are D rows of x.
    """
    two_slopes = activation.two_slopes
    if two_slopes is not None and points.shape[0] == 2:
        return TwoSlopeLinearization(theta, points, two_slopes)
    return FeatureLinearization(theta, points, activation)


class TwoSlopeLinearization(Linearization):
    r"""Two slopes: :math:`\sigma(z) = z \sigma'(z)`, so all is a product with :math:`S_{ik} = \sigma'(w_k x_i + b_k)`.

    .. math:: f = \sum_k S_{ik} a_k (w_k x_i + b_k) + d, \qquad
              \frac{\partial f_i}{\partial (w_k, b_k)} = S_{ik} a_k (x_i, 1), \qquad
              \frac{\partial f_i}{\partial a_k} = S_{ik} (w_k x_i + b_k), \qquad \frac{\partial f_i}{\partial d} = 1.

    Parameters
    ----------
    theta : Tensor, shape (..., 3n + 1)
        Parameters.
    points : Tensor, shape (2, M)
        Rows x, increasing (not checked), and 1.
    activation : TwoSlope
        The activation, with slopes `left` and `right`.

    Notes
    -----
    At :math:`w_k x_i + b_k = 0` the slope is that of the left side; if `activation_pattern.SortedPattern` is used and w < 0,
    that of the right side. Both are subgradients.
    """

    def __init__(self, theta: Tensor, points: Tensor, activation: TwoSlope) -> None:
        units = _blocks(theta)
        self._points = points
        self._lines, self._outer = units[..., :2, :], units[..., 2:, :]  # (w, b) and a
        self._left, self._kink = activation.left, activation.kink
        self._pattern = pattern(self._lines, points)
        self.value = self._through(self._outer * self._lines) + theta[..., -1:]

    @property
    def active(self) -> Tensor:
        """Number of points at which each unit is on its right side, a whole number, shape (..., n)."""
        return self._pattern.over_points(torch.ones_like(self.value).unsqueeze(-2)).squeeze(-2)

    def _through(self, v: Tensor) -> Tensor:
        r""":math:`\sum_k S_{ik} (v_{1k} x_i + v_{2k})`, shape (..., 2, n) to (..., M)."""
        sums = self._kink * self._pattern.over_units(v)
        if self._left:
            sums = sums + self._left * v.sum(-1, keepdim=True)
        return (self._points * sums).sum(-2)

    def vjp(self, u: Tensor) -> Tensor:
        moments = self._points * u.unsqueeze(-2)  # (..., 2, M)
        sums = self._kink * self._pattern.over_points(moments)
        if self._left:
            sums = sums + self._left * moments.sum(-1, keepdim=True)
        hidden = (self._outer * sums).flatten(-2)
        return torch.cat([hidden, (self._lines * sums).sum(-2), u.sum(-1, keepdim=True)], dim=-1)

    def jvp(self, v: Tensor) -> Tensor:
        moves = _blocks(v)
        return self._through(self._outer * moves[..., :2, :] + moves[..., 2:, :] * self._lines) + v[..., -1:]

    def gram(self, scale: Tensor) -> Tensor:
        r""":math:`J D J^T` as
        :math:`\sum_k S_{ik} S_{lk} (x_i, 1) C_k (x_l, 1)^T + D_d`,
        :math:`C_k = a_k^2 \,\mathrm{diag}(D_{w_k}, D_{b_k}) + D_{a_k} (w_k, b_k)^T (w_k, b_k)`.
        """
        parts = _blocks(scale)
        w, b = self._lines.unbind(-2)
        square, outer = self._outer**2, parts[..., 2, :]
        diagonal = square * parts[..., :2, :] + parts[..., 2:, :] * self._lines**2
        c = torch.stack([diagonal[..., 0, :], outer * w * b, diagonal[..., 1, :]], dim=-2)  # (..., 3, n)
        sums = self._kink**2 * self._pattern.pairs(c)
        if self._left:
            single = self._pattern.over_units(c)
            sums = sums + self._left * self._kink * (single.unsqueeze(-1) + single.unsqueeze(-2))
            sums = sums + self._left**2 * c.sum(-1)[..., None, None]
        xx, x1, one = sums.unbind(-3)
        x = self._points[0]
        return x[:, None] * x * xx + (x[:, None] + x) * x1 + one + scale[..., -1, None, None]


class FeatureLinearization(Linearization):
    r"""Any activation, with the features :math:`\sigma(z_{ik})` and :math:`a_k \sigma'(z_{ik})` written out: O(nM) memory.

    With :math:`z_{ik} = w_k x_i + b_k`,

    .. math:: \frac{\partial f_i}{\partial (w_k, b_k)} = a_k \sigma'(z_{ik}) (x_i, 1), \qquad
              \frac{\partial f_i}{\partial a_k} = \sigma(z_{ik}), \qquad \frac{\partial f_i}{\partial d} = 1.

    Parameters
    ----------
    theta : Tensor, shape (..., 3n + 1), of D inputs (..., (D + 2) n + 1)
        Parameters.
    points : Tensor, shape (2, M), of D inputs (D + 1, M)
        Rows x and 1.
    activation : Activation
        The :math:`\sigma` above.

    Attributes
    ----------
    positive : Tensor of bool, shape (..., M, n)
        Where pre-activations are positive.
    """

    def __init__(self, theta: Tensor, points: Tensor, activation: Activation) -> None:
        units = _blocks(theta, points.shape[0] + 1)
        self._points = points
        z = points.mT @ units[..., :-1, :]
        self.positive: Tensor = z > 0
        self._outer: Tensor = activation.value(z)  # (..., M, n)
        self._inner: Tensor = activation.derivative(z) * units[..., -1:, :]
        self.value = (self._outer @ units[..., -1, :, None]).squeeze(-1) + theta[..., -1:]

    def vjp(self, u: Tensor) -> Tensor:
        hidden = ((self._points * u.unsqueeze(-2)) @ self._inner).flatten(-2)  # rows x u and u
        return torch.cat([hidden, (u.unsqueeze(-2) @ self._outer).squeeze(-2), u.sum(-1, keepdim=True)], dim=-1)

    def jvp(self, v: Tensor) -> Tensor:
        moves = _blocks(v, self._points.shape[0] + 1)
        hidden = (self._points * (self._inner @ moves[..., :-1, :].mT).mT).sum(-2)
        return hidden + (self._outer @ moves[..., -1, :, None]).squeeze(-1) + v[..., -1:]

    def gram(self, scale: Tensor) -> Tensor:
        *d_w, d_b, d_a = (part.unsqueeze(-2) for part in _blocks(scale, self._points.shape[0] + 1).unbind(-2))
        inner, outer = self._inner, self._outer
        kernel: Tensor = (inner * d_b) @ inner.mT + (outer * d_a) @ outer.mT
        for x, d_x in zip(self._points[:-1], d_w, strict=True):
            kernel = kernel + x[:, None] * x * ((inner * d_x) @ inner.mT)
        return kernel + scale[..., -1, None, None]


def _blocks(theta: Tensor, rows: int = 3) -> Tensor:
    """The blocks w (of each input), b, a of (w, b, a, d) as rows, shape (..., rows n + 1) to (..., rows, n)."""
    return theta[..., :-1].reshape(*theta.shape[:-1], rows, -1)
