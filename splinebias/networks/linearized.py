r"""A network frozen to first order at its parameters, trained in closed form: the linearization of this very network.

With the Jacobian J of its parameters :math:`\theta_0` at the data, :math:`D = 1/\Phi''(\theta_0)`,
:math:`W = \mathrm{diag}(\omega)` and the singular values :math:`A = D^{1/2} J^T W^{1/2} = U S V^T`,

.. math:: \theta_t = \theta_0 + D^{1/2}\, U S^{-1} (1 - e^{-S^2 \tau}) V^T W^{1/2} (y - f_0(X)), \qquad
          f_t(x) = f_0(x) + \partial f(x) \cdot (\theta_t - \theta_0),

which is :math:`f_0 + K(\cdot, X) K^{-1} (1 - e^{-\tau K W}) (y - f_0(X))` with the tangent kernel K = J D Jᵀ, without the
square of its condition number. On a data interval all units that open to one side span a few polynomials: their rows of A
are reduced to a triangle first, so that A has O(M) rows at any width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import time_of
from splinebias._array import Array
from splinebias.activation import Activation, Homogeneous
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.gated import Gates, gated_sum
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.learning_rates import distinct_rates
from splinebias.parameterization import Parameterization, Standard
from splinebias.potential import Potential, Quadratic
from splinebias.problem import Problem


@dataclass(frozen=True)
class Setting:
    """What a network is trained on and by: the parts of a Problem without its law of weights."""

    data: Dataset | Points
    activation: Homogeneous
    phi: Potential = Quadratic()
    scaled: bool = False
    free: bool = False
    parameterization: Parameterization = Standard()

    @classmethod
    def of(cls, data: Any, activation: Activation, skip: Array) -> Setting:
        """The setting of a problem, or of data alone (gradient descent), for a network with this skip part; or a refusal."""
        if not isinstance(activation, Homogeneous):
            raise CapabilityError(
                f"`linearized` writes a network as polynomials, got smooth units, {activation!r}; train does without"
            )
        setting, own = cls._of(data, activation), skip.size - 1
        if (inputs := setting.data.inputs) != own:
            raise DataError(f"`data` must have the {own} input(s) of the network, got {setting.data!r} of {inputs}")
        if not setting.free and skip.any():
            raise DataError(
                f'a network with a skip connection, here {skip.tolist()}, needs a problem with affine="free"; give that as '
                "`data`"
            )
        return setting

    @classmethod
    def _of(cls, data: Any, activation: Homogeneous) -> Setting:
        if isinstance(data, Dataset | Points):
            return cls(data, activation)
        if not isinstance(data, Problem):
            raise DataError(f"`data` must be an sb.Dataset or an sb.Problem, got {data!r}; use sb.Dataset(x, y)")
        if activation != (wanted := data.activation.two_slopes or data.activation):
            raise DataError(f"`data` must be a problem with the activation of this network, {activation}, got {wanted}")
        if not data.linear:
            raise CapabilityError(
                f"a linearization has a closed form for quadratic and unscaled potentials, got {data.potential}; train with "
                "a large width instead"
            )
        return cls(data.data, activation, data.phi, data.scaled, data.free, data.parameterization)

    def metric(self, theta: Array) -> Array:
        r"""The diagonal :math:`D = 1/\Phi''` at the start, in units of the parameters (w, b, a, d), shape (3n + 1,)."""
        inputs = self.data.inputs
        width = theta.size // (inputs + 2)
        unit = np.ones_like(theta)
        unit[(inputs + 1) * width :] = self.parameterization.output_scale(width)
        with np.errstate(all="ignore"):
            metric = unit**2 / self.phi.hess(np.zeros_like(theta) if self.scaled else theta / unit)
        if not (np.isfinite(metric) & (metric > 0)).all():
            raise DataError(
                f"the potential must have 0 < phi'' < inf at all parameters, got {self.phi} with 1/phi'' = "
                f"{metric[~(np.isfinite(metric) & (metric > 0))][0]:g}; add a quadratic part, e.g. sb.Power(4, quadratic=1)"
            )
        return np.asarray(metric)


@dataclass(frozen=True, eq=False)
class Progress:
    r"""How much of every mode is done: :math:`1 - e^{-\lambda\tau}`, or :math:`1 - \prod_s (1 - \eta_s \lambda)` in steps.

    Attributes
    ----------
    tau : float
        Sum of learning rates; infinite: all is done.
    rates, counts : Array or None
        The different learning rates and their numbers of steps; None: a flow.
    """

    tau: float
    rates: Array | None = None
    counts: Array | None = None

    @classmethod
    def of(cls, time: float | None, learning_rate: Any, steps: int | None, clock: float) -> Progress:
        """The progress by a training time, or after steps, or a DataError if neither is right or they contradict."""
        if learning_rate is None:
            if steps is not None:
                raise DataError(f"`steps` = {steps!r} needs a `learning_rate`, got none; give it, or the `time` alone")
            time = math.inf if time is None else time_of(time, "time")
            return cls(time / clock)
        rates, counts = distinct_rates(learning_rate, steps)
        tau = float((rates * counts).sum())
        if time is not None and not math.isclose(time_of(time, "time"), clock * tau, rel_tol=1e-9):
            raise DataError(
                f"`time` and learning rates must not contradict each other, got time = {time!r} and learning rates that add "
                f"up to the time {clock * tau:g}; leave one of them out"
            )
        return cls(tau, rates, counts)

    def fitted(self, matrix: Array, left: Array) -> Array:
        r"""What is done of what is `left`, :math:`U S^{-1} (1 - e^{-S^2\tau}) V^T` of it, with the `matrix` A above."""
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        there = s > np.finfo(float).eps * max(matrix.shape) * s.max()
        gain = np.zeros_like(s)
        gain[there] = self.done(s[there] ** 2) / s[there]
        return np.asarray(u @ (gain * (vt @ left)))

    def done(self, modes: Array) -> Array:
        r"""What is done of modes with decay rates :math:`\lambda > 0`, shape (k,)."""
        if self.rates is None or self.counts is None:
            return np.asarray(-np.expm1(-self.tau * modes))
        size, sign = np.zeros_like(modes), np.ones_like(modes)  # of the product: exp(size), and its sign
        with np.errstate(divide="ignore", over="ignore"):
            for rate, count in zip(self.rates, self.counts, strict=True):
                step = rate * modes
                size += count * np.where(step < 1, np.log1p(-np.minimum(step, 1)), np.log(np.maximum(step - 1, 0)))
                sign = np.where((step > 1) & (count % 2 == 1), -sign, sign)
            done: Array = np.where(sign > 0, -np.expm1(size), 1 + np.exp(size))
        if not np.isfinite(done).all():
            raise DataError(
                f"`learning_rate` must be below 2 / lambda_max = {2 / modes.max():.3g} for steps to settle, got "
                f"{self.rates.max():.3g}"
            )
        return done


@dataclass(frozen=True, eq=False)
class Units:
    r"""A network as polynomials behind gates, in powers of v = x - `origin`, degree p.

    Attributes
    ----------
    gates : Gates
        Where the n units are on their right sides.
    value : Array, shape (n, p + 1)
        :math:`a_k z_k^p`.
    rows : Array, shape (n, r, p + 1)
        The derivatives by the parameters that are trained, times :math:`D^{1/2}`: r = 1 (a), or 3 (a, w, b).
    sides : (float, float)
        What the polynomials are multiplied by on the left and on the right side.
    origin : float
        Where they are expanded.
    """

    gates: Gates
    value: Array
    rows: Array
    sides: tuple[float, float]
    origin: float

    @classmethod
    def of(cls, theta: Array, metric: Array, activation: Homogeneous, origin: float, *, hidden: bool) -> Units:
        """The units of the parameters (w, b, a, d)."""
        (w, b, a), (d_w, d_b, d_a) = (part[:-1].reshape(3, -1) for part in (theta, np.sqrt(metric)))
        power, z = activation.degree, w * origin + b
        lower = _powers(w, z, power - 1)  # z_k^(p - 1)
        top = np.zeros((w.size, power + 1))
        top[:, :-1] = z[:, None] * lower
        top[:, 1:] += w[:, None] * lower
        rows = [d_a[:, None] * top]
        if hidden:
            slope = power * a[:, None] * lower
            by_bias, by_weight = np.zeros_like(top), np.zeros_like(top)
            by_bias[:, :-1] = slope
            by_weight[:, 1:] = slope
            rows += [d_w[:, None] * (by_weight + origin * by_bias), d_b[:, None] * by_bias]
        one = np.array([-1.0, 1.0])
        left, right = activation.value(one) * one**power
        return cls(Gates.of_units(w, b), a[:, None] * top, np.stack(rows, axis=1), (float(left), float(right)), origin)

    def function(self, moves: Array, base: Array) -> PiecewisePolynomial:
        """The network plus the polynomials `moves`, (n, p + 1), of its units, and plus the polynomial `base`, (p + 1,)."""
        return gated_sum(self.gates, self.value + moves, self.sides, base, self.origin)

    def moves(self, jacobian: _Jacobian, target: Array) -> tuple[Array, float]:
        """What parameters that are `target` in the coordinates of the Jacobian change: polynomials, output bias."""
        moves = np.zeros_like(self.value)
        for block in jacobian.blocks:
            rows = self.rows[block.units]
            sizes = (block.basis @ target[block.place]).reshape(rows.shape[:2])
            moves[block.units] = (sizes[:, :, None] * rows).sum(axis=1)
        return moves, float(target[-1])


def _powers(w: Array, z: Array, power: int) -> Array:
    r"""Coefficients of :math:`(w_k v + z_k)^{power}` in rising powers of v, shape (n, power + 1)."""
    j = np.arange(power + 1)
    return np.asarray(np.array([math.comb(power, i) for i in j]) * w[:, None] ** j * z[:, None] ** (power - j))


@dataclass(frozen=True, eq=False)
class _Block:
    """Units that open to one side between the same two data: their rows of the A above are `basis` times few."""

    units: NDArray[np.intp]
    basis: Array
    place: slice


@dataclass(frozen=True, eq=False)
class _Jacobian:
    """The A above in few rows, shape (R, M), the last that of the output bias, and how rows of units are made of them."""

    matrix: Array
    blocks: tuple[_Block, ...]

    @classmethod
    def at(cls, units: Units, x: Array, root: Array, bias: float) -> _Jacobian:
        """At points `x`, with the roots of the weights, and the root of the metric of the output bias."""
        before, opens = units.gates.before(x), units.gates.opens_right
        number = before + (x.size + 1) * ~opens
        order = np.argsort(number, kind="stable")
        powers = (x - units.origin) ** np.arange(units.rows.shape[2])[:, None]
        found, blocks, height = [], [], 0
        for some in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
            active = (np.arange(x.size) >= before[some[0]]) == opens[some[0]]
            basis, triangle = np.linalg.qr(units.rows[some].reshape(-1, units.rows.shape[2]))
            found.append(triangle @ powers * np.where(active, *reversed(units.sides)) * root)
            blocks.append(_Block(some, basis, slice(height, height := height + len(triangle))))
        return cls(np.vstack([*found, bias * root]), tuple(blocks))


def linearized(
    theta: Array, skip: Array, setting: Setting, progress: Progress, *, hidden: bool = True
) -> PiecewisePolynomial:
    """The function of the linearized network with parameters (w, b, a, d) by then: see `Network.linearized`."""
    data, metric = setting.data, setting.metric(theta)
    assert isinstance(data, Dataset), "several inputs: linearized_points"
    weights = data.weights / data.weights.sum()
    root, origin = np.sqrt(weights), float(data.x[0] + (data.x[-1] - data.x[0]) / 2)
    units = Units.of(theta, metric, setting.activation, origin, hidden=hidden)
    base = np.zeros(units.value.shape[1])
    base[:2] = theta[-1] + skip[1] + skip[0] * origin, skip[0]
    left = root * (data.y - units.function(np.zeros_like(units.value), base)(data.x))
    jacobian = _Jacobian.at(units, data.x, root, math.sqrt(metric[-1]))
    matrix, lines = jacobian.matrix, np.zeros((0, data.size))
    if setting.free:  # what the skip connection fits at all times is left to it
        lines = np.linalg.qr(np.stack([root, (data.x - origin) * root], axis=1))[0].T
        left, matrix = left - left @ lines.T @ lines, matrix - matrix @ lines.T @ lines
    moves, bias = units.moves(jacobian, progress.fitted(matrix, left))
    base[0] += math.sqrt(metric[-1]) * bias
    found = units.function(moves, base)
    if not setting.free:
        return found
    slope, intercept = _line(data.x - origin, data.y - found(data.x), weights)
    base[:2] += intercept, slope
    return units.function(moves, base)


def _line(v: Array, values: Array, weights: Array) -> tuple[float, float]:
    """Slope and intercept of the least-squares line through `values` at `v`, with weights of sum 1."""
    centre = float((weights * v).sum())
    slope = float((weights * (v - centre) * values).sum() / (weights * (v - centre) ** 2).sum())
    return slope, float((weights * values).sum()) - slope * centre
