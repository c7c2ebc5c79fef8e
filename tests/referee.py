r"""A referee for predictions: E[alpha sigma(wx + b)] over (w, b), sharing nothing with solvers or their second opinion.

For a problem and multipliers :math:`\lambda`, :math:`\phi'(\alpha(w, b)) = \sum_i \lambda_i \sigma(w x_i + b)` and
:math:`f(x) = E[\alpha\,\sigma(wx + b)]`, and a line if that is free; with `NTK` the features of the hidden layer are added.

- Expectations are sums over nodes in the plane of (w, b) (`plane`), not over breakpoints.
- Features are computed in extended precision and differenced there, over k + 2 neighbouring points: nothing cancels in double
  precision afterwards, however close to each other or far from the origin the data are.
- The multipliers of a prediction are rounded numbers of which f may be an ill-conditioned function. So Newton's method goes
  on from them until these nodes interpolate the data, if it gets there.
- Nodes are made finer until two sets agree; what they differ by, with the rounding of the sums, is the stated bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import splinebias as sb
from tests.plane import LONG, Frame, Nodes, nodes_of

LEVELS = ((6, 8), (9, 12), (14, 18), (21, 27), (32, 40))  # orders of the outer and the inner rule
MOST_NUMBERS = 60_000_000  # features that are held at once
_EPS = 2.3e-16


class Ruling(NamedTuple):
    """What the referee says about a prediction.

    Attributes
    ----------
    x, value, bound : array, shape (Q,)
        Places, the function there according to the referee, and by how much that may be off.
    error : float
        Largest distance of the prediction from it beyond `bound`, relative to the larger of max |y| and |f|; at the data too.
    blur : float
        The largest `bound`, in the same unit: what the referee cannot see.
    penalty_error, penalty_blur : float
        The same for the penalty, relative.
    settled : bool
        Whether `value` interpolates the data to rounding; else it is what the prediction's multipliers say, and `bound` has
        ten times their misfit.
    """

    x: Any
    value: Any
    bound: Any
    error: float
    blur: float
    penalty_error: float
    penalty_blur: float
    settled: bool


def places(x: Any) -> Any:
    """Where predictions are looked at: in four gaps, the widest and the narrowest among them, and outside, once far out."""
    gaps, span = np.diff(x), x[-1] - x[0]
    looked = np.unique([0, gaps.size - 1, gaps.argmax(), gaps.argmin()])
    inside = x[looked] + np.array([0.5, 0.37, 0.61, 0.44])[: looked.size] * gaps[looked]
    inside = inside[(inside > x[looked]) & (inside < x[looked + 1])]
    return np.r_[x[0] - 0.3 * span, inside, x[-1] + 0.4 * span, x[-1] + 11.3 * span]


@np.errstate(all="ignore")  # what leaves the range of doubles ends as a bound that is no number
def rule(prediction: sb.Prediction, goal: float = 1e-8) -> Ruling:
    """The referee's opinion of a prediction, to `goal` if it can be had.

    Raises
    ------
    MemoryError
        If it takes more numbers than the referee may hold.
    """
    problem = prediction.problem
    data, x = problem.data, places(problem.data.x)
    frame = Differences(problem, x, float(np.abs(prediction.multipliers).max()) or 1.0)
    said, size = prediction.function(x), frame.size_of_y
    unit = np.maximum(size, np.abs(said))
    began = frame.dual(prediction.multipliers)
    finest = Solution.of(frame, began, LEVELS[0])
    bound, blur = np.full(x.size, math.inf), math.inf
    for level in LEVELS[1:]:
        try:
            now = Solution.of(frame, finest.dual if finest.settled else began, level)
        except MemoryError:
            break
        bound = np.abs(now.value - finest.value) + now.rounding
        blur = abs(now.penalty - finest.penalty) + 1e-14 * abs(now.penalty)
        finest = now
        if (bound <= goal * unit).all() and blur <= goal * abs(now.penalty):
            break
    off = np.maximum(np.abs(said - finest.value) - bound, 0) / unit
    missed = np.abs(prediction.function(data.x) - data.y).max() / size
    cost = abs(finest.penalty) or 1.0
    return Ruling(
        x, finest.value, bound,
        error=float(np.max([*off, missed])),  # np.max keeps a NaN
        blur=float(np.max(bound / unit)),
        penalty_error=float(np.maximum(abs(prediction.penalty - finest.penalty) - blur, 0)) / cost,
        penalty_blur=blur / cost,
        settled=finest.settled,
    )  # fmt: skip


class Differences:
    """Divided differences, over k + 2 data at most, of functions that are known at the data and at places.

    Parameters
    ----------
    problem : Problem
        With the M data, and k the degree of the activation.
    x : array, shape (Q,)
        The places.
    unit : float
        Of dual functions, whose powers may be out of range.
    """

    def __init__(self, problem: sb.Problem, x: Any, unit: float = 1.0) -> None:
        self.problem, self.size, self.unit = problem, problem.data.size, LONG(unit)
        self.x0 = LONG(problem.data.x[0])
        self.at = np.r_[problem.data.x, x].astype(LONG) - self.x0
        self.degree = problem.activation.degree
        self.order = min(self.degree + 1, self.size - 1)
        self.matrix = self._of_data(np.eye(self.size, dtype=LONG)).T  # row j: the weights of the data in difference j
        self.free = 2 * problem.free  # differences that lines have
        self.weights = np.array([self._interpolation(x) for x in self.at[self.size :]])
        y = problem.data.y.astype(LONG)
        self.size_of_y = float(np.abs(problem.data.y).max()) or 1.0
        self.y, self.base = (self.matrix @ y).astype(float), (self.weights @ y).astype(float)
        self.powers = [np.concatenate(self.of(self.at[None] ** j), axis=1)[0] for j in range(self.degree + 1)]
        for j, of_power in enumerate(self.powers):  # what is zero but for rounding
            of_power[max(j + 1 - self.free, 0) : self.size - self.free] = 0.0
            of_power[self.size - self.free :] *= j >= min(self.degree + 1, self.size)
        self.lost = np.abs(self.weights).sum(axis=1).astype(float) + 1  # how much rounding of values counts at places

    def _interpolation(self, x: Any) -> Any:
        """Weights of the data in the polynomial through those next to x that are not next to each other."""
        d = self.at[: self.size]
        near: list[int] = []
        for apart in (0.1, 0.0):  # if there are too few of these, any
            for i in np.argsort(np.abs(d - x)):
                if len(near) < min(self.degree + 1, self.size) and all(abs(d[i] - d[j]) > apart * abs(x - d[i]) for j in near):
                    near.append(int(i))
        weights = np.zeros(self.size, LONG)
        for i in near:
            weights[i] = math.prod((x - d[j]) / (d[i] - d[j]) for j in near if j != i)
        return weights

    def _of_data(self, values: Any) -> Any:
        """Differences of values at the data, shape (N, M): of orders 0, 1, ..., then of the largest order."""
        low, d = [], self.at[: self.size]
        for order in range(1, self.order + 1):
            low.append(values[:, :1])
            values = (values[:, 1:] - values[:, :-1]) / (d[order:] - d[: d.size - order])
        return np.concatenate([*low, values], axis=1)

    def of(self, values: Any) -> tuple[Any, Any]:
        """Differences of values at data and places, (N, M + Q): (N, M) of the data, (N, Q) less what nearby data say."""
        data, rest = values[:, : self.size], values[:, self.size :]
        return self._of_data(data)[:, self.free :].astype(float), (rest - data @ self.weights.T).astype(float)

    def of_polynomial(self, w: Any, tau: Any, size: Any) -> Any:
        """Those of size (tau + w x)^k, which every feature is whose kink is not among data and places: nothing cancels."""
        k = self.degree
        terms = [math.comb(k, j) * tau ** (k - j) * w**j for j in range(k + 1)]
        return size[:, None] * (np.stack(terms, axis=1).astype(float) @ np.array(self.powers))

    def dual(self, multipliers: Any) -> Any:
        """Coordinates u with sum_i lambda_i v_i = unit * sum_j u_j (difference j of v)."""
        left, found = np.array(multipliers, LONG), np.zeros(self.size, LONG)
        for j in range(self.size)[::-1]:  # difference j ends at datum j
            found[j] = left[j] / self.matrix[j, j]
            left -= found[j] * self.matrix[j]
        return (found[self.free :] / self.unit).astype(float)

    def misfit(self, missed: Any) -> float:
        """Ten times the largest value at data whose differences these are; with a free line they have none at two of them."""
        found, differences = np.zeros(self.size, LONG), np.r_[np.zeros(self.free), missed]
        for j in range(self.size):
            found[j] = (differences[j] - self.matrix[j, :j] @ found[:j]) / self.matrix[j, j]
        return 10 * float(np.abs(found).max())

    def zeros(self, dual: Any) -> tuple[Any, Any]:
        """Zeros of sum_i lambda_i sigma(+-(x_i - c)), which is linear between data, less x0."""
        if self.problem.activation.two_slopes is None:
            return np.zeros(0, LONG), np.zeros(0, LONG)
        d = self.at[: self.size]
        c, found = np.r_[d[0] - 1e9 * d[-1], d, 1e9 * d[-1]], []
        for sign in (1, -1):
            g = sigma(self.problem, sign * (d - c[:, None]))
            g = self._of_data(g)[:, self.free :] @ dual.astype(LONG)
            at = np.flatnonzero(g[:-1] * g[1:] < 0)
            found.append(c[at] + (c[at + 1] - c[at]) * g[at] / (g[at] - g[at + 1]))
        return found[0], found[1]


@dataclass(frozen=True, eq=False)
class Solution:
    """What interpolates the data, on one set of nodes.

    Attributes
    ----------
    dual : array
        Its coordinates.
    value, rounding : array, shape (Q,)
        The function at the places, and what rounding may have done to it.
    settled : bool
        Whether it interpolates the data; otherwise it is that of the multipliers it was started from.
    penalty : float
        Its cost.
    """

    dual: Any
    value: Any
    rounding: Any
    settled: bool
    penalty: float

    @classmethod
    def of(cls, frame: Differences, dual: Any, level: tuple[int, int]) -> Solution:
        """By Newton's method from `dual`."""
        potential = Inverse(frame.problem, float(frame.unit))
        nodes = Sampled.of(frame, dual, level, graded=not potential.linear)
        start, settled, last = dual, False, math.inf
        for _ in range(25):
            alpha, slope = potential(nodes.seen @ dual)
            missed = frame.y[frame.free :] - nodes.seen.T @ (nodes.mass * alpha)
            bent = nodes.seen * (nodes.mass * slope)[:, None]
            hessian = nodes.seen.T @ bent
            scale = 1 / np.sqrt(np.where(np.diag(hessian) > 0, np.diag(hessian), 1.0))
            if not np.isfinite(hessian * scale * scale[:, None]).all():
                break
            step = scale * np.linalg.lstsq(hessian * scale * scale[:, None], scale * missed, rcond=1e-14)[0]
            change = step @ (bent.T @ nodes.rest)
            value = frame.base + nodes.rest.T @ (nodes.mass * alpha)
            size = float(np.max(np.abs(change) / np.maximum(np.abs(value), frame.size_of_y)))
            if not size < last:  # rounding, or out of reach
                settled = last < 1e-9
                break
            dual, last = dual + step, size
            if size <= 1e-13:
                settled = True
                break
        dual = dual if settled else start
        alpha, _ = potential(nodes.seen @ dual)
        value = frame.base + nodes.rest.T @ (nodes.mass * alpha)
        change = np.zeros_like(value)
        if settled:
            change += min(last, 1e-9) * np.maximum(np.abs(value), frame.size_of_y)
        else:
            change += frame.misfit(frame.y[frame.free :] - nodes.seen.T @ (nodes.mass * alpha)) * frame.lost
        sizes = nodes.mass * np.abs(alpha)
        rounding = 8 * _EPS * (np.abs(nodes.rest).T @ sizes + np.abs(frame.base)) + change
        rounding = rounding + frame.lost * float((sizes * nodes.blur).sum())
        return cls(dual, value, rounding, settled, float((nodes.mass * potential.cost(alpha)).sum()))


@dataclass(frozen=True, eq=False)
class Sampled:
    """Features at nodes, differenced: `seen` (N, M) at data, `rest` (N, Q) at places; `mass`, and the `blur` of values, (N,)."""

    seen: Any
    rest: Any
    mass: Any
    blur: Any

    @classmethod
    def of(cls, frame: Differences, dual: Any, level: tuple[int, int], *, graded: bool) -> Sampled:
        """The features of the problem's units."""
        problem, parts, held = frame.problem, [], 0
        order = frame.degree * problem.limit_potential.moment_order
        order = order if order < 20 else 2.0 * frame.degree  # of laws without heavy tails
        seen = Frame(frame.x0, frame.at, frame.zeros(dual) if graded else ((), ()), graded, order, *level)
        second = problem.initialization.output_second_moment if isinstance(problem.parameterization, sb.NTK) else 0.0
        for nodes in nodes_of(problem.initialization.pair_law, seen):
            held += nodes.w.size * frame.at.size * (3 if second else 1)
            if held > MOST_NUMBERS:
                raise MemoryError(f"{problem} takes more than {MOST_NUMBERS} numbers")
            parts += [(*found, nodes.mass, blur) for *found, blur in _features(problem, nodes, frame, second)]
        return cls(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def _features(problem: sb.Problem, nodes: Nodes, frame: Differences, second: float) -> Any:
    """Differences of the features of units, at data and at places, and the rounding of their values, (N,)."""
    w, eps = nodes.w.astype(LONG), float(np.finfo(LONG).eps)
    z = nodes.tau[:, None] + w[:, None] * frame.at
    seen, rest = frame.of(sigma(problem, z))
    k, far = problem.activation.degree, np.abs(z).max(axis=1).astype(float)
    lost = k * (nodes.blur + eps * far) * far ** (k - 1)
    whole = (z > 0).all(axis=1) | (z < 0).all(axis=1)
    sizes = sigma(problem, np.sign(z[whole, 0])) * np.sign(z[whole, 0]) ** k  # of p z^k or q z^k
    made = frame.of_polynomial(w[whole], nodes.tau[whole], sizes.astype(float))
    seen[whole], rest[whole], lost[whole] = made[:, : seen.shape[1]], made[:, seen.shape[1] :], 0.0
    yield seen, rest, lost
    if second:
        moved = math.sqrt(second) * slope(problem, z)
        for of in (moved, moved * (frame.at + frame.x0)):
            yield *frame.of(of), eps * np.abs(of).max(axis=1).astype(float)


def sigma(problem: sb.Problem, z: Any) -> Any:
    """The activation, written out once more."""
    act = problem.activation
    if isinstance(act, sb.ReLUPower):
        return (z * (z > 0)) ** act.power
    return z * np.where(z > 0, 1.0, {sb.ReLU: 0.0, sb.Abs: -1.0}.get(type(act), getattr(act, "slope", 0.0)))


def slope(problem: sb.Problem, z: Any) -> Any:
    """Its derivative."""
    act = problem.activation
    if isinstance(act, sb.ReLUPower):
        return act.power * (z * (z > 0)) ** (act.power - 1)
    return np.where(z > 0, LONG(1), LONG({sb.ReLU: 0.0, sb.Abs: -1.0}.get(type(act), getattr(act, "slope", 0.0))))


class Inverse:
    """The inverse of phi', its derivative, and D_phi(alpha, 0), written out once more; unscaled potentials act as u^2/2.

    It takes dual functions in a unit.
    """

    def __init__(self, problem: sb.Problem, unit: float) -> None:
        phi = problem.potential.base if isinstance(problem.potential, sb.Scaled) else sb.Quadratic()
        self.unit = unit
        self.phi, self.scaled = phi, isinstance(problem.potential, sb.Scaled)
        self.stiffness = 2 + 2 * phi.quadratic if isinstance(phi, sb.Power) and phi.p == 2 else 1.0
        self.linear = isinstance(phi, sb.Quadratic) or (isinstance(phi, sb.Power) and phi.p == 2)

    @np.errstate(all="ignore")
    def __call__(self, z: Any) -> tuple[Any, Any]:
        phi, unit = self.phi, self.unit
        if self.linear:
            return z * (unit / self.stiffness), np.full_like(z, unit / self.stiffness)
        if isinstance(phi, sb.Hypentropy):
            return phi.beta * np.sinh(unit * z), phi.beta * unit * np.cosh(unit * z)
        if phi.quadratic == 0:
            u = (unit / phi.p) ** (1 / (phi.p - 1)) * np.abs(z) ** (1 / (phi.p - 1))
            return np.sign(z) * u, np.where(z != 0, u / np.abs(z) / (phi.p - 1), 0.0)
        u = self._power(unit * np.abs(z), phi.p, phi.quadratic)
        stiff = phi.p * (phi.p - 1) * u ** (phi.p - 2) + 2 * phi.quadratic
        return np.sign(z) * u, np.where((u > 0) & (stiff > 0), unit / stiff, 0.0)

    @staticmethod
    def _power(z: Any, p: float, eps: float) -> Any:
        """The root u of p u^(p-1) + 2 eps u = z: Newton's method, which is monotone from the right bound on u."""
        half = 1 if p > 2 else 2
        u = np.minimum((z / (half * p)) ** (1 / (p - 1)), z / (half * 2 * eps))
        for _ in range(100):
            step = (p * u ** (p - 1) + 2 * eps * u - z) / (p * (p - 1) * u ** (p - 2) + 2 * eps)
            step = np.where(np.isfinite(step), step, 0.0)
            u = u - step
            if (np.abs(step) <= 4 * _EPS * u).all():
                break
        return u

    @np.errstate(all="ignore")
    def cost(self, u: Any) -> Any:
        """The Bregman divergence from 0; for unscaled potentials alpha squared."""
        if self.linear:
            return u * u * (self.stiffness / 2 if self.scaled else 1.0)
        if isinstance(self.phi, sb.Hypentropy):
            ratio = u / self.phi.beta
            return self.phi.beta * (ratio * np.arcsinh(ratio) - ratio * (ratio / (np.hypot(ratio, 1) + 1)))
        return np.abs(u) ** self.phi.p + self.phi.quadratic * u * u
