r"""sparse_limit: what scaled potentials with exponents towards one lead to, by a linear program without a grid.

Source: derived here, by linear duality.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog

from splinebias._arguments import known_keywords
from splinebias._array import Array
from splinebias._result import DrawnFunction
from splinebias.errors import CapabilityError, Outcome, SolveError
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.initialization.laws import Discrete, Law
from splinebias.initialization.weight_bias_laws import Independent
from splinebias.limit.hypotheses import require_reachable
from splinebias.limit.posed_problem import PosedProblem
from splinebias.problem import Problem, require_problem

_MOST_POINTS = 500


@dataclass(frozen=True, eq=False)
class SparseLimit(DrawnFunction):
    r"""The limit p to 1 of a problem, see `sparse_limit`; ``limit(x, nu=0)`` is `function`.

    Attributes
    ----------
    problem : Problem
        Its data, law, activation and affine part.
    function : PiecewiseLinear
        A minimizer.
    cost : float
        The least :math:`E|\alpha|`.
    weights, biases, masses : Array, shape (K,)
        The units (w, b) that carry it, and what each carries: :math:`f = \sum_k \nu_k \sigma(w_k x + b_k)`, plus a line if
        that is free.
    residual : float
        Relative: excess of :math:`|G|` over 1 on the support of the law, gap between the cost and what G proves, misfit.
    outcome : Outcome
        CONVERGED, or INACCURATE when the residual is above 1e-8.
    multipliers : Array, shape (M,)
        The :math:`\lambda_i` of G.
    """

    problem: Problem
    function: PiecewiseLinear
    cost: float
    weights: Array
    biases: Array
    masses: Array
    residual: float
    outcome: Outcome
    multipliers: Array = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"SparseLimit({self.problem.data!r}, {self.problem.activation}; cost {self.cost:.6g}, {self.masses.size} "
            f"units, residual {self.residual:.1e}, {self.outcome})"
        )


@known_keywords
def sparse_limit(problem: Problem) -> SparseLimit:
    r"""The function that `predict` approaches for ``Scaled(Power(p))`` as p tends to 1 from above.

    .. math:: \min \int |\nu|(dw, db) \quad\text{with}\quad \int \sigma(w x_i + b)\, \nu(dw, db) = y_i,

    over measures on the *support* of the law; its density does not matter any more. With
    :math:`G(w, b) = \sum_i \lambda_i \sigma(w x_i + b)` the dual asks for :math:`|G| \le 1` there. G is linear between the
    lines :math:`w x_i + b = 0`, and the support of independent laws is a rectangle, or segments: it suffices to look at
    corners and at where those lines meet sides, which makes a finite linear program without any grid.

    Parameters
    ----------
    problem : Problem
        Data, law, activation with two slopes, affine part. The potential is not looked at.

    Returns
    -------
    SparseLimit
        With ``affine="free"`` the function takes a line for free.

    Raises
    ------
    DataError
        If no neuron of the law can supply what the data ask for.
    CapabilityError
        For laws other than independent ones with bounded support: where weights are unbounded the least cost is 0, since
        ever larger weights need ever less output. For other activations; for more than 500 points.

    Notes
    -----
    *Hypotheses, not checked:* the law's density is positive on all of its support (a gap inside it is filled). Where the
    minimizer is not unique the limit picks one of several, and so does the linear program, perhaps another.
    Source: derived here.

    Examples
    --------
    >>> import scipy.stats as st
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0.35, 0.65, 1], [0.15, 0.15, -0.15, 0.15])
    >>> limit = sb.sparse_limit(sb.Problem(data, sb.Initialization.rademacher(st.uniform(-1, 2)), sb.Abs()))
    >>> limit.function.knots.round(9).tolist(), round(2 * limit.cost, 9)
    ([-1.0, 0.35, 0.65, 1.0], 3.714285714)
    """
    require_problem(problem)
    activation, data = problem.two_slopes, problem.data
    if data.size > _MOST_POINTS:
        raise CapabilityError(f"it takes at most {_MOST_POINTS} points, got {data.size}; thin them out")
    w, b = _corners(problem)
    require_reachable(PosedProblem(problem))
    features = np.asarray(activation.value(data.x[:, None] * w + b))
    line = np.stack([np.ones(data.size), data.x], axis=1) if problem.free else np.zeros((data.size, 0))
    masses, linear, multipliers = _program(features, line, data.y)
    used = masses != 0
    residual = _residual(features, line, data.y, masses, linear, multipliers)
    skip = (float(linear[1]), float(linear[0])) if problem.free else (0.0, 0.0)
    return SparseLimit(
        problem,
        PiecewiseLinear.from_units(w[used], b[used], masses[used], 0.0, activation, skip=skip),
        float(np.abs(masses).sum()),
        w[used],
        b[used],
        masses[used],
        residual,
        Outcome.CONVERGED if residual <= 1e-8 else Outcome.INACCURATE,
        multipliers,
    )


def _residual(features: Array, line: Array, y: Array, masses: Array, linear: Array, multipliers: Array) -> float:
    """Excess of \\|G\\| over 1, relative gap, what G pulls at a free line, and the misfit, whichever is largest."""
    tiny = float(np.finfo(float).tiny)
    cost, largest = float(np.abs(masses).sum()), float(np.abs(multipliers @ features).max(initial=0.0))
    gap = abs(cost - float(multipliers @ y) / max(largest, 1.0)) / cost if cost else 0.0
    misfit = np.abs(features @ masses + line @ linear - y).max() / max(np.abs(y).max(), tiny)
    pull = np.abs(line.T @ multipliers) / np.maximum(np.abs(line).T @ np.abs(multipliers), tiny)
    return float(max(largest - 1, gap, misfit, pull.max(initial=0.0), 0.0))


def _corners(problem: Problem) -> tuple[Array, Array]:
    """Units (w, b) at which \\|G\\| can be largest on the support of the law."""
    pair = problem.initialization.pair_law
    if not isinstance(pair, Independent):
        raise CapabilityError(
            f"the support must be that of independent weights and biases, got {problem.initialization}; for the unit circle "
            "and ReLU this is minimum_norm(data, penalize_bias=True, affine='network', output_bias=False)"
        )
    weight, bias = (_support(law) for law in pair.laws)
    for name, ends in (("weight", weight), ("bias", bias)):
        if not np.isfinite(ends).all():
            raise CapabilityError(
                f"the support of the `{name}` law must be bounded, got {problem.initialization}: larger and larger weights "
                "would make the cost vanish; take a bounded law such as Initialization.uniform(w_max, b_max)"
            )
    x = problem.data.x
    units = [(w, b) for w in weight for b in bias]
    if not isinstance(pair.laws[1], Discrete):  # sides of constant w
        units += [(w, c) for w in weight for c in -w * x if bias[0] < c < bias[-1]]
    if not isinstance(pair.laws[0], Discrete):  # sides of constant b
        crossing = [(-b / at, b) for b in bias for at in x if at != 0]
        units += [(w, b) for w, b in crossing if weight[0] < w < weight[-1]]
    found = np.unique(np.array(units, dtype=float), axis=0)
    return found[:, 0], found[:, 1]


def _support(law: Law) -> Array:
    """The values of a discrete law, the ends of any other one."""
    return np.array(law.values if isinstance(law, Discrete) else law.support, dtype=float)


def _program(features: Array, line: Array, y: Array) -> tuple[Array, Array, Array]:
    """Masses, line and multipliers of the linear program, exact for the units that it picks."""
    size, height, scale = features.shape[1], float(np.abs(y).max()) or 1.0, float(np.abs(features).max()) or 1.0
    found = linprog(
        np.r_[np.ones(2 * size), np.zeros(line.shape[1])],
        A_eq=np.hstack([features / scale, -features / scale, line]),
        b_eq=y / height,
        bounds=[(0, None)] * (2 * size) + [(None, None)] * line.shape[1],
        method="highs-ds",
    )
    if found.x is None:
        raise SolveError(f"the linear program was not solved ({found.message}); scale the data to about [-1, 1]")
    masses = (found.x[:size] - found.x[size : 2 * size]) * height / scale
    used = np.abs(masses) > 1e-10 * np.abs(masses).max(initial=0.0)
    columns, kept = np.hstack([features[:, used], line]), int(used.sum())
    exact = np.linalg.lstsq(columns, y, rcond=None)[0]
    better = np.zeros(size)
    better[used] = exact[:kept]
    multipliers = found.eqlin.marginals / scale
    target = np.r_[np.sign(masses[used]), np.zeros(line.shape[1])]
    multipliers = multipliers + np.linalg.lstsq(columns.T, target - columns.T @ multipliers, rcond=None)[0]
    return better, np.asarray(exact[kept:], dtype=float), np.asarray(multipliers, dtype=float)
