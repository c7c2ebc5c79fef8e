r"""The loss of a Problem on a finite network: squared, with the free affine part solved out of it, or of labels.

.. math:: L = \sum_i \omega_i\, \ell_i(f(x_i)), \qquad \ell_i(f) = \tfrac12 (f - y_i)^2, \qquad
          \omega_i = m_i / \textstyle\sum_j m_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splinebias.loss import Loss, Squared
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class SquaredLoss:
    r"""The L above as a function of the values h of the units plus output bias, :math:`f = h + \text{skip}`.

    With a free affine part the two skip parameters move infinitely faster than all others (the limit
    :math:`\kappa \to \infty` of a skip connection whose parameters move :math:`\kappa n` times faster, theory
    section 3): at every moment they are the weighted least-squares line through :math:`y - h`. The residual is then
    the projection of :math:`h - y` along lines, with :math:`\sum_i \omega_i r_i = \sum_i \omega_i x_i r_i = 0`, and the
    gradient with respect to all other parameters is :math:`J^T (\omega r)` as before (envelope theorem).

    Parameters
    ----------
    points : Tensor, shape (2, M), of D inputs (D + 1, M)
        Rows x, increasing, and 1.
    y : Tensor, shape (M,)
        Targets.
    weights : Tensor, shape (M,)
        The :math:`\omega` above, positive with sum 1.
    line : Tensor or None, shape (2, M), of D inputs (D + 1, M)
        Free affine part: the functions 1 and :math:`(x - \bar x)/s` at the data, orthonormal in the weights; of several
        inputs others with the same span. None: no skip connection.
    """

    points: Tensor
    y: Tensor
    weights: Tensor
    line: Tensor | None = None

    @classmethod
    def of(cls, problem: Problem, like: Tensor) -> SquaredLoss:
        """The loss of `problem` in the precision and on the device of `like`."""
        data = problem.data
        x, y, m = (torch.tensor(v, dtype=torch.float64) for v in (data.x, data.y, data.weights))
        weights = m / m.sum()
        if x.ndim == 2 and x.shape[1] > 1:
            rows = torch.cat([x.mT, torch.ones_like(y)[None]])
            centred = torch.cat([x.mT - (x.mT @ weights)[:, None], rows[-1:]])
            basis = torch.linalg.qr((centred * weights.sqrt()).mT)[0].mT / weights.sqrt()
            return cls(rows.to(like), y.to(like), weights.to(like), basis.to(like) if problem.free else None)
        x = x.reshape(-1)
        centred = x - weights @ x
        line = torch.stack([torch.ones_like(x), centred / (weights @ centred**2).sqrt()])
        points = torch.stack([x, torch.ones_like(x)])
        free = line.to(like) if problem.free else None
        return cls(points.to(like), y.to(like), weights.to(like), free)

    def residual(self, h: Tensor) -> Tensor:
        """r for unit sums h, shape (..., M): after the best skip part, if that is free."""
        r = h - self.y
        if self.line is None:
            return r
        return r - (r * self.weights) @ self.line.mT @ self.line

    def skip(self, h: Tensor) -> Tensor:
        """(slope, intercept) of the best skip part for unit sums h, shape (..., 2), (..., D + 1); zeros without one."""
        if self.line is None:
            return h.new_zeros((*h.shape[:-1], self.points.shape[0]))
        x = self.points[0]
        coefficients = ((self.y - h) * self.weights) @ self.line.mT  # of 1 and of (x - mean) / s
        if self.points.shape[0] > 2:
            return self._affine(coefficients, self.line)
        per_unit = (self.line[1, -1] - self.line[1, 0]) / (x[-1] - x[0])  # 1 / s
        slope = coefficients[..., 1] * per_unit
        return torch.stack([slope, coefficients[..., 0] - slope * (self.weights @ x)], dim=-1)

    def _affine(self, coefficients: Tensor, line: Tensor) -> Tensor:
        """Slopes and intercept, shape (..., D + 1), of a combination of the rows of `line`: R^-T times centred `points`.

        By hand: last bits of LAPACK depend on where arrays lie in memory, and those of a run must not.
        """
        mean = self.points[:-1] @ self.weights
        centred = torch.cat([self.points[:-1] - mean[:, None], self.points[-1:]])
        lower = (centred * self.weights) @ line.mT  # R^T, as rows are orthonormal in the weights
        found: list[Tensor] = []
        for j in reversed(range(len(lower))):
            known = sum((part * lower[-1 - k, j] for k, part in enumerate(found)), torch.zeros_like(coefficients[..., j]))
            found.append((coefficients[..., j] - known) / lower[j, j])
        intercept, *slopes = found
        slope = torch.stack(slopes[::-1], dim=-1)
        return torch.cat([slope, (intercept - (slope * mean).sum(dim=-1))[..., None]], dim=-1)

    def value(self, residual: Tensor) -> Tensor:
        """L, shape (..., M) to (...)."""
        return (self.weights * residual * residual).sum(-1) / 2

    def total(self, h: Tensor, residual: Tensor) -> Tensor:
        """L where the units sum to h and the residual is this, each (..., M), to (...)."""
        return self.value(residual)

    def curved(self, kernel: Tensor, h: Tensor) -> Tensor:
        r"""The kernel :math:`C^{1/2} K C^{1/2}`, :math:`C = \mathrm{diag}(\ell_i'')`, whose `decay_rates` bound a step."""
        return kernel

    def stiffness(self, h: Tensor) -> Tensor:
        r""":math:`\sqrt{\ell_i''}` where the units sum to h, shape (..., M): ones here."""
        return torch.ones_like(h)

    def drive(self, residual: Tensor) -> Tensor:
        r"""What of the Hessian a kernel does not see, :math:`\sum_i \omega_i |\ell_i'| |(x_i, 1)|`, shape (...): 0 here.

        Descents on the squared loss are held by their kernel alone, as published ones are.
        """
        return residual.new_zeros(residual.shape[:-1])

    def facts(self, h: Tensor) -> dict[str, float]:
        """Named numbers of one network whose units sum to h, shape (M,), for statistics: none here."""
        return {}

    def operator(self, kernel: Tensor) -> Tensor:
        r"""Symmetric matrix whose eigenvalues are the decay rates of the residual, shape (..., M, M).

        Under mirror flow :math:`dr/d\tau = -K W r` with the tangent kernel :math:`K = J D J^T` and
        :math:`W = \mathrm{diag}(\omega)`, so :math:`W^{1/2} r` decays by :math:`W^{1/2} K W^{1/2}` (times the
        projection that removes lines, on both sides, if the affine part is free).
        """
        root = self.weights.sqrt()
        operator = root[:, None] * kernel * root
        if self.line is None:
            return operator
        q = self.line * root  # orthonormal rows
        projection = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device) - q.mT @ q
        return projection @ operator @ projection

    def decay_rates(self, kernel: Tensor) -> Tensor:
        r"""Eigenvalues of `operator`, increasing, shape (..., M), or without those of the rows of `line` if they are free.

        Mode j decays as :math:`e^{-\lambda_j \tau}`; a descent step :math:`\eta` is stable while
        :math:`\eta < 2/\lambda_{\max}`.
        """
        rates: Tensor = torch.linalg.eigvalsh(self.operator(kernel))
        return rates if self.line is None else rates[..., self.line.shape[0] :]

    def decay_range(self, kernel: Tensor) -> tuple[Tensor, Tensor]:
        """Slowest and fastest decay rate, each (...).

        (0, 0) if nothing can decay (two points and a free line), (0, inf) if `kernel` has overflowed.
        """
        finite = torch.isfinite(kernel).all(-1).all(-1)
        rates = self.decay_rates(torch.where(finite[..., None, None], kernel, 0.0))
        if not rates.shape[-1]:
            rates = kernel.new_zeros((*finite.shape, 1))
        return rates[..., 0], torch.where(finite, rates[..., -1], torch.inf)


@dataclass(frozen=True, eq=False)
class LabelLoss(SquaredLoss):
    r"""A loss of the margins :math:`z_i = y_i f(x_i)` of labels, in the interface of `SquaredLoss`.

    In the place of the residual stands :math:`\ell_i' = -y_i\,(-\ell'(z_i))`, so that :math:`J^T (\omega \ell')` is the
    gradient as before. The affine part is never free: without a minimum there is no best one.

    Parameters
    ----------
    points, y, weights, line
        As in `SquaredLoss`; y are labels and `line` is None.
    kind : Loss
        The :math:`\ell` above.
    """

    kind: Loss = Squared()

    def residual(self, h: Tensor) -> Tensor:
        slope: Tensor = -self.y * self.kind.pull(self.y * h)
        return slope

    def total(self, h: Tensor, residual: Tensor) -> Tensor:
        total: Tensor = (self.weights * self.kind.value(self.y * h)).sum(-1)
        return total

    def stiffness(self, h: Tensor) -> Tensor:
        r""":math:`\sqrt{\ell_i''}`, shape (..., M)."""
        root: Tensor = self.kind.curvature(self.y * h).sqrt()
        return root

    def curved(self, kernel: Tensor, h: Tensor) -> Tensor:
        root = self.stiffness(h)
        curved: Tensor = root[..., :, None] * kernel * root[..., None, :]
        return curved

    def drive(self, residual: Tensor) -> Tensor:
        drive: Tensor = (self.weights * residual.abs() * self.points.norm(dim=0)).sum(-1)
        return drive

    def facts(self, h: Tensor) -> dict[str, float]:
        """The smallest margin, and how many labels are on the wrong side."""
        margins = self.y * h
        return {"margin": float(margins.min()), "wrong": float((margins <= 0).sum())}


def loss_of(problem: Problem, like: Tensor, kind: Loss) -> SquaredLoss:
    """The loss of `problem` of this kind, in the precision and on the device of `like`."""
    squared = SquaredLoss.of(problem, like)
    if isinstance(kind, Squared):
        return squared
    return LabelLoss(squared.points, squared.y, squared.weights, kind=kind)
