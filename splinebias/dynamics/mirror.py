r"""The mirror map of a finite network: primal parameters, dual coordinates, and the metric between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from splinebias.errors import DataError
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

    def of_networks(self, kept: Tensor | slice | int | None) -> MirrorMap:
        """The map of the networks `kept` of a batch; of one network for a number, of a batch of one for None."""
        return self if self.centre is None else replace(self, centre=self.centre[kept])

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


def require_mobile_start(problem: Problem) -> None:
    r"""Refuse potentials whose mirror flow is undefined at the start, where output weights sit at zero.

    Raises
    ------
    DataError
        Unless :math:`0 < \phi''(0) < \infty`: at 0 the speed :math:`1/\phi''(0)` would be infinite or zero.
    """
    curvature = problem.phi.hess_at_zero
    if 0 < curvature < float("inf"):
        return
    speed = "infinitely fast" if curvature == 0 else "not at all"
    fix = "add a quadratic part" if curvature == 0 else "use p >= 2 or sb.Hypentropy"
    raise DataError(
        f"training needs a potential with 0 < phi''(0) < inf, got phi''(0) = {curvature:g} for {problem.phi!r}: "
        f"output weights at zero would move {speed}; {fix}, e.g. {_example(problem)}"
    )


def _example(problem: Problem) -> str:
    p = getattr(problem.phi, "p", 0.0)
    return f"sb.Power({p:g}, quadratic=1)" if p > 2 else "sb.Hypentropy(0.1)"
