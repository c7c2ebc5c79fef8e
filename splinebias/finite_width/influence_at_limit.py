r"""Influences at infinite training time of problems with two slopes (theory section 7).

With :math:`S(x) = \sigma(wx + b)`, :math:`H = E[S_X S_X^T/\phi''(\alpha)]` and :math:`C(x) = E[S(x) S_X/\phi''(\alpha)]`,

.. math:: f_n(x) - f(x) = \frac1n \sum_k (u(x; w_k, b_k) - E u(x)) + O(1/n), \qquad
          u(x; w, b) = (S(x) - C(x)^T H^{-1} S_X)\, \alpha(w, b).

S(x) is a tent and what is interpolated between data (see `neuron_quadrature`). Interpolation survives
:math:`S - C^T H^{-1} S_X` untouched, so

.. math:: u = |w|\, \alpha\, \psi_s(x; c), \qquad \psi_s(x; \cdot) = T_x - (\text{projection of } T_x),

onto the dual functions, orthogonal for the weight :math:`E[w^2/\phi''(\alpha) \mid c, s]`. Nothing is subtracted that is
large, and u = 0 at the data, because there the tent is 0. The projection is a bordered tridiagonal system (section 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.finite_width.influence import Influence, InfluenceModel
from splinebias.finite_width.neuron_quadrature import NeuronQuadrature, NeuronsOfSide
from splinebias.limit.hypotheses import require_mobile
from splinebias.numerics.bordered import BorderedTridiagonal


@dataclass(frozen=True, eq=False)
class LimitInfluence(InfluenceModel):
    """The influences of the neurons of one problem on its limit.

    Attributes
    ----------
    neurons : NeuronQuadrature
        The neurons of the limit.
    """

    neurons: NeuronQuadrature

    def at(self, points: Array) -> Influence:
        sides, form = self.neurons.sides(points)
        tents, projections = self._projected(points, sides, form)
        rows, mean = [], np.zeros(points.size)
        for side, tent in zip(sides, tents, strict=True):
            psi = tent - projections @ side.basis
            rows.append(psi * np.sqrt(side.weights * side.square))
            mean += psi @ (side.weights * side.value)
        return Influence(self.neurons.size * np.concatenate(rows, axis=1), self.neurons.size * mean)

    def _projected(self, points: Array, sides: list[NeuronsOfSide], form: BorderedTridiagonal) -> tuple[list[Array], Array]:
        """Tents at the nodes of all sides, and the unknowns of their projections, shape (N, U)."""
        tents, loads = self.neurons.tents(points, sides)
        return tents, np.array([form.solve(load) for load in loads]).reshape(loads.shape)

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        r"""The O(1/n) part of the mean, times n: :math:`\lim n\, E[f_n(x) - f(x)]`, shape (N,), at increasing `points`.

        The second order of the delta method, and the output bias, one more unit with the constant feature 1: with
        :math:`A = (\phi')^{-1}`, :math:`\tilde S = S(x) - C(x)^T H^{-1} S_X` and
        :math:`V = H^{-1} \mathrm{Cov}(S_X \alpha) H^{-1}`

        .. math:: -E[\tilde S A'\, S_X^T H^{-1} S_X\, \alpha] + \tfrac12 E[\tilde S A''\, S_X^T V S_X]
                  + (1 - C(x)^T H^{-1} 1)\, A(\textstyle\sum_i \lambda_i).

        Quadratic problems have A' = 1, A'' = 0. If `copies` units share one draw of (w, b), there are fewer draws: that many
        times the first two terms.

        Raises
        ------
        CapabilityError
            If phi'' is 0 or infinite at 0: there is no expansion in powers of 1/n.
        """
        problem, size = self.neurons.problem, self.neurons.size
        require_mobile(problem.limit_potential, "the mean shift", error=CapabilityError)
        sides, form = self.neurons.sides(points)
        tents, projections = self._projected(points, sides, form)
        inverse, y = np.linalg.pinv(form.dense(), hermitian=True), problem.data.y / size
        spread = sum((side.basis * (side.weights * side.square)) @ side.basis.T for side in sides).toarray()
        equations = self.neurons.equations
        target = equations.target(y)
        variance = inverse @ (spread - np.outer(target, target)) @ inverse
        total = np.zeros(points.size)
        for side, tent in zip(sides, tents, strict=True):
            basis, (pull, bend) = side.basis.toarray(), side.second_order()
            leverage, scatter = ((basis * (form @ basis)).sum(axis=0) for form in (inverse, variance))
            total += (tent - projections @ basis) @ (side.weights * (bend * scatter / 2 - pull * leverage))
        bias = self.neurons.potential.grad_inverse(np.asarray(self.neurons.dual.multipliers().sum()))
        return np.asarray(size * (copies * total - (projections @ equations.target(np.ones(y.size))) * bias))
