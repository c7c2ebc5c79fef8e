"""Whether a band exists: a unique limit, and finite second moments of the influence of one neuron."""

from __future__ import annotations

import numpy as np

from splinebias.errors import DataError
from splinebias.finite_width.influence import growth
from splinebias.initialization.laws import as_law
from splinebias.limit.hypotheses import dead_directions, require_limit, require_moments
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.parameterization import NTK
from splinebias.problem import Problem


def check_second_moments(problem: Problem) -> None:
    r"""Refuse laws with which :math:`E[u^2]` is infinite for the influence u of one neuron.

    Weights and biases need moments of order :math:`2(1 + a)k`, with the degree k of the activation and
    :math:`(\phi')^{-1}(z) \sim z^a`; with `NTK`, output weights need one of order 4. What depends on the data, too, is found
    by `NeuronQuadrature`.

    Raises
    ------
    DataError
        If a law has no such moment.
    CapabilityError
        With `MeanField`, whose networks have no limit in closed form.
    """
    require_limit(problem)
    why = "errors then shrink more slowly than n^(-1/2); choose lighter tails"
    order = 2 * (1 + growth(problem.limit_potential))
    require_moments(problem, order, "one neuron's contribution has a finite variance only with", why, bias=not problem.free)
    if isinstance(problem.parameterization, NTK) and not as_law(problem.initialization.output, "output").has_moment(4):
        raise DataError(
            "the variance of one neuron's contribution is infinite: the `output` law has no finite moment of order 4; "
            "choose lighter tails"
        )


def check_unique(posed: PosedProblem) -> None:
    """Refuse a problem of two slopes whose limit is not unique: no neuron sees some direction.

    Raises
    ------
    DataError
        Which says the direction.
    """
    dead = dead_directions(posed)
    x = posed.problem.data.x
    inner = np.flatnonzero(dead.points[1:-1]) + 1
    if inner.size:
        i = inner[0]
        raise DataError(
            f"the limit is not unique: no neuron can bend the function from x = {x[i - 1]:g} to {x[i + 1]:g}, so networks "
            f"cannot follow the point x = {x[i]:g}; use a law whose breakpoints -b/w reach it, or drop the point"
        )
    if dead.affine and not posed.problem.free:
        what = "neither slope nor offset" if dead.affine == 2 else "one combination of slope and offset"
        raise DataError(
            f'H is singular: the neurons supply {what} of their own; use affine="free" or a law with breakpoints on '
            "both sides of the data"
        )


def check_told_apart(flow: LinearFlow) -> None:
    """Refuse a quadratic problem of any activation whose limit is not unique to rounding.

    Raises
    ------
    DataError
        Which says the data that no neuron tells apart.
    """
    modes, known = flow.modes, 1e-3  # relative accuracy of rates, hence of bands, up to which H counts as regular
    unseen = np.flatnonzero(modes.blur > known * modes.rates)
    if unseen.size:
        direction = np.abs(modes.vectors[:, unseen[-1]])
        places = ", ".join(f"{x:g}" for x in flow.problem.data.x[direction > direction.max() / 4][:6])
        raise DataError(
            f"H is singular to rounding: no neuron tells the data at x = {places} apart; drop some of these points, or "
            "use a law whose breakpoints -b/w reach all of them"
        )
