r"""The mirror map of finite networks: primal parameters, dual coordinates, and the metric between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splinebias.potential import Potential
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class MirrorMap:
    r"""Dual coordinates :math:`z = \nabla\Phi(\theta)` of all parameters of networks of width n.

    - unscaled: :math:`\Phi(\theta) = \sum_k \phi(\theta_k)`, not centred, so
      :math:`z = \phi'(\theta)` and :math:`1/\Phi'' = 1/\phi''(\theta)`;
    - scaled: :math:`\Phi(\theta) = n^{-2} \sum_k \phi(u_k)`, :math:`u = n(\theta - \theta(0))`, so
      :math:`z = \phi'(u)/n`, :math:`\theta = \theta(0) + (\phi')^{-1}(nz)/n` and :math:`1/\Phi'' = 1/\phi''(u)`.

    Where a parameter is kept in units of its own (`NTK`: output weights times :math:`n^{-1/2}`), :math:`\Phi` is the above
    of :math:`\theta` in those units. Everything is elementwise; the leading dimensions are networks, whose potentials may
    differ: each gets what the map of its own potential gives.

    Parameters
    ----------
    potentials : tuple of Potential
        The :math:`\phi` above, each one that occurs.
    owner : Tensor of int, shape (...)
        For each network the number of its potential; not looked at if there is one only.
    centre : Tensor or None, shape (..., P)
        The start :math:`\theta(0)` where the potential is scaled, else 0; None: no potential is scaled.
    stretch : Tensor, shape (..., 1)
        The n of the scaled potentials, 1 where unscaled.
    unit : Tensor or None, shape (P,)
        The units; None: 1.
    clock : float
        Training time t per sum of learning rates.

    Notes
    -----
    Hypotheses: :math:`0 < \phi''(0) < \infty` is checked by `hypotheses.require_mobile`, not here.
    In a scaled potential u is found from :math:`\theta` with an absolute error of about
    :math:`n \epsilon |\theta|` (machine precision :math:`\epsilon`); z carries no such error, so methods keep z.
    """

    potentials: tuple[Potential, ...]
    owner: Tensor
    centre: Tensor | None
    stretch: Tensor
    unit: Tensor | None
    clock: float

    @classmethod
    def of(cls, problems: Sequence[Problem], width: int, start: Tensor) -> MirrorMap:
        """The map of equally many networks for each of `problems`, one problem after the other, from `start`, (..., P)."""
        parameterization, each = problems[0].parameterization, start[..., :1]
        owner = torch.zeros_like(each[..., 0], dtype=torch.long)
        if len(problems) > 1:
            owner = torch.arange(len(problems), device=start.device).repeat_interleave(start.shape[0] // len(problems))
        scaled = torch.tensor([problem.scaled for problem in problems], device=start.device)[owner].unsqueeze(-1)
        unit = None
        if (scale := parameterization.output_scale(width)) != 1:
            unit = start.new_ones(start.shape[-1])
            unit[-width - 1 :] = scale  # a and d
        return cls(
            potentials=tuple(problem.phi for problem in problems),
            owner=owner,
            centre=torch.where(scaled, start, 0.0) if bool(scaled.any()) else None,
            stretch=torch.where(scaled, float(width), torch.ones_like(each)),
            unit=unit,
            clock=parameterization.clock(width),
        )

    def of_networks(self, kept: Tensor | slice) -> MirrorMap:
        """The map of the networks number `kept` of a batch."""
        return self._part(kept, kept, self.unit)

    def of_hidden(self, row: Tensor, column: Tensor) -> MirrorMap:
        """The map of some hidden parameters of a batch, those of networks `row`, (K, 1), at `column`, (K, m): on (K, m)."""
        return self._part(row[:, 0], (row, column), None)  # only output weights have units of their own

    def _part(self, networks: Any, parameters: Any, unit: Tensor | None) -> MirrorMap:
        centre = None if self.centre is None else self.centre[parameters]
        return replace(self, owner=self.owner[networks], centre=centre, stretch=self.stretch[networks], unit=unit)

    def to_dual(self, theta: Tensor) -> Tensor:
        r""":math:`z = \nabla\Phi(\theta)`, shape (..., P)."""
        z = self._each(lambda phi, u: phi.grad(u), self._stretched(theta))
        if self.unit is not None:
            z = z / self.unit
        return z if self.centre is None else z / self.stretch

    def to_primal(self, z: Tensor) -> Tensor:
        r""":math:`\theta = (\nabla\Phi)^{-1}(z)`, shape (..., P)."""
        if self.unit is not None:
            z = self.unit * z
        u = self._each(lambda phi, z: phi.grad_inverse(z), z if self.centre is None else self.stretch * z)
        if self.unit is not None:
            u = self.unit * u
        return u if self.centre is None else self.centre + u / self.stretch

    def inverse_hessian(self, theta: Tensor) -> Tensor:
        r"""Diagonal of :math:`D = (\nabla^2\Phi(\theta))^{-1}`, shape (..., P)."""
        inverse = 1 / self._each(lambda phi, u: phi.hess(u), self._stretched(theta))
        return inverse if self.unit is None else self.unit**2 * inverse

    def _stretched(self, theta: Tensor) -> Tensor:
        u = theta if self.centre is None else (theta - self.centre) * self.stretch
        return u if self.unit is None else u / self.unit

    def _each(self, apply: Callable[[Potential, Tensor], Tensor], values: Tensor) -> Tensor:
        """`apply` with each potential to its networks, shape (B, ...) to (B, ...)."""
        if len(self.potentials) == 1:
            return apply(self.potentials[0], values)
        result = torch.empty_like(values)
        for number, potential in enumerate(self.potentials):
            mine = self.owner == number
            if bool(mine.any()):  # its networks may have left the batch
                result[mine] = apply(potential, values[mine])
        return result
