r"""Influences where networks start at random functions, on :math:`f_n - f_0` for the average start.

Given its start function a network is one of the data :math:`y - f_0(X)`. At infinite width :math:`f_0(X)` is normal with
covariance :math:`\sigma^2 K_0`, so that the multipliers are those of y and independent normal multiples of those of the
columns :math:`y_j` of :math:`\sigma K_0^{1/2}`. Influences are linear in the data, and so

.. math:: E\,\mathrm{Cov}(u, u' \mid f_0) = \mathrm{Cov}(u, u')(y) + \sum_j \mathrm{Cov}(u, u')(y_j),

for Standard networks at t = infinity, where mean influences are 0, :math:`E[v v' (\alpha^2 + \sigma^2 q)]` with
:math:`q = S_X^T K^{-1} S_X` (derived on the start page).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError
from splinebias.finite_width.influence import Influence, InfluenceModel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.parameterization import Standard
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class RandomStartInfluence(InfluenceModel):
    """The influences of a problem and those of the directions in which its start functions vary.

    Attributes
    ----------
    models : tuple of InfluenceModel
        Of the data themselves, and of every direction.
    """

    models: tuple[InfluenceModel, ...]

    def at(self, points: Array) -> Influence:
        own, *others = (model.at(points) for model in self.models)
        rows = np.concatenate([own.rows, *(other.rows for other in others)], axis=1)
        return Influence(rows, np.stack([own.mean, *(other.mean for other in others)], axis=1))


def start_directions(problem: Problem) -> list[Problem]:
    r"""The problem with each of the :math:`y_j` above for its data.

    Raises
    ------
    CapabilityError
        If the law over starts is not known in closed form: with `NTK`, or a scaled potential that is not quadratic.
    """
    if not problem.linear or not isinstance(problem.parameterization, Standard):
        raise CapabilityError(
            f"errors over random starts are for quadratic or unscaled potentials and Standard(), got {problem.potential} "
            f"and {problem.parameterization}; give one start function (`start=`), or antisymmetric pairs, which start at 0"
        )
    flow = LinearFlow.of(PosedProblem(problem))
    modes, root = flow.modes, flow.residuals.root
    size = np.sqrt(problem.initialization.output_second_moment * modes.rates)
    columns = (size * modes.vectors).T / root
    return [problem.with_ordinates(column) for column in columns if np.abs(column).max() > 0]
