"""What one neuron more or less does to the function of a wide network: its influence u, covariances, whether they exist."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError, SolveError
from splinebias.initialization.laws import as_law
from splinebias.limit.hypotheses import dead_directions, require_limit, require_moments
from splinebias.limit.posed_problem import PosedProblem
from splinebias.parameterization import NTK
from splinebias.potential import Potential
from splinebias.problem import Problem

if TYPE_CHECKING:
    from splinebias.limit.trajectory.linear_flow import LinearFlow


class Influence(NamedTuple):
    r"""Influences at points x on a quadrature of the neurons.

    Attributes
    ----------
    rows : Array, shape (N, Q)
        u at the nodes times the square root of their mass: :math:`E[u(x) u(x')]` is a product of two rows.
    mean : Array, shape (N,) or (N, R)
        E[u]; of R influences whose variances add up, that of each.
    """

    rows: Array
    mean: Array

    def covariance(self) -> Array:
        r""":math:`\mathrm{Cov}(u(x), u(x'))`, shape (N, N)."""
        mean = self.mean.reshape(len(self.rows), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(self.rows @ self.rows.T - mean @ mean.T)

    def variance(self) -> Array:
        r""":math:`\mathrm{Var}(u(x))`, the diagonal of the covariance, shape (N,)."""
        mean = self.mean.reshape(len(self.rows), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.maximum(_finite((self.rows**2).sum(axis=1) - (mean**2).sum(axis=1)), 0.0)


def _finite(covariance: Array) -> Array:
    """The covariance, if it is finite; else SolveError."""
    if not np.isfinite(covariance).all():
        raise SolveError("the covariance of the errors is beyond all floats; take other units of x and y")
    return covariance


class InfluenceSums(ABC):
    """Sums of influences at fixed points over neurons that are given, called as ``sums(w, b)``.

    Attributes
    ----------
    mean : Array, shape (N,)
        E[u] at the points.
    """

    mean: Array

    @abstractmethod
    def __call__(self, w: Array, b: Array) -> Array:
        r""":math:`\sum_k u(x; w_k, b_k)` at the points, shape (N,), for (w, b) of shape (K,) each."""


class InfluenceModel(ABC):
    """Influences of the neurons of one problem at one training time."""

    @property
    def advice(self) -> str:
        """Empty, or why the influences may not be accurate."""
        return ""

    @abstractmethod
    def at(self, points: Array) -> Influence:
        """Influences at increasing `points`, shape (N,)."""

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        """The limit of n E[f_n - f] at increasing `points`, shape (N,), if `copies` units share one draw of (w, b).

        Raises
        ------
        CapabilityError
            If it is not known.
        """
        raise CapabilityError("the mean shift is known for infinite time, two slopes and Standard() networks only")

    def kurtosis(self, point: float) -> float:
        r""":math:`E[(u - E u)^4]/\mathrm{Var}(u)^2` at one point; infinite if the fourth moment is.

        Raises
        ------
        CapabilityError
            If it is not known.
        """
        raise CapabilityError("the effective number of neurons is known for infinite time, two slopes and Standard() only")

    def sums(self, points: Array) -> InfluenceSums:
        """Sums over given neurons, at increasing `points`.

        Raises
        ------
        CapabilityError
            If they are not known.
        """
        raise CapabilityError("networks are drawn for infinite time, two slopes and Standard() only")


def growth(potential: Potential) -> float:
    r"""The a of :math:`(\phi')^{-1}(z) \sim z^a` for large z; infinity if it grows faster than all powers."""
    with np.errstate(over="ignore"):
        low, high = (float(potential.grad_inverse(np.float64(z))) for z in (1e30, 1e60))
    return math.log(high / low) / math.log(1e30) if math.isfinite(high) else math.inf


def check_second_moments(problem: Problem) -> None:
    r"""Refuse laws with which :math:`E[u^2]` is infinite for the influence u of one neuron.

    Weights and biases need moments of order :math:`2(1 + a)k`, with the degree k of the activation and
    :math:`(\phi')^{-1}(z) \sim z^a`; biases only of order :math:`2(1 + a)(k - 2)` with a free affine part. With `NTK`,
    output weights need one of order 4. What depends on the data, too, is found by `NeuronQuadrature`.

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
    who, degree = "one neuron's contribution has a finite variance only with", problem.homogeneous.degree
    require_moments(problem, order, who, why, bias=not problem.free)
    if problem.free and degree > 2:  # far neurons make polynomials, of which only the line is free
        require_moments(problem, order * (degree - 2) / degree, who, why)
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
