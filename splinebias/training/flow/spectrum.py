r"""Functions of the operator that carries all stiffness of the flow, exact for few points and by Krylov spaces for many.

The symmetric positive semidefinite operator :math:`S = W^{1/2} J D J^T W^{1/2}` (M x M, `SquaredLoss.operator`) governs
the residual; an exponential step applies entire functions of it to vectors. Here

.. math:: f(S) v = Q f(\Theta) c, \qquad
          \varphi_1(s) = \frac{e^s - 1}{s}, \quad \varphi_2(s) = \frac{\varphi_1(s) - 1}{s}, \quad
          \varphi_3(s) = \frac{\varphi_2(s) - 1/2}{s}, \quad \varphi_4(s) = \frac{\varphi_3(s) - 1/6}{s},

with the eigenvectors and eigenvalues of S (then :math:`c = Q^T v`), or with the Ritz vectors and values of the Krylov space
of v. All tensors have a leading batch dimension B of independent networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


def phi_functions(s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r""":math:`\varphi_1, ..., \varphi_4` above at `s`, any shape, without cancellation near 0."""
    small = s.abs() < 1
    t = torch.where(small, s, 0.0)
    # 24 phi_4(t) = 1 + t/5 (1 + t/6 (1 + ...)); after 16 factors the next term is 1e-18
    divisors = torch.arange(5, 21, dtype=s.dtype, device=s.device)
    fourth = (1 + (t.unsqueeze(-1) / divisors).cumprod(-1).sum(-1)) / 24
    third = 1 / 6 + t * fourth
    second = 0.5 + t * third
    large = torch.where(small, 1.0, s)
    first_large = torch.expm1(large) / large
    second_large = (first_large - 1) / large
    third_large = (second_large - 0.5) / large
    return (
        torch.where(small, 1 + t * second, first_large),
        torch.where(small, second, second_large),
        torch.where(small, third, third_large),
        torch.where(small, fourth, (third_large - 1 / 6) / large),
    )


class Modes(NamedTuple):
    r"""A vector v split into the modes of S, ready for :math:`f(S) v = Q f(\Theta) c`."""

    rates: Tensor
    r"""Diagonal of :math:`\Theta`, shape (B, m)"""
    vectors: Tensor
    """Q, shape (B, M, m)"""
    coefficients: Tensor
    """c, shape (B, m)"""
    coupling: Tensor
    r"""Row of the Ritz residuals :math:`\beta_m (e_m^T U)`, shape (B, m); zeros if the modes are exact"""

    def apply(self, values: Tensor) -> Tensor:
        r""":math:`f(S) v`, shape (B, M), for `values` :math:`= f(\Theta)`, shape (B, m)."""
        return (self.vectors * (values * self.coefficients).unsqueeze(-2)).sum(-1)

    def defect(self, values: Tensor) -> Tensor:
        r"""Estimate of the error of :math:`e^{-hS} v`, shape (B,), for `values` :math:`= h \varphi_1(-h\Theta)`."""
        return (self.coupling * values * self.coefficients).sum(-1).abs()


class Spectrum(ABC):
    """The operator S at one state."""

    scale: Tensor
    """Size of the operator before lines were projected out of it, to which its rounding errors are relative, shape (B,)"""
    largest: Tensor
    """Largest eigenvalue, shape (B,)"""
    smallest: Tensor
    """Smallest eigenvalue above rounding, shape (B,)"""
    rank: Tensor
    """Number of eigenvalues above rounding (of those seen), shape (B,)"""
    products: int = 0
    """Products S v so far that took a product with J and one with its transpose"""

    @abstractmethod
    def matvec(self, v: Tensor) -> Tensor:
        """S v, shape (B, M)."""

    def missed(self, v: Tensor) -> Tensor:
        """Share of the squared length of `v`, shape (B, M), outside the modes above rounding, shape (B,); 0: not known."""
        return torch.zeros_like(self.largest)

    def calm(self, v: Tensor, h: Tensor) -> Tensor:
        r"""The mean :math:`\varphi_1(-hS) v` of `v` as it decays for times `h`, where that costs nothing; else v itself."""
        return v

    @abstractmethod
    def modes(self, v: Tensor, h: Tensor, tolerance: Tensor) -> Modes:
        r"""The modes of `v`, shape (B, M), such that :math:`e^{-hS} v` is right to about `tolerance`; h, tolerance: (B,)."""


class DenseSpectrum(Spectrum):
    r"""Eigenvectors and eigenvalues of S; those below :math:`M \epsilon` times its scale are rounding and left out.

    Parameters
    ----------
    matrix : Tensor, shape (B, M, M)
        S; where it is not finite `largest` is infinite and f(S) v = 0.
    scale : Tensor, shape (B,)
        The `scale` above, if it is larger than the largest eigenvalue.
    """

    def __init__(self, matrix: Tensor, scale: Tensor | float = 0.0) -> None:
        self._rates, vectors = _eigh(matrix)
        self.scale = self._rates[..., -1].clamp(min=scale)
        kept = _above_rounding(self._rates, matrix.shape[-1], self.scale)
        self._vectors = vectors * kept.unsqueeze(-2)
        self._exact = torch.zeros_like(self._rates)
        self.largest, self.smallest, self.rank = _summary(self._rates, kept)

    @cached_property
    def _matrix(self) -> Tensor:
        return (self._vectors * self._rates.unsqueeze(-2)) @ self._vectors.mT

    def matvec(self, v: Tensor) -> Tensor:
        return (self._matrix * v.unsqueeze(-2)).sum(-1)

    def missed(self, v: Tensor) -> Tensor:
        square = (v * v).sum(-1)
        kept = (self._vectors.mT @ v.unsqueeze(-1)).squeeze(-1).square().sum(-1)
        return torch.where(square > 0, 1 - kept / square, 0.0)

    def calm(self, v: Tensor, h: Tensor) -> Tensor:
        modes = self.modes(v, h, h)
        return v + modes.apply(phi_functions(-h[:, None] * modes.rates)[0] - 1)

    def modes(self, v: Tensor, h: Tensor, tolerance: Tensor) -> Modes:
        coefficients = (self._vectors * v.unsqueeze(-1)).sum(-2)
        return Modes(self._rates, self._vectors, coefficients, self._exact)


class KrylovSpectrum(Spectrum):
    """S known through products only: each vector gets the Krylov space it needs (Lanczos, full reorthogonalization).

    Parameters
    ----------
    product : callable
        S v for v of shape (B, M).
    residual : Tensor, shape (B, M)
        Vector whose Krylov space supplies `largest`, `smallest` and `rank`: the modes that it contains.
    scale : Tensor, shape (B,)
        The `scale` above, if it is larger than the largest Ritz value.

    Notes
    -----
    The error estimate is that of Saad (SIAM J. Numer. Anal. 29, 1992), the first term of the series of the error. A space
    stops growing at 256 dimensions, whatever the estimate: shorten h then.
    """

    def __init__(self, product: Callable[[Tensor], Tensor], residual: Tensor, scale: Tensor | float = 0.0) -> None:
        self._product = product
        self.scale = residual.new_zeros(residual.shape[:-1]).clamp(min=scale)
        rates = self._lanczos(residual, lambda modes: True).rates
        self.scale = torch.maximum(self.scale, rates[..., -1])
        kept = _above_rounding(rates, residual.shape[-1], self.scale)
        self.largest, self.smallest, self.rank = _summary(rates, kept)

    def matvec(self, v: Tensor) -> Tensor:
        self.products += 1
        return self._product(v)

    def modes(self, v: Tensor, h: Tensor, tolerance: Tensor) -> Modes:
        def accurate(modes: Modes) -> bool:
            h_phi = h.unsqueeze(-1) * phi_functions(-h.unsqueeze(-1) * modes.rates)[0]
            return bool((modes.defect(h_phi) <= tolerance).all())

        return self._lanczos(v, accurate)

    def _lanczos(self, v: Tensor, accurate: Callable[[Modes], bool]) -> Modes:
        """Grow the Krylov space of v until its modes are `accurate`."""
        points = v.shape[-1]
        limit = min(points, 256)  # beyond, a shorter step is cheaper than a larger space
        size = v.norm(dim=-1, keepdim=True)
        basis = v.new_zeros((*v.shape, limit + 1))
        basis[..., 0] = v / torch.where(size > 0, size, 1.0)
        matrix = v.new_zeros((*v.shape[:-1], limit + 1, limit + 1))
        for k in range(1, limit + 1):
            u = self.matvec(basis[..., k - 1])
            matrix[..., k - 1, k - 1] = (u * basis[..., k - 1]).sum(-1)
            space = basis[..., :k]
            for _ in range(2):  # once leaves components of the size of sqrt(eps)
                u = u - (space @ (space.mT @ u.unsqueeze(-1))).squeeze(-1)
            beta = u.norm(dim=-1)
            basis[..., k] = u / torch.where(beta > 0, beta, 1.0).unsqueeze(-1)
            matrix[..., k, k - 1] = matrix[..., k - 1, k] = beta
            if k % 16 == 0 or k == limit:
                rates, ritz = _eigh(matrix[..., :k, :k])
                kept = _above_rounding(rates, points, torch.maximum(self.scale, rates[..., -1])).unsqueeze(-2)
                coupling = torch.zeros_like(rates) if k == points else beta.unsqueeze(-1) * ritz[..., -1, :]
                modes = Modes(rates, (space @ ritz) * kept, size * ritz[..., 0, :], coupling)
                if accurate(modes):
                    break
        return modes


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, increasing, and eigenvectors; infinity and zeros for a matrix that is not finite."""
    finite = torch.isfinite(matrix).all(-1).all(-1)
    rates, vectors = torch.linalg.eigh(torch.where(finite[:, None, None], matrix, 0.0))
    return torch.where(finite[:, None], rates, torch.inf), vectors * finite[:, None, None]


def _above_rounding(rates: Tensor, points: int, scale: Tensor) -> Tensor:
    """Which rates, shape (B, m), are above the rounding error of an M x M kernel of size `scale`, shape (B,); boolean."""
    return rates > points * torch.finfo(rates.dtype).eps * scale.unsqueeze(-1)


def _summary(rates: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest rate, smallest kept rate (infinite if there is none), number of kept rates."""
    smallest = torch.where(kept, rates, torch.inf).amin(-1)
    return rates[..., -1], smallest, kept.sum(-1)
