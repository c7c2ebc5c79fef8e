r"""The mirror map of a finite network: primal parameters, dual coordinates, and the metric between them."""

from __future__ import annotations

from dataclasses import dataclass

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

    Everything is elementwise and broadcasts over leading dimensions.

    Parameters
    ----------
    potential : Potential
        The :math:`\phi` above.
    width : int
        The n above.
    centre : Tensor or None, shape (..., P)
        The start :math:`\theta(0)` of a scaled potential; None: unscaled.

    Notes
    -----
    Hypotheses: :math:`0 < \phi''(0) < \infty` is checked by `require_mobile_start`, not here.
    In a scaled potential u is found from :math:`\theta` with an absolute error of about
    :math:`n \epsilon |\theta|` (machine precision :math:`\epsilon`); z carries no such error, so methods keep z.
    """

    potential: Potential
    width: int
    centre: Tensor | None = None

    @classmethod
    def of(cls, problem: Problem, width: int, start: Tensor) -> MirrorMap:
        """The mirror map of `problem` for networks of `width` units that start at parameters `start`, shape (..., P)."""
        return cls(problem.phi, width, start if problem.scaled else None)

    def _stretched(self, theta: Tensor) -> Tensor:
        return theta if self.centre is None else (theta - self.centre) * self.width

    def to_dual(self, theta: Tensor) -> Tensor:
        r""":math:`z = \nabla\Phi(\theta)`, shape (..., P)."""
        z: Tensor = self.potential.grad(self._stretched(theta))
        return z if self.centre is None else z / self.width

    def to_primal(self, z: Tensor) -> Tensor:
        r""":math:`\theta = (\nabla\Phi)^{-1}(z)`, shape (..., P)."""
        if self.centre is None:
            theta: Tensor = self.potential.grad_inverse(z)
            return theta
        move: Tensor = self.potential.grad_inverse(self.width * z) / self.width
        return self.centre + move

    def inverse_hessian(self, theta: Tensor) -> Tensor:
        r"""Diagonal of :math:`D = (\nabla^2\Phi(\theta))^{-1}`, shape (..., P)."""
        inverse: Tensor = 1 / self.potential.hess(self._stretched(theta))
        return inverse


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
