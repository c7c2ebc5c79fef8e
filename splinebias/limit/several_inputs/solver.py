r"""PointsSolver: limits of quadratic problems of several inputs, :math:`f = K(\cdot, X) K(X, X)^{-1} y`, dense."""

from __future__ import annotations

import math
import time as clock
from dataclasses import dataclass

import numpy as np

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._array import Array
from splinebias.data import Points
from splinebias.errors import Outcome
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, require
from splinebias.limit.several_inputs.input_system import InputSystem
from splinebias.limit.several_inputs.kernel_function import KernelFunction
from splinebias.parameterization import NTK, Standard
from splinebias.problem import Problem

SAMPLED = 1e-3  # of max |y|: a kernel from samples that is less sure leaves the outcome INACCURATE


@known_keywords
@dataclass(frozen=True)
class PointsSolver(Solver):
    r""":math:`f = K(\cdot, X) K(X, X)^{-1} y` for `Points`,
    :math:`K(x, x') = E[\sigma(w \cdot x + b) \sigma(w \cdot x' + b)]`.

    With `NTK`, which trains both layers, :math:`E[a^2] (x \cdot x' + 1) E[\sigma' \sigma']` is added to K.

    With a free affine part :math:`f = K(\cdot, X)\lambda + \text{slope} \cdot x + \text{intercept}`,
    :math:`\sum \lambda_i = 0`, :math:`\sum \lambda_i x_i = 0`. O(M^2) memory, O(M^3) time.

    - *Gaussian* w and b: arc-cosine kernel.
    - b ~ U(-B, B), w on the sphere or in a cube (``pytorch_default``): closed forms where :math:`|w \cdot x| \le B` for
      every w, on the sphere :math:`B^2/6 + x \cdot x'/(2d) + c_d |x - x'|^3/(24 B)` for ReLU; elsewhere by quadrature over
      the direction of w for d = 2, and for d > 2 (cubes: up to 6) by scrambled Sobol points for what the closed form counts
      too much.
    - All other laws: closed in b for uniform, normal and discrete biases, and scrambled Sobol points for w (and all other
      biases); a sampler of one's own is drawn from.

    Parameters
    ----------
    tolerance : float
        Relative residual above which the outcome is INACCURATE, > 0. A kernel from samples adds what four independent
        samples differ by, which is in `residual` (and in ``stats["sampling_error"]``) and may be up to 1e-3.
    draws : int, optional
        Samples of w where there is no closed form, at least 64, rounded to four powers of two. Default 2^14; in more
        than three inputs 2^16 where only what a closed form counts too much is sampled.
    seed : int
        Of the samples.

    Raises
    ------
    DataError
        If an argument is out of range.

    References
    ----------
    Jin & Montúfar, JMLR 24(137), 2023 (several inputs; the kernels, that of the sphere for any d, are derived here).
    """

    tolerance: float = 1e-8
    draws: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        real_number(self.tolerance, "tolerance", above=0)
        if self.draws is not None:
            whole_number(self.draws, "draws", at_least=64)
        whole_number(self.seed, "seed")

    def supports(self, problem: Problem) -> str | None:
        if not isinstance(problem.data, Points) or problem.data.inputs == 1:
            return "it takes sb.Points of several inputs; of one input leave `solver` out"
        if problem.activation.two_slopes is None:
            return f"of several inputs it takes two-slope activations such as sb.ReLU(), got {problem.activation}"
        if not isinstance(problem.parameterization, Standard | NTK):
            return f"of several inputs it takes Standard() and NTK() networks, got {problem.parameterization}"
        if not problem.linear:
            return f"of several inputs it solves quadratic problems only, got scaled {problem.phi}; take sb.Quadratic()"
        return None

    def solve(self, problem: Problem) -> Prediction:
        require(self, problem)
        return self.at(problem, [math.inf])[0]

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        return self.solve(posed.problem)

    def at(self, problem: Problem, times: list[float]) -> list[Prediction]:
        r"""f_t at training times >= 0: :math:`K(\cdot, X) K^{-1} (1 - e^{-tKW/\kappa}) y`, as in `predict_path`."""
        system = InputSystem.of(problem, self.draws, self.seed)
        began, found = clock.perf_counter(), []
        modes = system.modes() if any(t < math.inf for t in times) else None
        for t in times:
            if modes is None or t == math.inf:
                multipliers, left = system.multipliers(problem.data.y), np.zeros(problem.data.size)
            else:
                multipliers, left = modes.at(t / problem.phi.hess_at_zero)
            found.append(self._made(system, multipliers, left, t, began))
        return found

    def _made(self, system: InputSystem, multipliers: Array, left: Array, t: float, began: float) -> Prediction:
        problem, y = system.problem, system.problem.data.y
        fitted = system.matrix @ multipliers
        affine, misfits = system.affine_part(y - fitted)
        size, w = float(np.abs(y).max()) or 1.0, problem.data.weights
        sampling = system.sampling_error(multipliers, size) if system.sampled is not None else 0.0
        solved_to = float(np.abs(misfits + left).max()) / size  # beside what the flow has left by then
        sure = solved_to <= self.tolerance and sampling <= SAMPLED
        outcome = Outcome.INACCURATE if not sure else Outcome.REACHED_TIME if t < math.inf else Outcome.CONVERGED
        stiffness = (problem.phi.stiffness or 1.0) if problem.scaled else 1.0
        cost = float(multipliers @ fitted) * stiffness
        return Prediction(
            problem,
            KernelFunction(system.kernel, system.x, multipliers, affine),
            cost / 2 if problem.scaled else cost,
            max(solved_to, sampling),
            outcome,
            stiffness * multipliers,
            {
                "solver": "PointsSolver",
                "kernel": type(system.kernel).__name__,
                "sampling_error": sampling,
                "time": t,
                "loss": float(w @ misfits**2 / w.sum()) / 2,
                "seconds": clock.perf_counter() - began,
            },
        )
