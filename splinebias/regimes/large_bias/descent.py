r"""Networks with large biases, trained: their residuals, activity and flips beside what the kernel predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, real_vector, whole_number
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import CapabilityError, DataError, Outcome
from splinebias.regimes.large_bias.active_neurons import ActiveNeurons, drawn_blocks
from splinebias.regimes.large_bias.dense_step import DenseBiasNetwork
from splinebias.regimes.large_bias.kernel import BiasKernel, bias_generalized_kernel, unit_inputs
from splinebias.regimes.large_bias.sparse_step import BiasNetwork

_LOOKS = 40  # steps, about, at which activity is counted
_FOLDS = 5.0  # e-folds of the slowest mode: what a run without a loss to reach lasts


@dataclass(frozen=True, eq=False)
class LargeBias(Drawn):
    r"""A trained network with large biases beside its kernel, see `large_bias`.

    Attributes
    ----------
    kernel : BiasKernel
        What was predicted, for the data in their own order.
    start, end : BiasNetwork or DenseBiasNetwork
        The network before and after; the first kind, of univariate inputs, holds its data in the order of their directions.
    rate : float
        Learning rate :math:`\eta` of every step.
    times : Array, shape (steps + 1,)
        Training time :math:`t = k \eta` after k steps.
    residuals, predicted : Array, shape (steps + 1, M)
        Residual :math:`r = f - y`, and :math:`(I - \eta H/M)^k r_0`: the same descent at infinite width, which tends to
        :math:`e^{-Ht/M} r_0` with :math:`\eta`.
    looks : Array of int, shape (j,)
        Numbers of steps after which activity was counted: before the first and after the last among them.
    active, flips : Array, shape (j, M)
        Share of the m neurons that are active on each datum then, and share whose activity differs from the start.
    predicted_flips : Array, shape (j, M)
        `BiasKernel.flips`; nan where inputs have more than two coordinates.
    seed : int
        Of the draw.
    outcome : Outcome
        CONVERGED: the asked loss was reached; REACHED_TIME: the asked time, or five e-folds of the slowest mode;
        MAX_STEPS; DIVERGED.
    """

    kernel: BiasKernel
    start: ActiveNeurons
    end: ActiveNeurons
    rate: float
    times: Array
    residuals: Array
    predicted: Array
    looks: np.ndarray[Any, np.dtype[np.intp]]
    active: Array
    flips: Array
    predicted_flips: Array
    seed: int
    outcome: Outcome

    def __repr__(self) -> str:
        return (
            f"LargeBias(width {self.start.width}, bias {self.kernel.bias:.4g}, {self.residuals.shape[1]} points; "
            f"{self.steps} steps to time {self.times[-1]:.4g}, loss {self.losses[-1]:.2e}, distance {self.distance:.3g} "
            f"from the kernel, {self.outcome.name})"
        )

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self.times) - 1

    @property
    def losses(self) -> Array:
        r"""Mean loss :math:`|r|^2/(2M)` after each step, shape (steps + 1,)."""
        return np.asarray((self.residuals**2).mean(axis=1) / 2)

    @property
    def distance(self) -> float:
        r"""Largest distance of r from the predicted residual during the run, over :math:`|r_0|`."""
        return self.distance_until(math.inf)

    def distance_until(self, time: float) -> float:
        """The `distance` of the run up to a training time: modes too slow to have moved by then are not off yet."""
        return float(self._distances[self.times <= time].max())

    @property
    def _distances(self) -> Array:
        """Distance of r from the predicted residual after each step, over that of the first from 0, shape (steps + 1,)."""
        return np.asarray(np.linalg.norm(self.residuals - self.predicted, axis=1) / np.linalg.norm(self.residuals[0]))

    @cached_property
    def start_eigenvalues(self) -> Array:
        """Eigenvalues of the kernel that this network has at its start, increasing, shape (M,)."""
        return _eigenvalues(self.start)

    @cached_property
    def end_eigenvalues(self) -> Array:
        """Eigenvalues of the kernel that this network has at its end, increasing, shape (M,)."""
        return _eigenvalues(self.end)

    def __call__(self, x: Any) -> Array:
        """What the network computes at new inputs, of the shape that the data had: its dead neurons may be active there."""
        u, silent = unit_inputs(x, least=1), self.start
        if u.shape[1] != self.kernel.points.shape[1]:
            raise DataError(f"`x` must have {self.kernel.points.shape[1]} coordinates, got {u.shape[1]}")
        total = np.zeros(len(u))
        for a, w in drawn_blocks(silent.width, u.shape[1], self.seed):
            total += np.maximum(w @ u.T - self.kernel.bias, 0).T @ a
        for network, sign in ((self.start, -1.0), (self.end, 1.0)):
            for span in network.spans():
                total += sign * network.sums(u, span)
        return total / math.sqrt(silent.width)

    def test_error(self, x: Any, y: Any) -> float:
        """Mean over test points of min(\\|f(x) - y\\|, 1), the loss that `BiasKernel.generalization_bound` is about."""
        values, targets = self(x), real_vector(y, "y")
        if values.shape != targets.shape:
            raise DataError(f"`x` and `y` must have one length, got {values.size} and {targets.size}; one y a point")
        return float(np.minimum(np.abs(values - targets), 1).mean())

    def __str__(self) -> str:
        return (
            f"large bias B = {self.kernel.bias:g}, width {self.start.width}: {self.outcome.name} after {self.steps} steps, "
            f"loss {self.losses[-1]:.3g}; active {self.active[0].mean():.3g} before and {self.active[-1].mean():.3g} after "
            f"(predicted {self.kernel.active_fraction:.3g}), flipped {self.flips[-1].mean():.2g} (predicted "
            f"{self.predicted_flips[-1].mean():.2g}); residual off e^(-Ht/M) by {self.distance:.2g} of the first"
        )

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for every look: step, time, loss, distance, activity, flips, and those predicted."""
        at = self.looks
        columns = {"step": at, "time": self.times[at], "loss": self.losses[at]}
        columns |= {"predicted_loss": (self.predicted[at] ** 2).mean(axis=1) / 2, "distance": self._distances[at]}
        columns |= {"active": self.active.mean(axis=1), "predicted_active": np.full(at.size, self.kernel.active_fraction)}
        return frame_of(columns | {"flips": self.flips.mean(axis=1), "predicted_flips": self.predicted_flips.mean(axis=1)})


@known_keywords
def large_bias(
    x: Any,
    y: Any,
    bias: float,
    *,
    width: int,
    seed: int = 0,
    step: float = 1.0,
    time: float | None = None,
    loss_tol: float | None = None,
    max_steps: int = 100_000,
) -> LargeBias:
    r"""Train a network whose hidden biases start at -B, by descent with a step from the spectrum of its kernel.

    :math:`f = m^{-1/2} \sum_r a_r [w_r \cdot u - b_r]_+`, signs :math:`a_r` fixed, loss :math:`|r|^2/(2M)`,
    :math:`\eta = s M/\lambda_{\max}(H)`.

    Parameters
    ----------
    x : array_like, shape (M,) or (M, d)
        Inputs, as in `bias_generalized_kernel`. On abscissae a step costs what the active neurons cost, on points what the
        neurons cost that some datum activates.
    y : array_like, shape (M,)
        Targets.
    bias : float
        The B above, >= 0.
    width : int
        The m above, dead neurons included.
    seed : int
        Of w and a.
    step : float
        The s above, 0 < s < 2; descent diverges from 2 on.
    time : float, optional
        Training time to stop at, rounded up to whole steps. None: five e-folds of the slowest mode,
        :math:`5 M/\lambda_{\min}(H)`.
    loss_tol : float, optional
        Mean loss to stop at; the time is no limit then, unless it is given.
    max_steps : int
        Steps to give up after.

    Raises
    ------
    DataError
        As `bias_generalized_kernel`; for B so large that no neuron of this width is active on some point; for two inputs of
        one direction, whose difference no network learns, if neither `time` nor `loss_tol` is given.

    Notes
    -----
    Hypotheses checked: B, and that neurons are active on every point. Measured: `LargeBias.distance` says whether
    :math:`m \Phi(-B)` was large enough. Source: Yang et al. on networks with large biases, of which the abstract was read;
    predictions were derived here.

    Examples
    --------
    >>> import splinebias as sb
    >>> found = sb.large_bias([-0.9, -0.1, 0.45, 0.95], [0.4, 0.6, -0.5, 0.3], 1.0, width=20_000)
    >>> print(found.outcome.name, found.distance < 0.1, f"{found.active[0].mean():.2f}")
    REACHED_TIME True 0.16
    """
    kernel, seed = bias_generalized_kernel(x, bias), whole_number(seed, "seed")
    share = real_number(step, "step", above=0, fix="1 is the step that removes the fastest mode at once")
    if share >= 2:
        raise DataError(f"`step` must be below 2, got {share:g}: descent diverges; take 1")
    rate, most = kernel.rate(share), whole_number(max_steps, "max_steps", at_least=1)
    stop = -math.inf if loss_tol is None else real_number(loss_tol, "loss_tol", above=0)
    if time is not None:
        needed = math.ceil(real_number(time, "time", above=0) / rate)
    elif loss_tol is None:
        if kernel.smallest <= 1e-13 * kernel.eigenvalues[-1]:
            raise DataError(
                f"`x` must have no two inputs of one direction, got separation {kernel.separation:.2g}: the kernel is "
                "singular; merge them, or give `time`"
            )
        needed = math.ceil(_FOLDS * len(kernel.matrix) / kernel.smallest / rate)
    else:
        needed = most + 1
    most, last = min(most, needed), Outcome.REACHED_TIME if needed <= most else Outcome.MAX_STEPS
    network, order = _drawn(x, y, bias, width=width, seed=seed)
    return _descended(kernel, network, order, rate, most, stop, last, seed)


def _drawn(
    x: Any, y: Any, bias: float, *, width: int, seed: int
) -> tuple[ActiveNeurons, np.ndarray[Any, np.dtype[np.intp]]]:
    """The network at its start, and where each datum stands in its order."""
    if np.ndim(x) == 1:
        order = np.argsort(-np.asarray(x, dtype=float))
        return BiasNetwork.draw(x, y, bias, width=width, seed=seed), np.argsort(order)
    return DenseBiasNetwork.draw(x, y, bias, width=width, seed=seed), np.arange(len(x))


def _descended(
    kernel: BiasKernel,
    start: ActiveNeurons,
    order: np.ndarray[Any, np.dtype[np.intp]],
    rate: float,
    most: int,
    stop: float,
    last: Outcome,
    seed: int,
) -> LargeBias:
    """Take the steps, count at some of them."""
    looks = set(np.unique(np.geomspace(1, most, _LOOKS).round().astype(int)).tolist())
    before, network, residuals = start.activity(), start, []
    counted: list[tuple[int, Array, Array]] = []

    def look(count: int) -> None:
        changed = (network.activity() != before).sum(axis=0) / start.width
        counted.append((count, network.active_fractions()[order], changed[order]))

    look(0)
    outcome = last
    for count in range(most + 1):
        if count in looks and counted[-1][0] != count:
            look(count)
        following, residual = network.step(rate)
        residuals.append(residual[order])
        loss = float(residual @ residual) / (2 * residual.size)
        if loss <= stop or not loss < 1e6 * max(float(residuals[0] @ residuals[0]), 1e-300):
            outcome = Outcome.CONVERGED if loss <= stop else Outcome.DIVERGED
            break
        if count < most:
            network = following
    if counted[-1][0] != len(residuals) - 1:
        look(len(residuals) - 1)
    r = np.array(residuals)
    at, active, flips = (np.array(part) for part in zip(*counted, strict=True))
    times: Array = rate * np.arange(len(r), dtype=np.float64)
    predicted = kernel.descent(r[0], rate, np.arange(len(r)))
    return LargeBias(
        kernel, start, network, rate, times, r, predicted, at, active, flips, _flips(kernel, r[0], times[at], start.width),
        seed, outcome,
    )  # fmt: skip


def _flips(kernel: BiasKernel, start: Array, times: Sequence[float] | Array, width: int) -> Array:
    """The predicted flips at some times, shape (j, M); nan where none are predicted."""
    try:
        return np.array([kernel.flips(start, float(time), width) for time in times])
    except CapabilityError:
        return np.full((len(times), start.size), math.nan)


def _eigenvalues(network: ActiveNeurons) -> Array:
    r"""Eigenvalues of :math:`(x_i \cdot x_j + 1)` times the share of neurons that are active on both."""
    u, both = network.points, np.zeros((network.y.size, network.y.size))
    for span in network.spans():
        active = (network.w[span] @ u.T >= network.b[span, None]).astype(float)
        both += active.T @ active
    return np.asarray(np.linalg.eigvalsh((u @ u.T + 1) * both / network.width))
