r"""The limit of networks of smooth neurons: least :math:`E[\alpha^2]` over a quadrature of the law of (w, b)."""

from __future__ import annotations

import math
import time as clock
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from splinebias._arguments import known_keywords
from splinebias._array import Array
from splinebias.activation import Activation, Homogeneous
from splinebias.data import Dataset
from splinebias.errors import DataError, Outcome
from splinebias.functions.smooth_units import SmoothUnits
from splinebias.limit.kernels.neuron_rules import NeuronRule, neuron_rules, unknown_law
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, require
from splinebias.parameterization import Standard
from splinebias.potential import Quadratic
from splinebias.problem import Problem

_MOST_POINTS = 300
_NUMBERS = 60_000_000  # features at the data that are held at once
_CUT = 1e-14  # singular values below this share of the largest are rounding


@known_keywords
@dataclass(frozen=True)
class SmoothSolver(Solver):
    r""":math:`f = K(\cdot, X) K(X, X)^{-1} y`, :math:`K(x, x') = E[\sigma(wx + b)\sigma(wx' + b)]`, for smooth activations.

    The expectation is a quadrature, so f is a network of its nodes, :math:`f(x) = E[\alpha(w, b) \sigma(wx + b)]` with the
    least :math:`E[\alpha^2]`, found by a singular value decomposition of the features at the data. At training time t mode
    j of the residual has decayed by :math:`e^{-s_j^2 t}`, :math:`s_j` the singular values with the root of the weights.

    Parameters
    ----------
    tolerance : float
        Residual above which the outcome is INACCURATE, > 0: the largest of the misfit at the data and the distance of the
        functions of two rules on the default interval, both relative to max \|y\|.

    Raises
    ------
    DataError
        If `tolerance` is no number > 0.

    Notes
    -----
    Takes `Dataset` of at most 300 points, `Standard` networks, unscaled potentials and scaled quadratic ones; laws of
    independent w and b, the unit circle, joint normal ones and mixtures of these. Decay rates of smooth kernels fall
    exponentially with their number: the limit at time infinity is exact, but networks reach the last modes at times that
    nobody waits for. Compare a network at its own time: ``predict(problem, time=run.time)``.
    *Hypotheses checked:* the moments that the growth of the activation asks for. *Not checked:* a large width.
    Source: Jin & Montufar (2023), the linear problem of wide networks, whatever the activation; the quadrature is ours.
    """

    tolerance: float = 1e-6
    exact: ClassVar[bool] = False

    def supports(self, problem: Problem) -> str | None:
        if isinstance(problem.activation, Homogeneous):
            return f"it takes smooth activations such as sb.Tanh(), got {problem.activation}; leave `solver` out"
        if not isinstance(problem.data, Dataset):
            return f"with smooth neurons the limit is known of one input, an sb.Dataset, got {problem.data!r}"
        if not isinstance(problem.parameterization, Standard):
            return (
                f"with smooth neurons the limit is known of Standard() networks, got {problem.parameterization}: the kernel "
                "of their hidden layer is not integrated here"
            )
        if not isinstance(problem.limit_potential, Quadratic) and problem.phi.stiffness is None:
            return (
                f"with smooth neurons the limit is known of quadratic problems only, and the scaled potential is "
                f"{problem.phi}; take sb.Quadratic(), or leave the potential unscaled"
            )
        if problem.data.size > _MOST_POINTS:
            return f"with smooth neurons it takes at most {_MOST_POINTS} points, got {problem.data.size}"
        return unknown_law(problem.initialization.pair_law)

    def solve(self, problem: Problem) -> Prediction:
        require(self, problem)
        return self.at(problem, [math.inf])[0]

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        return self.solve(posed.problem)

    def at(self, problem: Problem, times: list[float]) -> list[Prediction]:
        """f_t at training times >= 0, infinity for the limit; DataError if the law lacks moments."""
        began = clock.perf_counter()
        _require_growth(problem)
        x = np.linspace(*problem.default_interval, 65)
        size = float(np.abs(problem.data.y).max()) or 1.0
        found = found_before = None
        for rule in neuron_rules(problem.initialization.pair_law):
            if found is not None and rule.mass.size * problem.data.size > _NUMBERS:
                break
            found_before, found = found, [_Fit.of(problem, rule, t) for t in times]
            if found_before is not None:
                apart = [
                    np.abs(one.function(x) - two.function(x)).max() for one, two in zip(found_before, found, strict=True)
                ]
                if max(apart) <= 0.1 * self.tolerance * size:
                    break
        assert found is not None
        gaps = apart if found_before is not None else [math.inf] * len(times)
        return [
            self._made(problem, fit, t, float(gap) / size, began) for fit, t, gap in zip(found, times, gaps, strict=True)
        ]

    def _made(self, problem: Problem, fit: _Fit, t: float, gap: float, began: float) -> Prediction:
        y, w = problem.data.y, problem.data.weights
        left = fit.function(problem.data.x) - y
        misfit = float(np.abs(left).max()) / (float(np.abs(y).max()) or 1.0) if t == math.inf else 0.0
        residual = max(misfit, gap)
        ended = Outcome.CONVERGED if t == math.inf else Outcome.REACHED_TIME
        stiffness = (problem.phi.stiffness or 1.0) if problem.scaled else 1.0
        return Prediction(
            problem,
            fit.function,
            fit.cost * stiffness / 2 if problem.scaled else fit.cost,
            residual,
            ended if residual <= self.tolerance else Outcome.INACCURATE,
            stiffness * fit.multipliers,
            {
                "solver": "SmoothSolver",
                "neurons": fit.function.a.size,
                "quadrature_error": gap,
                "time": t,
                "loss": float(w @ left**2 / w.sum()) / 2,
                "seconds": clock.perf_counter() - began,
            },
        )


class _Fit(NamedTuple):
    r"""A function, its :math:`E[\alpha^2]`, and the :math:`\lambda` with :math:`\alpha = \sum_i \lambda_i \sigma_i`."""

    function: SmoothUnits
    cost: float
    multipliers: Array

    @classmethod
    def of(cls, problem: Problem, rule: NeuronRule, t: float) -> _Fit:
        """The fit by a rule for neurons, at training time t."""
        data, act = problem.data, problem.activation
        root, share = np.sqrt(data.weights / data.weights.sum()), np.sqrt(rule.mass)
        plain = root[:, None] * act.value(np.multiply.outer(data.x, rule.w) + rule.b) * share
        lines = np.linalg.qr(root[:, None] * np.c_[data.x - data.x.mean(), np.ones(data.size)])[0]
        features, target = plain, root * data.y
        if problem.free:
            features = plain - lines @ (lines.T @ plain)
            target = target - lines @ (lines.T @ target)
        u, s, v = np.linalg.svd(features, full_matrices=False)
        kept = s > _CUT * s[0] if s.size else s > 0
        u, s, v = u[:, kept], s[kept], v[kept]
        if problem.free:  # what rounding left of lines counts beside the smallest values
            u -= lines @ (lines.T @ u)
        done = 1.0 if t == math.inf else -np.expm1(-(s**2) * t / problem.phi.hess_at_zero)
        reached = done * (u.T @ target) / s
        alpha = reached @ v
        skip = (0.0, 0.0)
        if problem.free:
            slope, intercept = np.linalg.lstsq(
                root[:, None] * np.c_[data.x, np.ones(data.size)], root * data.y - plain @ alpha, rcond=None
            )[0]
            skip = float(slope), float(intercept)
        function = SmoothUnits(rule.w, rule.b, share * alpha, 0.0, act, skip)
        return cls(function, float(reached @ reached), root * (u @ (reached / s)))


def _require_growth(problem: Problem) -> None:
    """Raise DataError unless the features have second moments."""
    power = _growth(problem.activation)
    if not math.isfinite(power):
        raise DataError(f"{problem.activation!r} grows faster than any power, or is not finite: no law is known to suit it")
    lacking = problem.initialization.pair_law.lacks_moment(2 * power, weight_only=False) if power > 1 else None
    if lacking is not None:
        raise DataError(
            f"{problem.activation!r} needs moments of order {2 * power:.3g} of {lacking} has none; take lighter tails"
        )


def _growth(activation: Activation) -> float:
    """The power by which an activation grows, from its values at 1e3 and 1e6; infinity if those are not finite."""
    with np.errstate(all="ignore"):
        near, far = (np.abs(activation.value(np.array([-z, z]))).max() for z in (1e3, 1e6))
    if not np.isfinite(far):
        return math.inf
    power = math.log10(max(far, 1e-300) / max(near, 1e-300)) / 3
    return max(0.0, round(power, 2))
