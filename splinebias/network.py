r"""The finite network of a Problem: values, first-order structure, exact export.

.. math:: f(x) = \sum_{k=1}^n a_k \sigma(w_k x + b_k) + d + (\text{slope} \cdot x + \text{intercept}),

with the affine bracket only if the problem's affine part is free. The activation has two slopes, so
:math:`\sigma(z) = z \sigma'(z)` and, with the slopes :math:`S_{ik} = \sigma'(w_k x_i + b_k)`, all first-order
quantities are products with S:

.. math:: f = \sum_k S_{ik} a_k (w_k x_i + b_k) + d, \qquad
          \frac{\partial f_i}{\partial (w_k, b_k)} = S_{ik} a_k (x_i, 1), \qquad
          \frac{\partial f_i}{\partial a_k} = S_{ik} (w_k x_i + b_k), \qquad \frac{\partial f_i}{\partial d} = 1.

Parameters live in one flat tensor :math:`\theta = (w, b, a, d)` of shape (..., 3n + 1); the leading dimensions, if
any, are independent networks of one width, and everything here broadcasts over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splinebias._check import whole_number
from splinebias._pattern import pattern
from splinebias.activation import Activation
from splinebias.errors import DataError
from splinebias.function import PiecewiseLinear
from splinebias.problem import Problem

_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True, eq=False)
class Network:
    r"""One network, or a batch of networks of one width.

    Parameters
    ----------
    theta : Tensor, shape (..., 3n + 1)
        Parameters (w, b, a, d) of the formula above, each block in the order of the units.
    activation : Activation
        The :math:`\sigma` above.
    skip : Tensor, shape (..., 2)
        (slope, intercept) above; zeros unless the affine part is free.
    """

    theta: Tensor
    activation: Activation
    skip: Tensor

    @classmethod
    def sample(
        cls,
        problem: Problem,
        width: int,
        seed: int | Sequence[int] = 0,
        *,
        dtype: Any = torch.float64,
        device: Any = "cpu",
    ) -> Network:
        """The random start of `problem` at `width` units, with d = 0 and no skip part.

        Parameters
        ----------
        problem : Problem
            Its initialization is drawn from, in float64, before the result is converted to `dtype`.
        width : int
            The number n of units, >= 1.
        seed : int or sequence of int
            >= 0. The same seed gives the same bits; a sequence gives one network per seed, stacked in a leading dimension.
        dtype : {"float64", "float32"} or torch.dtype
            Precision of the parameters.
        device : str or torch.device
            Where they live.

        Raises
        ------
        DataError
            For a width < 1 (or odd, with antisymmetric pairs), a negative seed, an unknown dtype or device.
        """
        width = whole_number(width, "width", at_least=1, fix="a network needs a unit")
        batch = not isinstance(seed, int | np.integer) and isinstance(seed, Sequence)
        seeds = [whole_number(s, "seed") for s in (seed if batch else [seed])]  # type: ignore[union-attr]
        if not seeds:
            raise DataError("`seed` must hold at least one seed, got an empty sequence")
        kind, place = tensor_kind(dtype, device)
        draws = [problem.initialization.sample(width, np.random.default_rng(s)) for s in seeds]
        theta = torch.tensor(np.array([np.concatenate([*draw, [0.0]]) for draw in draws]), dtype=kind, device=place)
        return cls(theta if batch else theta[0], problem.activation, theta.new_zeros((len(seeds), 2) if batch else 2))

    @property
    def width(self) -> int:
        """Number n of units."""
        return (self.theta.shape[-1] - 1) // 3

    @property
    def w(self) -> Tensor:
        """Hidden weights, shape (..., n)."""
        return self.theta[..., : self.width]

    @property
    def b(self) -> Tensor:
        """Hidden biases, shape (..., n)."""
        return self.theta[..., self.width : 2 * self.width]

    @property
    def a(self) -> Tensor:
        """Output weights, shape (..., n)."""
        return self.theta[..., 2 * self.width : 3 * self.width]

    @property
    def d(self) -> Tensor:
        """Output bias, shape (...)."""
        return self.theta[..., -1]

    def __getitem__(self, index: int) -> Network:
        """Network number `index` of a batch."""
        if self.theta.ndim == 1:
            raise DataError("this is a single network, not a batch; use it as it is")
        return Network(self.theta[index], self.activation, self.skip[index])

    def forward(self, x: Tensor) -> Tensor:
        """f at `x`, shape (M,) to (..., M), by the defining formula.

        Takes O(nM) memory: for many points evaluate `function()`, which is exact and needs O(n + M).
        """
        z = self.w.unsqueeze(-2) * x.unsqueeze(-1) + self.b.unsqueeze(-2)  # (..., M, n)
        units: Tensor = (self.activation.value(z) @ self.a.unsqueeze(-1)).squeeze(-1)
        return units + self.d.unsqueeze(-1) + self.skip[..., :1] * x + self.skip[..., 1:]

    def __call__(self, x: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(x)

    def linearize(self, x: Tensor) -> Linearization:
        """Value and Jacobian (of the part without skip) at increasing `x`, shape (M,)."""
        return Linearization(self.theta, torch.stack([x, torch.ones_like(x)]), self.activation)

    def function(self) -> PiecewiseLinear:
        """The network as the piecewise linear function it is, exact, in float64.

        Raises
        ------
        DataError
            If this is a batch; take ``network[j].function()``.
        """
        if self.theta.ndim != 1:
            raise DataError(f"this is a batch of {self.theta.shape[0]} networks; take network[j].function()")
        w, b, a = (part.detach().cpu().double().numpy() for part in (self.w, self.b, self.a))
        slope, intercept = self.skip.detach().cpu().double().tolist()
        return PiecewiseLinear.from_units(w, b, a, float(self.d), self.activation, skip=(slope, intercept))


class Linearization:
    r"""A network to first order at given points: value f and Jacobian :math:`J = \partial f/\partial\theta`.

    J (M x P, P = 3n + 1) is kept as an operator on its blocks for w, b, a, d; `dense` writes it out.

    Parameters
    ----------
    theta : Tensor, shape (..., 3n + 1)
        Parameters.
    points : Tensor, shape (2, M)
        Rows x, increasing (not checked), and 1.
    activation : Activation
        The activation, with slopes `left` and `right`.

    Attributes
    ----------
    value : Tensor, shape (..., M)
        :math:`f(x_i)` without the skip part.

    Notes
    -----
    At :math:`w_k x_i + b_k = 0` the slope is that of the left side; if `_pattern.SortedPattern` is used and w < 0,
    that of the right side. Both are subgradients.
    """

    def __init__(self, theta: Tensor, points: Tensor, activation: Activation) -> None:
        units = _blocks(theta)
        self._points = points
        self._lines, self._outer = units[..., :2, :], units[..., 2:, :]  # (w, b) and a
        self._left, self._kink = activation.left, activation.kink
        self._pattern = pattern(self._lines, points)
        self.value = self._through(self._outer * self._lines) + theta[..., -1:]

    def _through(self, v: Tensor) -> Tensor:
        r""":math:`\sum_k S_{ik} (v_{1k} x_i + v_{2k})`, shape (..., 2, n) to (..., M)."""
        sums = self._kink * self._pattern.over_units(v)
        if self._left:
            sums = sums + self._left * v.sum(-1, keepdim=True)
        return (self._points * sums).sum(-2)

    def vjp(self, u: Tensor) -> Tensor:
        """:math:`J^T u`, shape (..., M) to (..., 3n + 1): the gradient, for u = weights times residuals."""
        moments = self._points * u.unsqueeze(-2)  # (..., 2, M)
        sums = self._kink * self._pattern.over_points(moments)
        if self._left:
            sums = sums + self._left * moments.sum(-1, keepdim=True)
        hidden = (self._outer * sums).flatten(-2)
        return torch.cat([hidden, (self._lines * sums).sum(-2), u.sum(-1, keepdim=True)], dim=-1)

    def jvp(self, v: Tensor) -> Tensor:
        """:math:`J v`, shape (..., 3n + 1) to (..., M): how f moves when the parameters move along v."""
        moves = _blocks(v)
        return self._through(self._outer * moves[..., :2, :] + moves[..., 2:, :] * self._lines) + v[..., -1:]

    def gram(self, scale: Tensor) -> Tensor:
        r""":math:`J D J^T` for :math:`D = \mathrm{diag}(\text{scale})`, shape (..., 3n + 1) to (..., M, M).

        With `scale` :math:`= 1/\Phi''(\theta)` this is the tangent kernel of mirror flow at the points. Computed as
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

    def dense(self) -> Tensor:
        """J written out, shape (..., M, 3n + 1)."""
        every = torch.eye(self._points.shape[-1], dtype=self.value.dtype, device=self.value.device)
        rows = [self.vjp(row.expand_as(self.value)) for row in every]
        return torch.stack(rows, dim=-2)


def _blocks(theta: Tensor) -> Tensor:
    """The blocks w, b, a of (w, b, a, d) as rows, shape (..., 3n + 1) to (..., 3, n)."""
    return theta[..., :-1].reshape(*theta.shape[:-1], 3, -1)


def tensor_kind(dtype: Any, device: Any) -> tuple[torch.dtype, torch.device]:
    """`dtype` ("float64", "float32" or a torch dtype) and `device` as torch objects that work here, or a DataError."""
    kind = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(kind, torch.dtype) or kind not in _DTYPES.values():
        raise DataError(f'`dtype` must be "float64" or "float32" (or that torch dtype), got {dtype!r}')
    try:
        place = torch.device(device)
        torch.zeros(1, dtype=kind, device=place).item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f'`device` must be one that torch can use here, got {device!r} ({reason}); use "cpu"') from None
    return kind, place
