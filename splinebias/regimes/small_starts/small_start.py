r"""Networks that start at almost zero, trained until they begin to fit: what condensed orientations look like in them.

:math:`f(x) = \sum_k a_k\, \sigma(w_k x + b_k)`, all parameters by gradient flow on the mean loss
:math:`\frac{1}{2\sum m} \sum_i m_i (f(x_i) - y_i)^2`, from independent normal parameters of deviation :math:`\varepsilon`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._arguments import real_number, whole_number
from splinebias._array import Array
from splinebias.activation import Smooth
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.regimes.condensation import Orientations, condensed_orientations

_LONGEST = 1e18  # of the plateau, in time


@dataclass(frozen=True, eq=False)
class SmallStart:
    r"""A network that started at almost zero, at the moment when it begins to fit.

    Attributes
    ----------
    orientations : Orientations
        What was predicted.
    a, w, b : Array, shape (n,)
        The parameters at the end.
    time : float
        Time of the flow.
    evaluations : int
        Number of evaluations of the right-hand side.
    outcome : Outcome
        CONVERGED: max \|f\| reached the asked share of max \|y\|.
    """

    orientations: Orientations
    a: Array
    w: Array
    b: Array
    time: float
    evaluations: int
    outcome: Outcome

    @property
    def masses(self) -> Array:
        r"""Mass :math:`|a| |(w, b)|` of each neuron."""
        return np.asarray(np.abs(self.a) * np.hypot(self.w, self.b))

    @property
    def participation(self) -> float:
        r"""How many neurons carry the network, :math:`(\sum m)^2 / \sum m^2` for the masses m."""
        return float(self.masses.sum() ** 2 / (self.masses**2).sum())

    @property
    def angle_errors(self) -> Array:
        """Degrees from each neuron to the nearest predicted orientation of its sign."""
        angles = np.degrees(np.arctan2(self.b, self.w)) % 360
        return np.asarray(self.orientations.distances(angles, np.sign(self.a)).min(axis=1))

    @property
    def angle_error(self) -> float:
        """Mean of `angle_errors`, weighted by mass, in degrees."""
        return float(self.masses @ self.angle_errors / self.masses.sum())

    @property
    def cosines(self) -> Array:
        """Cosine similarity of (w, b) for all pairs of neurons, shape (n, n)."""
        unit = np.stack([self.w, self.b]) / np.hypot(self.w, self.b)
        return np.asarray(unit.T @ unit)


def train_from_small_start(
    data: Dataset, activation: Smooth, *, width: int, scale: float, seed: int = 0, stop: float = 0.02
) -> SmallStart:
    r"""Train a network of smooth neurons from parameters :math:`\varepsilon N(0, 1)` until it begins to fit.

    Parameters
    ----------
    data, activation
        As in `condensed_orientations`; smooth activations only: ReLU neurons come to rest at sector boundaries, which an
        integrator without events crosses forever.
    width : int
        Number n of neurons.
    scale : float
        The :math:`\varepsilon` above, > 0.
    seed : int
        Seed of the start.
    stop : float
        Stops once max \|f\| over the data reaches this share of max \|y\|, 0 < stop < 1.

    Raises
    ------
    DataError, CapabilityError
        As `condensed_orientations`; for activations that are not smooth; if the start is already beyond `stop`.

    Notes
    -----
    DOP853, relative tolerance 1e-6: it crosses plateaus of time 1e10 in some hundred evaluations. For p >= 2 growth blows up
    in finite time, the earliest neuron wins, and of 2p orientations the network shows one. Where :math:`\sigma(0) \ne 0` the
    mean of f is a fast mode and evaluations grow with the width (sigmoid, 300 neurons: 130,000); `Centred` has none.
    """
    from scipy.integrate import solve_ivp  # nothing else here needs it

    if not isinstance(activation, Smooth):
        raise CapabilityError(
            f"training from a small start takes smooth activations, got {activation!r}; `Orientations.decoupled` follows "
            "homogeneous ones, or take sb.Tanh()"
        )
    predicted = condensed_orientations(data, activation)
    n, size = whole_number(width, "width", at_least=1), real_number(scale, "scale", above=0)
    stop = real_number(stop, "stop", above=0)
    level = stop * np.abs(data.y).max()
    m, x, y = data.weights / data.weights.sum(), data.x[:, None], data.y

    def values(theta: Array) -> Array:
        a, w, b = theta.reshape(3, n)
        return np.asarray(activation.value(w * x + b) @ a)

    def speed(_: float, theta: Array) -> Array:
        a, w, b = theta.reshape(3, n)
        z = w * x + b
        outer = activation.value(z)
        pull = m * (y - outer @ a)
        inner = a * activation.derivative(z)
        return np.concatenate([pull @ outer, (pull * data.x) @ inner, pull @ inner])

    def reached(_: float, theta: Array) -> float:
        return float(np.abs(values(theta)).max() - level)

    reached.terminal = True  # type: ignore[attr-defined]
    start = size * np.random.default_rng(seed).standard_normal(3 * n)
    if not (stop < 1 and reached(0.0, start) < 0):
        raise DataError(
            f"`stop` must be below 1 and above the start, max |f| = {np.abs(values(start)).max():.3g}, got stop * max|y| = "
            f"{level:.3g}; lower `scale`"
        )
    found = solve_ivp(speed, (0.0, _LONGEST), start, "DOP853", events=reached, rtol=1e-6, atol=1e-9 * size)
    a, w, b = found.y[:, -1].reshape(3, n)
    outcome = Outcome.CONVERGED if found.status == 1 else Outcome.STALLED
    return SmallStart(predicted, a, w, b, float(found.t[-1]), int(found.nfev), outcome)
