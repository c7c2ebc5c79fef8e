r"""A population of particles under gradient flow: values and tangent kernel at the data, and steps.

With masses :math:`m_k` and richness :math:`\gamma`, :math:`f = \tfrac1\gamma \sum_k m_k a_k \sigma(w_k x + b_k)`, and each
particle moves as a neuron of a network does, :math:`a' = -\gamma D \cdot h`, :math:`h' = -\gamma a D`,
:math:`D = \sum_j \sigma'_j \omega_j r_j \tilde x_j`. So :math:`r' = -K W r` with
:math:`K_{ij} = \sum_k m_k \sigma'_{ki} \sigma'_{kj} \tilde x_i^T (a_k^2 + h_k h_k^T) \tilde x_j`; a particle that slides
along a line has :math:`a^2 e e^T` for :math:`a^2`, e the direction of the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.data import Dataset
from splinebias.neurons.population import Journey, Neurons, advance
from splinebias.neurons.sectors import Sectors

if TYPE_CHECKING:
    from splinebias.limit.mean_field.particles import Particles


class Step(NamedTuple):
    r"""A step of the population.

    Attributes
    ----------
    size : float
        Its h.
    mean : Array, shape (M,)
        The residual that neurons saw, :math:`\bar r`.
    rates, vectors : Array
        Eigenpairs of :math:`W^{1/2} K W^{1/2}` at its middle.
    """

    size: float
    mean: Array
    rates: Array
    vectors: Array


class Attempt(NamedTuple):
    """A step that may be taken: where it ends, and its error, relative to the residual and to parameters."""

    step: Step
    end: Neurons
    residual: Array
    error: float
    turn: float
    undetermined: int
    complete: bool


@dataclass(frozen=True, eq=False)
class Population:
    r"""What all particles of a problem have in common.

    Attributes
    ----------
    sectors : Sectors
        The samples.
    y, weights : Array, shape (M,)
        Ordinates, and the :math:`\omega`.
    richness : float
        The :math:`\gamma`.
    mass : Array, shape (N,)
        Masses of the particles.
    free : bool
        Whether a line is fitted at all times.
    """

    sectors: Sectors
    y: Array
    weights: Array
    richness: float
    mass: Array
    free: bool

    @classmethod
    def of(cls, data: Dataset, activation: TwoSlope, richness: float, particles: Particles, free: bool) -> Population:
        """The population for these data and particles."""
        mass = particles.neurons[-1]
        return cls(Sectors(data.x, activation), data.y, data.weights / data.weights.sum(), richness, mass, free)

    def start(self, particles: Particles) -> Neurons:
        """Where the particles are at time 0: one row."""
        a, w, b, _ = particles.neurons
        return Neurons.at(self.sectors, a[None], w[None], b[None])

    def line(self, x: Array) -> Array:
        """What fits a line: from values at the data to those of the fitted line at `x`, shape (len(x), M)."""
        root = np.sqrt(self.weights)
        basis = np.stack([np.ones_like(self.y), self.sectors.x], axis=-1)
        lines: Array = np.stack([np.ones_like(x), x], axis=-1) @ np.linalg.pinv(root[:, None] * basis) * root
        return lines

    @property
    def project(self) -> Array:
        """From values at the data to what no free line can make of them, shape (M, M)."""
        identity = np.eye(self.y.size)
        return identity - self.line(self.sectors.x) if self.free else identity

    def _by_sector(self, neurons: Neurons, *parts: Array) -> Array:
        """Sums of mass times `parts` over the particles of each sector, arrays (B, N) to (B, 2M, parts)."""
        rows, count = neurons.a.shape[0], self.sectors.count
        bins = (neurons.sector + count * np.arange(rows)[:, None]).ravel()
        sums = [np.bincount(bins, (self.mass * part).ravel(), rows * count).astype(np.float64, copy=False) for part in parts]
        return np.stack(sums, axis=-1).reshape(rows, count, len(parts))

    def values(self, neurons: Neurons) -> Array:
        """What the neurons sum up to at the data, without a free line, shape (B, M)."""
        return self.sectors.values(self._by_sector(neurons, neurons.a * neurons.w, neurons.a * neurons.b)) / self.richness

    def each(self, neurons: Neurons, x: float) -> Array:
        r"""What single neurons have at `x`, :math:`G = a \sigma(wx + b) / \gamma`, shape (B, N)."""
        each: Array = neurons.a * self.sectors.activation.value(neurons.w * x + neurons.b) / self.richness
        return each

    def each_at_data(self, neurons: Neurons) -> Array:
        """What single neurons of the first row have at the data, shape (M, N)."""
        return np.stack([self.each(neurons, x)[0] for x in self.sectors.x])

    def residual(self, neurons: Neurons) -> Array:
        """r = f - y at the data, shape (M,), of the first row."""
        residual: Array = self.project @ (self.values(neurons)[0] - self.y)
        return residual

    def loss(self, residual: Array) -> float:
        r""":math:`\frac12 \sum_j \omega_j r_j^2`."""
        return float(self.weights @ residual**2) / 2

    def _forms(self, neurons: Neurons) -> tuple[Array, Array, Array]:
        """Entries (1, 1), (1, 2), (2, 2) of a^2 + h h^T; along their lines only for neurons that slide; each (B, N)."""
        n = neurons
        square = n.a * n.a
        forms = square + n.w * n.w, n.w * n.b, square + n.b * n.b
        if not n.on_line.any():
            return forms
        x = self.sectors.x[n.sector % self.sectors.x.size]
        lost = np.where(n.on_line, square, 0.0) / (1 + x * x)
        return forms[0] - lost * x * x, forms[1] - lost * x, forms[2] - lost

    def kernel(self, neurons: Neurons) -> Array:
        """The tangent kernel K at the data, shape (B, M, M)."""
        return self.sectors.gram(self._by_sector(neurons, *self._forms(neurons)))

    def kernels(self, neurons: Neurons) -> Array:
        """What each neuron of the first row has in K, before its mass, shape (M, M, N).

        The neighbours' side decides for a neuron on a line, as it does in `kernel`.
        """
        one, mixed, two = (form[0] for form in self._forms(neurons))
        size, sector, x = self.sectors.x.size, neurons.sector[0], self.sectors.x
        j = np.arange(size)[:, None]
        right = np.where(sector <= size, j >= sector, j < sector - size)
        slope = self.sectors.activation.left + self.sectors.activation.kink * right
        x, x2 = x[:, None, None], x[None, :, None]
        kernels: Array = slope[:, None] * slope[None] * (x * x2 * one + (x + x2) * mixed + two)
        return kernels

    def operator(self, neurons: Neurons) -> Array:
        """Symmetrized: W^(1/2) K W^(1/2) of the first row, shape (M, M); a free line is projected out."""
        root = np.sqrt(self.weights)
        operator: Array = root[:, None] * self.kernel(neurons)[0] * root
        if self.free:
            keep = root[:, None] * self.project / root
            operator = keep @ operator @ keep.T
        return operator

    def flown(self, neurons: Neurons, residuals: Array, size: float) -> Journey:
        """Neurons after a time `size` under constant residuals, shape (B, M)."""
        spans = np.full(neurons.a.shape[0], size)
        return advance(neurons, self.sectors, self.richness * self.weights * residuals, spans)

    @np.errstate(over="ignore", invalid="ignore")  # such steps are not taken
    def attempt(self, neurons: Neurons, residual: Array, operator: Array, size: float) -> Attempt:
        r"""A step: residuals are averaged by :math:`\varphi_1(-hA)`, first with the A of the start, then with a mean one.

        Its error is that of third order: of the corrector, of the linear model, and of the order in which a neuron's drives
        act (the Magnus term), as in `NeuronFlow`.
        """
        root = np.sqrt(self.weights)
        rho = root * residual
        rates, vectors = np.linalg.eigh(operator)
        mean, _ = _mean_and_end(rho, rates, vectors, size)
        first = self.flown(neurons, (mean / root)[None], size).end
        middle = (operator + self.operator(first)) / 2
        if not np.isfinite(middle).all():  # neurons left the range of doubles: no step, a shorter one may do
            return Attempt(Step(size, mean / root, rates, vectors), neurons, residual, math.inf, 0.0, 0, complete=False)
        rates, vectors = np.linalg.eigh(middle)
        mean, expected = _mean_and_end(rho, rates, vectors, size)
        journey = self.flown(neurons, (mean / root)[None], size)
        after = self.residual(journey.end)
        error = max(_norm(root * (after - self.residual(first))) / 3, _norm(root * after - expected))
        step = Step(size, mean / root, rates, vectors)
        turn = self._turn(residual, after, size)
        complete = bool(journey.complete.all())
        return Attempt(step, journey.end, after, error, turn, int(journey.undetermined[0]), complete)

    def _turn(self, before: Array, after: Array, size: float) -> float:
        """The angle of the Magnus term, the largest of all sectors."""
        one, other = self.sectors.drives(self.weights * np.stack([before, after]))
        cross = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
        return float((self.richness * size) ** 2 / 12 * cross.max())


def repeated(neurons: Neurons, rows: int) -> Neurons:
    """The one row of neurons, `rows` times."""
    return Neurons(*(np.repeat(part, rows, axis=0) for part in vars(neurons).values()))


def _norm(rho: Array) -> float:
    return float(np.sqrt(rho @ rho))


def phi(z: Array) -> Array:
    """(1 - e^-z)/z for z >= 0, shape of z."""
    safe = np.maximum(z, 1e-8)
    return np.asarray(np.where(z < 1e-8, 1 - z / 2, -np.expm1(-safe) / safe))


def _mean_and_end(rho: Array, rates: Array, vectors: Array, size: float) -> tuple[Array, Array]:
    z = size * np.maximum(rates, 0.0)
    modes = vectors.T @ rho
    return vectors @ (phi(z) * modes), vectors @ (np.exp(-z) * modes)
