"""The path of the infinitely wide network: steps chosen by their error, all nodes kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.errors import SolveError
from splinebias.limit.mean_field.population import Population, Step
from splinebias.neurons.population import Neurons

_MOST_STEPS = 5000
_REST = 1e-10  # of the size of y: residuals that move nothing any more
_FOREVER = 1e12  # first steps, after which what is left of the loss stays
_SHARE = 0.35  # of the time so far: modes of all rates answer to each other, also where residuals are exact at any size


@dataclass(frozen=True, eq=False)
class MeanFieldPath:
    """Where a population is at all nodes 0 .. S of its steps.

    Attributes
    ----------
    population : Population
        What moves.
    nodes : tuple of Neurons
        The neurons at each node, one row each.
    steps : tuple of Step
        What happens between them.
    outputs : tuple of int
        The nodes at the times asked for.
    undetermined : int
        Particles that left a line where more than one motion solved the flow; counted by `follow`.
    """

    population: Population
    nodes: tuple[Neurons, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    undetermined: int

    @property
    def sizes(self) -> list[float]:
        """Sizes of the steps."""
        return [step.size for step in self.steps]


def follow(population: Population, start: Neurons, times: Array, rtol: float, floor: float = 0.0) -> MeanFieldPath:
    """The path through increasing `times` >= 0, with errors of a step of `rtol` times the size of y.

    Time infinity is where the loss has fallen to `floor` times that of the start, or falls no more.
    """
    scale = _scale(population, start)
    neurons, residual = start, population.residual(start)
    operator = population.operator(start)
    largest = float(np.linalg.eigvalsh(operator)[-1])
    h = first = min(rtol ** (1 / 3), _SHARE) / largest if largest > 0 else float(times[np.isfinite(times)].max(initial=1.0))
    now, undetermined, tries = 0.0, 0, 0
    enough = floor * population.loss(residual)
    nodes, steps, outputs = [start], list[Step](), list[int]()
    for time in times:
        while now < time:
            if time == np.inf and (population.loss(residual) <= enough or largest == 0 or now > _FOREVER * first):
                break
            tries += 1
            if tries > _MOST_STEPS:
                raise SolveError(
                    f"no path to time {time:g} in {_MOST_STEPS} steps (reached {now:g}); ask for earlier times, a larger "
                    "`rtol` or less richness"
                )
            h, left = min(h, max(first, _SHARE * now)), float(time - now)
            last = h >= left
            size = left if last else min(h, left / 2)
            found = population.attempt(neurons, residual, operator, size)
            error = max(found.error / scale, found.turn) / rtol
            good = found.complete and error <= 1
            grow = float(np.clip(0.9 * max(error, 1e-12) ** (-1 / 3), 0.2, 3.0)) if found.complete else 0.2
            h = max(h, size * grow) if good and last else size * grow
            if good:
                now = float(time) if last else now + size
                neurons, residual = found.end, found.residual
                operator = population.operator(neurons)
                if np.abs(found.step.mean).max() > _REST * scale:  # what is driven by rounding goes nowhere
                    undetermined += found.undetermined
                nodes.append(neurons)
                steps.append(found.step)
        outputs.append(len(steps))
    return MeanFieldPath(population, tuple(nodes), tuple(steps), tuple(outputs), undetermined)


def again(population: Population, start: Neurons, sizes: list[float], outputs: tuple[int, ...]) -> MeanFieldPath:
    """A path with given steps; what is undetermined is not counted again."""
    neurons, residual = start, population.residual(start)
    nodes, steps = [start], list[Step]()
    for size in sizes:
        found = population.attempt(neurons, residual, population.operator(neurons), size)
        neurons, residual = found.end, found.residual
        nodes.append(neurons)
        steps.append(found.step)
    return MeanFieldPath(population, tuple(nodes), tuple(steps), outputs, 0)


def _scale(population: Population, start: Neurons) -> float:
    """The size of y, or what rounding leaves of neurons that cancel."""
    size = float(np.sqrt(population.weights @ population.y**2))
    terms = float((np.abs(population.each_at_data(start)) @ population.mass).max())
    return max(size, _REST * terms, np.finfo(float).tiny)


def merged(path: MeanFieldPath) -> tuple[list[float], tuple[int, ...]]:
    """Sizes of steps twice as long, two by two between the times asked for, and the nodes at these."""
    sizes, outputs, first = list[float](), list[int](), 0
    for last in path.outputs:
        between = path.sizes[first:last]
        sizes += [sum(between[i : i + 2]) for i in range(0, len(between), 2)]
        outputs.append(len(sizes))
        first = last
    return sizes, tuple(outputs)
