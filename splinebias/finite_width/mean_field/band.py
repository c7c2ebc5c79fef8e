"""The influences of neurons that learn features, as bands take them: at any points, at one training time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.errors import DataError, SolveError
from splinebias.finite_width.influence import Influence, InfluenceModel
from splinebias.finite_width.mean_field import response
from splinebias.finite_width.mean_field.influence import Influences
from splinebias.initialization.laws import as_law, describe_law
from splinebias.limit.hypotheses import require_moments
from splinebias.limit.mean_field.particles import Particles, fewest, needs_volume
from splinebias.limit.mean_field.path import again, follow, merged
from splinebias.limit.mean_field.predict import population_of, training_time
from splinebias.problem import Problem

_IN_PLANE, _IN_SPACE = (1280, 1e-4), (5120, 3e-4)  # particles, and errors of a step
_POINTS = 21  # at which errors are estimated
_MUCH = 0.05  # of the largest deviation


@dataclass(frozen=True, eq=False)
class MeanFieldInfluence(InfluenceModel):
    r"""Influences of the particles of a problem at one training time.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    particles : Particles
        The particles.
    influences : Influences
        Theirs.
    """

    problem: Problem
    particles: Particles
    influences: Influences

    @classmethod
    def of(cls, problem: Problem, time: float) -> MeanFieldInfluence:
        """The influences at a finite time; fourth moments are checked."""
        require_fourth_moments(problem)
        kinks, law = problem.line_data.x, problem.initialization
        count, rtol = _IN_SPACE if needs_volume(law) else _IN_PLANE
        particles, population = population_of(problem, kinks, max(count, fewest(law, kinks)), 0, spread=True)
        path = follow(population, population.start(particles), training_time(problem, np.array([time])), rtol)
        return cls(problem, particles, Influences.on(path, particles, path.outputs, response.IMPULSE))

    def at(self, points: Array) -> Influence:
        u = self.particles.merged(self.influences.values(self.influences.path.outputs[-1], points))
        return Influence(u * np.sqrt(self.particles.square), u @ self.particles.mass)

    @cached_property
    def error(self) -> float:
        """The error of the deviation relative to its largest value, by half the particles and by steps twice as long."""
        path, kinks = self.influences.path, self.problem.line_data.x
        half, few = population_of(self.problem, kinks, path.population.mass.size // 2, 0, spread=True)
        fewer = again(few, few.start(half), path.sizes, path.outputs)
        longer = again(path.population, path.nodes[0], *merged(path))
        x = np.linspace(*self.problem.default_interval, _POINTS)
        found = [
            np.sqrt(MeanFieldInfluence(self.problem, part, Influences.on(one, part, one.outputs, turn)).at(x).variance())
            for part, one, turn in (
                (half, fewer, response.IMPULSE),
                (self.particles, longer, 2 * response.IMPULSE),
            )
        ]
        std = np.sqrt(self.at(x).variance())
        return float((np.abs(found[0] - std) + np.abs(found[1] - std) / 3).max() / max(std.max(), np.finfo(float).tiny))

    def check(self) -> None:
        """Refuse a band whose error is as large as the band itself, which takes as long as the band.

        Raises
        ------
        SolveError
            If no digit of the deviation is known.
        """
        if not self.error <= 1:
            raise SolveError(
                f"leading order does not hold at this time, not one digit of the band is known: its error is estimated at "
                f"{self.error:.0%} of its largest deviation; ask for an earlier time, or train networks (sb.study)"
            )

    @property
    def advice(self) -> str:
        """Empty, or how wrong the deviation may be, and what can be done."""
        if self.error <= _MUCH:
            return ""
        return (
            f"the error of the band is estimated at {self.error:.0%} of its largest deviation; ask for an earlier time, or "
            "sb.fluctuations for more `particles`"
        )


def require_fourth_moments(problem: Problem) -> None:
    """Raise DataError for laws without fourth moments, with which no variance of networks that learn features is finite."""
    rule, fix = "fluctuations need", "the variance is infinite; use lighter tails"
    require_moments(problem, 4, rule, fix)
    output = problem.initialization.output
    if output is not None and not as_law(output, "output").has_moment(4):
        raise DataError(f"{rule} a finite moment of order 4 of the `output` law, and {describe_law(output)} has none: {fix}")
