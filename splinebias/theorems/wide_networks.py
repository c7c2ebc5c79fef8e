r"""Errors of trained networks of one width beside the law that they are predicted to have.

.. math:: \frac1N \sum_{s} \sup|f_n^{(s)} - f| = E \sup|f_n - f| \pm 3\, \mathrm{sd} / \sqrt N,

with mean and standard deviation from `error_band`: a wrong limit f makes the left-hand side too large, a wrong band either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats as st

from splinebias._array import Array
from splinebias.data import Dataset
from splinebias.datasets import liang_montufar_a, liang_montufar_b
from splinebias.functions.compare import compare
from splinebias.initialization.initialization import Initialization
from splinebias.limit.predict import predict
from splinebias.problem import Problem
from splinebias.studies.rates import fit_power
from splinebias.theorems.verdict import DERIVED, Hypothesis, Status, Verdict, equal

if TYPE_CHECKING:
    from splinebias.finite_width.band import ErrorBand
    from splinebias.finite_width.several_inputs.band_of_points import PointsBand
    from splinebias.training.method import TrainingMethod
    from splinebias.training.train import Training

SET_A, SET_B = liang_montufar_a(), liang_montufar_b()
EIGHT = Dataset(
    np.array([-0.9, -0.65, -0.4, -0.1, 0.15, 0.45, 0.7, 0.95]), np.array([0.4, -0.3, 0.2, 0.6, -0.1, -0.5, 0.1, 0.3])
)
UNIFORM = Initialization.rademacher(st.uniform(-1, 2))  # of which breakpoints have the density 1/2 on [-1, 1]
SIGMAS = 3.0  # standard errors of a mean that a verdict allows: one in 370 is beyond
Limit = Callable[[Problem], Any]  # a function of x for a problem


def limit_function(problem: Problem) -> Any:
    """The function that `predict` gives."""
    return predict(problem).function


def loss_reached(runs: Iterable[Training]) -> Hypothesis:
    """That networks were trained to the loss that was asked for."""
    return Hypothesis.tested("the loss was reached", "Training.outcome", holds=all(run.outcome.ok for run in runs))


def rate_and_constant(
    widths: Sequence[int],
    errors: Array,
    band: ErrorBand | PointsBand,
    hypotheses: tuple[Hypothesis, ...],
    *,
    source: str,
    exponent: float,
    scale: float,
) -> tuple[Verdict, ...]:
    r"""Do errors, shape (widths, networks), fall like :math:`c n^s`, s = `exponent`, c `scale` times that of the band?"""
    width, sups = np.repeat(widths, errors.shape[1]).astype(float), band.largest.sups
    inputs = band.prediction.problem.data.inputs
    named, given, largest = (f", {inputs} inputs", f"with {inputs} inputs ", "max") if inputs > 1 else ("", "", "sup")
    shown = f"{width.size} networks, n = {', '.join(map(str, widths))}"
    spread, roots = float(np.std(np.log(width))) * math.sqrt(width.size), np.sqrt(width) * errors.ravel()
    return (
        Verdict(
            f"JM rate{named}",
            f"{given}the distance of networks to their limit falls like n^-1/2",
            source,
            hypotheses,
            f"exponent s of {largest}|f_n - f| ~ n^s, {shown}",
            *equal(exponent, fit_power(width, errors.ravel()).exponent.value, SIGMAS * float(np.std(np.log(sups))) / spread),
        ),
        Verdict(
            f"JM constant{named}",
            "its constant is that of the Gaussian process of the error",
            DERIVED,
            hypotheses,
            f"mean of n^1/2 {largest}|f_n - f|, {shown}",
            *equal(scale * band.constant.value, float(roots.mean()), SIGMAS * float(sups.std()) / math.sqrt(roots.size)),
        ),
    )


@dataclass(frozen=True, eq=False)
class WideNetworks:
    """Trained networks of one width, and the band of their errors.

    Parameters
    ----------
    problem : Problem
        What they were trained for.
    width, count : int
        Units of a network; networks, with seeds 0, 1, ...
    method : TrainingMethod, optional
        As in `train`.
    loss_tol : float
        Absolute, as in `train`.
    time : float
        The training time of the band; that of the networks is up to `method`.
    """

    problem: Problem
    width: int
    count: int
    method: TrainingMethod | None = None
    loss_tol: float = 1e-10
    time: float = math.inf
    runs: tuple[Training, ...] = field(init=False, repr=False)
    band: ErrorBand = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from splinebias.finite_width.band import error_band
        from splinebias.training.ensemble import train_ensemble

        runs = train_ensemble(self.problem, self.width, range(self.count), method=self.method, loss_tol=self.loss_tol)
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "band", error_band(self.problem, self.width, time=self.time))

    def errors(self, functions: Sequence[Any]) -> Array:
        """sup-distance of each network to the function at its place, or all to one function; shape (count,)."""
        pairs = zip(self.runs, functions, strict=True)
        return np.array([compare(run.function, function, self.band.interval).sup for run, function in pairs])

    @property
    def spread(self) -> float:
        """The predicted standard deviation of the error of one network."""
        return float(self.band.largest.sups.std()) / math.sqrt(self.width)

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """What a comparison with the limit presupposes of these networks."""
        return (
            loss_reached(self.runs),
            Hypothesis.tested("the width is large enough for leading order", "ErrorBand.advice", holds=not self.band.advice),
            Hypothesis("errors of networks are independent", Status.CHECKED, "one seed each"),
        )

    def verdict(self, name: str, claim: str, source: str, functions: Sequence[Any]) -> Verdict:
        """Whether the mean error against `functions`, one a network, is the predicted one."""
        return Verdict(
            name,
            claim,
            source,
            self.hypotheses,
            f"mean of sup|f_n - f| of {self.count} networks, n = {self.width}",
            *equal(
                self.band.expected_sup, float(self.errors(functions).mean()), SIGMAS * self.spread / math.sqrt(self.count)
            ),
        )

    def beside(self, name: str, claim: str, source: str, limit: Limit = limit_function) -> Verdict:
        """The same against the one function that `limit` gives for the problem."""
        return self.verdict(name, claim, source, [limit(self.problem)] * self.count)


@dataclass(frozen=True, eq=False)
class CostOfNeurons:
    r"""The functional that training minimizes, of trained networks: :math:`\frac1n \sum_k \phi(n a_k)` for starts at 0.

    Its mean over networks is the least functional up to :math:`3\, \mathrm{sd}(\phi^*(\lambda \cdot \sigma)) / \sqrt{nN}`:
    what n neurons make of the minimum :math:`\max_\lambda \lambda^T y - E[\phi^*]` moves it, by the envelope theorem, by
    the mean of :math:`\phi^*` over them (derived here).

    Parameters
    ----------
    networks : WideNetworks
        Of a problem with parameterization `Standard` and w = +-1 or any other law.
    cost : callable
        The :math:`\phi` above, :math:`\phi(0) = 0`, on arrays.
    slope_inverse : callable
        The inverse of :math:`\phi'`.
    """

    networks: WideNetworks
    cost: Callable[[Array], Array]
    slope_inverse: Callable[[Array], Array]

    @property
    def measured(self) -> float:
        """The mean over networks."""
        n = self.networks.width
        changes = [n * (run.network.a - run.start.a).numpy() for run in self.networks.runs]
        return float(np.mean([np.mean(self.cost(change)) for change in changes]))

    def tolerance(self, multipliers: Array) -> float:
        r"""Three standard errors, from neurons of the law; :math:`\phi'(\alpha) = \lambda\sigma` with the `multipliers`."""
        problem, networks = self.networks.problem, self.networks
        w, b, _ = problem.initialization.sample(100_000, np.random.default_rng(1))
        slope = problem.activation.value(np.multiply.outer(problem.line_data.x, w) + b).T @ multipliers
        alpha = self.slope_inverse(slope)
        spread = float(np.std(slope * alpha - self.cost(alpha)))
        return SIGMAS * spread * math.sqrt(networks.band.copies / (networks.width * networks.count))

    def verdict(self, name: str, claim: str, source: str, predicted: float, multipliers: Array) -> Verdict:
        """Whether the measured functional is the `predicted` one."""
        networks = self.networks
        quantity = f"mean over k of phi(n a_k), {networks.count} networks, n = {networks.width}"
        return Verdict(
            name, claim, source, networks.hypotheses, quantity, *equal(predicted, self.measured, self.tolerance(multipliers))
        )
