r"""A spot check of predictions: E[alpha sigma(wx + b)] from the multipliers, by a rule that no solver uses.

For two-slope activations and parameterization `Standard` the curvature of side s at a breakpoint c is

.. math:: I_s(c) = \int v\, (\phi')^{-1}(v\, g_s(c))\, \rho_s(c, v)\, dv, \qquad
          g_s(c) = \sum_i \lambda_i \sigma(s(x_i - c)),

and these must hold, each a sum of integrals between data, ends and quantiles of the law, and zeros of g:

.. math:: f(m) - \tfrac12 (f(l) + f(r)) = -\kappa \int_l^r G(m, c)\, I(c)\, dc, \qquad
          f(x) - f(e) - f'(e)(x - e) = \kappa \int_e^x (x - c)\, I(c)\, dc,

at midpoints m of gaps (l, r) between data and at x beyond the outermost datum e, with Green's function G of the gap and the
activation's jump of slope :math:`\kappa`; unless the affine part is free, also value and slope at the first datum:
:math:`E[\alpha\sigma(wx_1 + b)]` and :math:`E[\alpha w \sigma'(wx_1 + b)]`. Each of these is local or well conditioned,
where :math:`\sum_i \lambda_i K(x, x_i)` would have lost all digits at some hundred points. For powers of ReLU, `NTK`
and smooth neurons that sum is what there is: it is taken at a few points, with its rounding in the bound; of several inputs,
too (`powers`, `smooth`, `points`).

The rule is the double exponential one, in c and, for laws with a density of (w, b), in v; where densities are polynomials,
between many data, and, of random weights, where no dual function vanishes at an end, it is Fejer's (`stretches`). Of many
data with a free line, two sums over all of them take the place of value and slope. Part of the nodes of a rule gives the
bound on its error. Where the solve itself was made short, it is looked at briefly (`of_bends`). Solvers use Gauss-Legendre
rules on cells that resolve the law, and eliminate :math:`\lambda`; nothing is truncated here that they truncate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import Homogeneous
from splinebias.data import Points
from splinebias.errors import Outcome
from splinebias.limit.prediction import Prediction, beyond_bending
from splinebias.limit.second_opinion.checks import of_bends
from splinebias.limit.second_opinion.functional import Functionals
from splinebias.limit.second_opinion.powers import of_powers
from splinebias.limit.second_opinion.smooth import of_smooth


class Opinion(NamedTuple):
    """What the spot check found.

    Attributes
    ----------
    misfit : float
        How far the function is from what its multipliers say it is, beyond the `bound`, relative to max |y|, or beyond the
        data to |f| there if that is more.
    bound : float
        By how much the check itself may be wrong, in the same unit; infinity: by anything, in one of its parts.
    """

    misfit: float
    bound: float


def checked(prediction: Prediction, tolerance: float, *, brief: bool = False) -> Prediction:
    """The prediction with the misfit of the spot check in its residual; INACCURATE if that is above `tolerance`."""
    return _with(prediction, second_opinion(prediction, brief=brief), tolerance)


def _with(prediction: Prediction, opinion: Opinion, tolerance: float) -> Prediction:
    """The prediction with an opinion of it."""
    residual = float(np.max([prediction.residual, opinion.misfit]))  # not max(), which may drop a NaN
    outcome = prediction.outcome if opinion.misfit <= tolerance else Outcome.INACCURATE
    stats = prediction.stats | {"second_opinion": opinion.misfit, "second_opinion_bound": opinion.bound}
    return replace(prediction, residual=residual, outcome=outcome, stats=stats)


def noted(prediction: Prediction) -> Prediction:
    """With the misfit in `stats` only: of a solver with a grid, whose residual is that of the problem on its grid."""
    opinion = second_opinion(prediction)
    stats = prediction.stats | {"second_opinion": opinion.misfit, "second_opinion_bound": opinion.bound}
    return replace(prediction, stats=stats)


def checked_together(predictions: Sequence[Prediction], tolerance: float) -> tuple[Prediction, ...]:
    """As `checked`, for one problem of smooth neurons at several times: features are worked out once."""
    with np.errstate(all="ignore"):
        found = of_smooth(predictions)
        opinions = [_judged(numbers, of.problem.data.y) for numbers, of in zip(found, predictions, strict=True)]
    return tuple(_with(of, opinion, tolerance) for of, opinion in zip(predictions, opinions, strict=True))


@np.errstate(all="ignore")
def second_opinion(prediction: Prediction, *, brief: bool = False) -> Opinion:
    """The spot check of a prediction of the limit; `brief`: at fewer places, where the solve itself was made short."""
    problem = prediction.problem
    try:
        if isinstance(problem.data, Points):
            from splinebias.limit.second_opinion.points import of_points  # one input does without

            found = of_points(prediction)
        elif not isinstance(problem.activation, Homogeneous):
            found = of_smooth([prediction])[0]
        else:
            bends = beyond_bending(problem) is None
            found = of_bends(prediction, brief=brief) if bends else of_powers(prediction)
    except (ArithmeticError, ValueError):  # a potential or a law of one's own that does not take sizes so far out
        return Opinion(0.0, math.inf)
    return _judged(found, problem.data.y)


def _judged(found: Functionals, y: Array) -> Opinion:
    """The opinion from what was found of a function through data with ordinates y."""
    if not found.said.size:
        return Opinion(0.0, math.inf)
    unit = np.fmax(max(float(y.max()), -float(y.min())) or 1.0, found.scale)
    known = found.bound <= unit  # else out of the range of doubles, or not summed: the check knows nothing
    misfit = float(np.where(known, (np.abs(found.said - found.integral) - found.bound) / unit, 0.0).max())
    bound = float((found.bound / unit).max()) if known.all() else math.inf
    return Opinion(max(misfit, 0.0), bound)  # a misfit of NaN stays one
