r"""The mirror map of a finite network: primal parameters, dual coordinates, and the metric between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from splinebias.potential import Potential
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class MirrorMap:
    r"""Dual coordinates :math:`z = \nabla\Phi(\theta)` of all parameters of a width-n network.

    - unscaled: :math:`\Phi(\theta) = \sum_k \phi(\theta_k)`, not centred, so
      :math:`z = \phi'(\theta)` and :math:`1/\Phi'' = 1/\phi''(\theta)`;
    - scaled: :math:`\Phi(\theta) = n^{-2} \sum_k \phi(u_k)`, :math:`u = n(\theta - \theta(0))`, so
      :math:`z = \phi'(u)/n`, :math:`\theta = \theta(0) + (\phi')^{-1}(nz)/n` and :math:`1/\Phi'' = 1/\phi''(u)`.

    Where a parameter is kept in units of its own (`NTK`: output weights times :math:`n^{-1/2}`), :math:`\Phi` is the above
    of :math:`\theta` in those units. Everything is elementwise and broadcasts over leading dimensions.

    Parameters
    ----------
    potential : Potential
        The :math:`\phi` above.
    width : int
        The n above.
    centre : Tensor or None, shape (..., P)
        The start :math:`\theta(0)` of a scaled potential; None: unscaled.
    unit : Tensor or None, shape (P,)
        The units; None: 1.
    clock : float
        Training time t per sum of learning rates.

    Notes
    -----
    Hypotheses: :math:`0 < \phi''(0) < \infty` is checked by `require_mobile_start`, not here.
    In a scaled potential u is found from :math:`\theta` with an absolute error of about
    :math:`n \epsilon |\theta|` (machine precision :math:`\epsilon`); z carries no such error, so methods keep z.
    """

    potential: Potential
    width: int
    centre: Tensor | None = None
    unit: Tensor | None = None
    clock: float = 1.0

    @classmethod
    def of(cls, problem: Problem, width: int, start: Tensor) -> MirrorMap:
        """The mirror map of `problem` for networks of `width` units that start at parameters `start`, shape (..., P)."""
        parameterization, unit = problem.parameterization, None
        if (scale := parameterization.output_scale(width)) != 1:
            unit = start.new_ones(start.shape[-1])
            unit[2 * width :] = scale  # a and d
        return cls(problem.phi, width, start if problem.scaled else None, unit, parameterization.clock(width))

    def of_network(self, number: int) -> MirrorMap:
        """The map of one network of a batch."""
        return self if self.centre is None else replace(self, centre=self.centre[number])

    def of_networks(self, kept: Tensor | slice) -> MirrorMap:
        """The map of the networks `kept` of a batch: a boolean of shape (B,), numbers, or a slice."""
        return self if self.centre is None else replace(self, centre=self.centre[kept])

    def of_hidden(self, row: Tensor, column: Tensor) -> MirrorMap:
        """The map of some hidden parameters of a batch, those of networks `row`, (K, 1), at `column`, (K, m): on (K, m)."""
        centre = None if self.centre is None else self.centre[row, column]
        return replace(self, centre=centre, unit=None)  # only output weights have units of their own

    def as_batch(self) -> MirrorMap:
        """The map of a single network, for a batch of one."""
        return self if self.centre is None else replace(self, centre=self.centre[None])

    def _stretched(self, theta: Tensor) -> Tensor:
        u = theta if self.centre is None else (theta - self.centre) * self.width
        return u if self.unit is None else u / self.unit

    def to_dual(self, theta: Tensor) -> Tensor:
        r""":math:`z = \nabla\Phi(\theta)`, shape (..., P)."""
        z: Tensor = self.potential.grad(self._stretched(theta))
        if self.unit is not None:
            z = z / self.unit
        return z if self.centre is None else z / self.width

    def to_primal(self, z: Tensor) -> Tensor:
        r""":math:`\theta = (\nabla\Phi)^{-1}(z)`, shape (..., P)."""
        if self.unit is not None:
            z = self.unit * z
        u: Tensor = self.potential.grad_inverse(z if self.centre is None else self.width * z)
        if self.unit is not None:
            u = self.unit * u
        return u if self.centre is None else self.centre + u / self.width

    def inverse_hessian(self, theta: Tensor) -> Tensor:
        r"""Diagonal of :math:`D = (\nabla^2\Phi(\theta))^{-1}`, shape (..., P)."""
        inverse: Tensor = 1 / self.potential.hess(self._stretched(theta))
        return inverse if self.unit is None else self.unit**2 * inverse


@dataclass(frozen=True, eq=False)
class MirrorMaps:
    r"""The mirror map of a batch of B networks that do not all have the same potential.

    Every network gets what the map of its own potential gives, whatever the others: a map acts elementwise.

    Parameters
    ----------
    maps : tuple of MirrorMap
        One per potential, for the networks that have it; all with the same `width`, `unit` and `clock`.
    places : tuple of Tensor of int
        For each map the numbers of its networks in the batch, increasing; every network is in one of them.
    """

    maps: tuple[MirrorMap, ...]
    places: tuple[Tensor, ...]

    @classmethod
    def of(cls, problems: Sequence[Problem], width: int, start: Tensor) -> BatchMirrorMap:
        """The map of equally many networks for each of `problems`, one problem after the other, from `start`, (B, P)."""
        numbers = torch.arange(start.shape[0], device=start.device).chunk(len(problems))
        return cls._joined(
            [(MirrorMap.of(problem, width, start[k]), k) for problem, k in zip(problems, numbers, strict=True)]
        )

    @classmethod
    def _joined(cls, parts: list[tuple[MirrorMap, Tensor]]) -> BatchMirrorMap:
        """The map made of `parts`, maps with their places, without those that have no place; a plain one if one is left."""
        used = [part for part in parts if part[1].numel()] or parts[:1]  # lists of hidden parameters may be empty
        return used[0][0] if len(used) == 1 else cls(*(tuple(column) for column in zip(*used, strict=True)))

    @property
    def clock(self) -> float:
        """Training time t per sum of learning rates."""
        return self.maps[0].clock

    @cached_property
    def _size(self) -> int:
        """Number B of networks."""
        return sum(place.numel() for place in self.places)

    @cached_property
    def _owner(self) -> tuple[Tensor, Tensor]:
        """For each network the number of its map and its number among the networks of that map, each (B,)."""
        owner, rank = (torch.empty(self._size, dtype=torch.long, device=self.places[0].device) for _ in range(2))
        for number, place in enumerate(self.places):
            owner[place], rank[place] = number, torch.arange(place.numel(), device=place.device)
        return owner, rank

    def of_network(self, number: int) -> MirrorMap:
        """The map of one network of the batch."""
        owner, rank = (int(values[number]) for values in self._owner)
        return self.maps[owner].of_network(rank)

    def of_networks(self, kept: Tensor | slice) -> BatchMirrorMap:
        """The map of the networks `kept` of the batch: a boolean of shape (B,), or a slice."""
        chosen = torch.zeros(self._size, dtype=torch.bool, device=self.places[0].device)
        chosen[kept] = True
        number = chosen.cumsum(0) - 1
        pairs = zip(self.maps, self.places, strict=True)
        return self._joined([(mirror.of_networks(chosen[k]), number[k[chosen[k]]]) for mirror, k in pairs])

    def of_hidden(self, row: Tensor, column: Tensor) -> BatchMirrorMap:
        """As `MirrorMap.of_hidden`."""
        owner, rank = (values[row] for values in self._owner)
        parts = []
        for number, mirror in enumerate(self.maps):
            place = (owner[:, 0] == number).nonzero()[:, 0]
            parts.append((mirror.of_hidden(rank[place], column[place]), place))
        return self._joined(parts)

    def _each(self, apply: Callable[[MirrorMap, Tensor], Tensor], values: Tensor) -> Tensor:
        """`apply` to the networks of each map, shape (B, ...) to (B, ...)."""
        result = torch.empty_like(values)
        for mirror, place in zip(self.maps, self.places, strict=True):
            result[place] = apply(mirror, values[place])
        return result

    def to_dual(self, theta: Tensor) -> Tensor:
        """As `MirrorMap.to_dual`, shape (B, P)."""
        return self._each(MirrorMap.to_dual, theta)

    def to_primal(self, z: Tensor) -> Tensor:
        """As `MirrorMap.to_primal`, shape (B, P)."""
        return self._each(MirrorMap.to_primal, z)

    def inverse_hessian(self, theta: Tensor) -> Tensor:
        """As `MirrorMap.inverse_hessian`, shape (B, P)."""
        return self._each(MirrorMap.inverse_hessian, theta)


BatchMirrorMap = MirrorMap | MirrorMaps
"""The mirror map of a batch."""
