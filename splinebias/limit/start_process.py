r"""The law of the start: what networks compute over random output weights, at infinite width and at any time.

At the start :math:`f_0` is a Gaussian process of covariance :math:`S = \sigma^2 K_0`, with
:math:`K_0(x, x') = E[\sigma(wx + b)\sigma(wx' + b)]` and :math:`\sigma^2 = E[(\sqrt n\, a)^2]` (`Standard`), E[a^2] (`NTK`).
Training takes it to :math:`f_t = f_0 + P_t (y - f_0(X))`, linear in the start, with
:math:`P_t = K(\cdot, X) K^{-1} (I - e^{-tKW/\kappa})` (theory section 6). So :math:`f_t` is Gaussian as well, with

.. math:: \text{mean } P_t y, \qquad \text{covariance } S - P_t S(X, \cdot) - S(\cdot, X) P_t^T + P_t S(X, X) P_t^T :

for Standard networks and t = infinity the posterior of a Gaussian process with kernel :math:`\sigma^2 K` and no noise, whose
deviation does not depend on y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import at_finite, known_keywords, real_array, real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of, table_points
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.sums import FunctionSum
from splinebias.limit.hypotheses import require_attained, require_limit
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction
from splinebias.limit.trajectory.linear_flow import LinearFlow
from splinebias.potential import Quadratic
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class StartProcess(Drawn):
    r"""The Gaussian process of the functions that networks compute at one time, over random starts.

    Attributes
    ----------
    prediction : Prediction
        Its mean :math:`P_t y`, which is what networks that start at zero compute.
    time : float
        The time t.
    """

    prediction: Prediction
    time: float

    @property
    def problem(self) -> Problem:
        """The problem whose networks start at random functions."""
        return self.prediction.problem

    def mean(self, x: Any) -> Array:
        """The mean at `x`, same shape."""
        return np.asarray(self.prediction.function(x))

    def cov(self, x: Any, x2: Any = None) -> Array:
        """The covariance of the function at `x` and at `x2`, shape (len(x), len(x2)); `x2` None: the same points."""
        x = real_vector(x, "x")
        x2 = x if x2 is None else real_vector(x2, "x2")
        left, right, points = self._response(x), self._response(x2), self.problem.data.x
        start = self._start
        crossed = start(x, points) @ right.T
        if x2 is not x:
            return np.asarray(start(x, x2) - left @ start(points, x2) - crossed + left @ start(points, points) @ right.T)
        whole = start(x, x) - crossed - crossed.T + left @ start(points, points) @ left.T
        return np.asarray((whole + whole.T) / 2)

    def std(self, x: Any) -> Array:
        """The standard deviation at `x`, same shape; 0 at the data at time infinity, nan where x is nan or infinite."""
        return at_finite(self._std, real_array(x, "x"))

    def _std(self, x: Array) -> Array:
        """`std` at finite `x`."""
        flat, unique = x.ravel(), {}
        for first in range(0, flat.size, 500):  # a block of the covariance at a time
            some = flat[first : first + 500]
            unique[first] = np.diag(self.cov(some))
        variance = np.concatenate([np.zeros(0), *unique.values()])
        variance = np.where(np.isin(flat, self.problem.data.x) & (self.time == math.inf), 0.0, variance)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)).reshape(x.shape))

    def quantile(self, q: float, x: Any) -> Array:
        """The quantile q, 0 < q < 1, of the function at every point `x` on its own, same shape as `x`."""
        from scipy.stats import norm

        level = real_number(q, "q", above=0)
        if not level < 1:
            raise DataError(f"`q` must be between 0 and 1, got {q!r}")
        return self.mean(x) + float(norm.ppf(level)) * self.std(x)

    def sample(self, count: int = 1, seed: int = 0, *, width: int = 10_000) -> tuple[FunctionSum, ...]:
        """Functions at this time, from starts of networks of `width` units that are trained as infinitely wide ones are.

        Each is a sum of the start function, exact, and a spline. The same seed gives the same functions.
        """
        from splinebias.networks.network import Network  # torch, which means and deviations do without

        count, seed = whole_number(count, "count", at_least=1), whole_number(seed, "seed")
        functions = []
        for rng in np.random.default_rng(seed).integers(2**62, size=count).tolist():
            start = Network.sample(self.problem, width, rng)
            functions.append(predict(self.problem, time=self.time, start=start).function)
        return tuple(function for function in functions if isinstance(function, FunctionSum))

    def __repr__(self) -> str:
        when = "at the limit" if self.time == math.inf else f"at time {self.time:g}"
        return f"StartProcess({self.problem.describe()}; {when})"

    def to_frame(self, x: Any = None) -> Any:
        """Mean and deviation as a pandas DataFrame with columns ``x``, ``mean``, ``std``; `x` as in `Prediction.to_frame`.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        x = table_points(self.problem.data, x)
        return frame_of({"x": x, "mean": self.mean(x), "std": self.std(x)})

    @cached_property
    def _cardinal(self) -> Sequence[Any]:
        """The functions P_t e_j, one per datum."""
        problem = self.problem
        units = np.eye(problem.data.size)
        if self.time < math.inf:
            flow = LinearFlow.of(PosedProblem(problem))
            return [flow.of_values(unit).at(np.array([self.time]))[0].function for unit in units]
        return [predict(problem.with_ordinates(unit)).function for unit in units]

    def _response(self, x: Array) -> Array:
        """P_t at `x`, shape (len(x), M)."""
        return np.stack([function(x) for function in self._cardinal], axis=1)

    def _start(self, x: Array, x2: Array) -> Array:
        """The covariance S of the start functions, shape (len(x), len(x2))."""
        law = self.problem.initialization
        if law.starts_at_zero:
            return np.zeros((x.size, x2.size))
        return law.output_second_moment * FeatureKernel(law.breakpoint_law, self.problem.homogeneous).matrix(x, x2)


@known_keywords
def start_process(problem: Problem, *, time: float = math.inf) -> StartProcess:
    r"""The law of the functions that infinitely wide networks compute, over random starts.

    Parameters
    ----------
    problem : Problem
        What is fitted. Its law of output weights, with ``antisymmetric=False``, gives the start; without, all starts are 0.
    time : float
        Training time, as in `predict`; 0: the start itself.

    Returns
    -------
    StartProcess
        ``mean(x)``, ``std(x)``, ``cov(x, x2)``, ``quantile(q, x)``, ``sample(count, seed)`` and ``plot()``.

    Raises
    ------
    DataError
        As `predict`; where the data ask for a bend of some P_t e_j that no neuron can make.
    CapabilityError
        If the potential is scaled and not quadratic: then the function is no linear image of its start. `predict` with
        ``start=`` takes single start functions there.

    Notes
    -----
    *Hypotheses checked:* those of `predict`; second moments of output weights and features. *Not checked:* width. The output
    bias adds 1/n to the variance at the start, nothing in the limit. At t = infinity units of :math:`f_0` outside the reach
    of the law are not told apart.
    Source: theory section 6 and the start page; for `Standard` and t = infinity the posterior of a Gaussian process (Jacot,
    Gabriel & Hongler 2018; Lee et al. 2019, linearized networks). Finite times and free affine parts: derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.pytorch_default(both_layers=True))
    >>> law = sb.start_process(problem)
    >>> float(law.std(0.0)), bool(0.01 < law.std(0.5) < 0.1)
    (0.0, True)
    """
    if isinstance(problem, Problem) and problem.without_breakpoints is not None:
        raise CapabilityError(f"start_process cannot take the problem: {problem.without_breakpoints}")
    if isinstance(problem, Problem):
        require_limit(problem)
    prediction = predict(problem, time=time)
    if not problem.linear:
        raise CapabilityError(
            f"the law of the start is Gaussian for quadratic and unscaled potentials, got scaled {problem.phi}; predict "
            "single functions: predict(problem, start=Network.sample(problem, 10_000, seed))"
        )
    require_attained(problem, Quadratic().moment_order, bias=True)
    return StartProcess(prediction, float(time))
