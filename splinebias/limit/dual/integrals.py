"""Integrals of the dual over breakpoints, per side and data interval: by quadrature, for any law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.limit.discretization import CHECK
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations
from splinebias.limit.dual.panel_refinement import PanelGrid, PanelNodes
from splinebias.limit.dual.responses.effective_response import EffectiveModel, EffectiveResponse, SideResponse, joined
from splinebias.limit.dual.responses.response import Brink, Response, ResponseModel
from splinebias.potential import Potential

AnyModel = ResponseModel | EffectiveModel
AnyResponse = Response | EffectiveResponse

_EPS = float(np.finfo(float).eps)
_BLOCK = 1 << 16  # nodes (c, |w|) treated at once: what fits into the cache of a core


def _add(table: Array, part: Array, interval: NDArray[np.intp]) -> None:
    """Add the columns of `part` to those of `table` with the numbers `interval`, in each of their rows."""
    first, last = int(interval.min()), int(interval.max())
    rows, columns = len(table), last - first + 1
    if columns == interval.size and (interval[1:] > interval[:-1]).all():  # one for each
        table[:, first : last + 1] += part
        return
    place = interval - first + columns * np.arange(rows)[:, None]
    total = np.bincount(place.ravel(), part.ravel(), rows * columns)
    table[:, first : last + 1] += total.reshape(rows, columns)


def _of_rows(
    nodes: PanelNodes, response: AnyResponse, equations: DualEquations, factors: tuple[Array | float, Array | float]
) -> Array:
    """What rows contribute, shape (8, N), given the response there; `factors`, as `line_factors`, of all or of each."""
    shape = nodes.weights.T.shape  # in memory node after node of all rows, like the nodes
    hats, terms = (np.empty((copies, *shape)).transpose(0, 2, 1) for copies in (2, 6))
    hats[1] = nodes.share(equations.x)
    np.subtract(1, hats[1], out=hats[0])
    (outside,) = ((nodes.interval == 0) | (nodes.interval == equations.x.size)).nonzero()
    if outside.size:
        factor = np.where(nodes.interval == 0, *factors)[outside, None]
        hats[0, outside], hats[1, outside] = factor * equations.tau(nodes.nodes[outside]), factor
    np.multiply(nodes.weights * response.value, hats, out=terms[:2])
    steep = np.multiply(nodes.weights * response.slope, hats, out=terms[3:5])
    np.multiply(steep[0], hats[0], out=terms[2])
    steep *= hats[1]
    np.multiply(nodes.weights, response.conjugate, out=terms[5])
    part = np.empty((8, nodes.interval.size))
    terms[:2].sum(axis=2, out=part[:2])
    terms[2:].sum(axis=2, out=part[4:])
    np.abs(part[:2], out=part[2:4])
    return part


class Sample(NamedTuple):
    r"""Nodes on some cells, for one side.

    Attributes
    ----------
    row : int
        Number of the side.
    nodes : PanelNodes
        The nodes.
    value : Array, shape (N, q)
        The curvature density there.
    brink : Brink or None
        Where doubles end; None if no term is left out and none is the neighbour of those.
    slope : Array, shape (N, q), or None
        Its derivative by the dual function; None where nobody will ask.
    """

    row: int
    nodes: PanelNodes
    value: Array
    brink: Brink | None
    slope: Array | None

    @classmethod
    def of(cls, row: int, nodes: PanelNodes, response: AnyResponse, *, sloped: bool) -> Sample:
        """From the response at the nodes, which has all sizes |w| and is not kept."""
        return cls(row, nodes, response.value, response.brink(nodes.nodes), response.slope if sloped else None)

    @property
    def noise(self) -> Array:
        """What rounding of the dual function does to the density, relative, shape (N,): much near the end of its domain."""
        assert self.slope is not None
        moved = _EPS * np.abs(self.nodes.rows.g) * self.slope
        return np.asarray(np.divide(moved, np.abs(self.value), out=np.zeros_like(moved), where=self.value != 0).max(axis=1))


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Integrals on a grid that follows the dual function, of any law: it is integrated over |w| at every node.

    Attributes
    ----------
    equations : DualEquations
        The unknowns.
    grid : PanelGrid
        The rule, with the potential.
    sides : tuple of Side
        The units, in the order of `DualEquations`.
    """

    equations: DualEquations
    grid: PanelGrid
    sides: tuple[Side, ...]

    @cached_property
    def potential(self) -> Potential:
        """The potential, in units in which curvature is of order 1."""
        return self.grid.unfolding.potential

    @property
    def degrees(self) -> tuple[int, int] | None:
        """Degrees of breakpoint and curvature in the coordinate of `Unfolding`, if both are polynomials in cells."""
        return None

    @cached_property
    def _responses(self) -> tuple[SideResponse, ...]:
        return tuple(SideResponse(side, self.potential, self.grid.cells) for side in self.sides)

    @cached_property
    def _exact_responses(self) -> tuple[SideResponse, ...]:
        """Without tables: those of a check."""
        return tuple(response.exact for response in self._responses)

    @cached_property
    def _models(self) -> tuple[AnyModel, ...]:
        """The responses of all sides at a few breakpoints."""
        edges = self.grid.cells.edges
        some = edges[np.linspace(0, edges.size - 1, 5).astype(int), None]
        return tuple(side.at(some) for side in self._responses)

    @cached_property
    def speeds(self) -> int:
        """How many values of |w| stand for the law at one breakpoint, or at most of them."""
        return max(1, *(model.speeds for model in self._models))

    @property
    def by_rule(self) -> bool:
        """Whether a rule integrates over |w|, rather than a function of one variable for each scale family."""
        return any(isinstance(model, ResponseModel) and model.speeds > 1 for model in self._models)

    def integrals(self, function: DualFunction) -> Array:
        r"""What a dual function makes, per side and data interval (column j has j points on the left), shape (8, S, M + 1).

        Rows: the curvature density times the two hats, the sizes of the terms that were added up in these, the derivative
        of the density times the left hat squared, both, and the right one squared, and :math:`E[\phi^*] - \phi^*(0)`.
        Beyond the data the derivatives of g by :math:`\beta` and :math:`v_1` take the place of the hats. Of K dual
        functions the shape is (8, S, K, M + 1).
        """
        at_once = self._at_once(function)
        return self._summed(function, None, None) if at_once is None else at_once

    def checked(self, function: DualFunction, *, tables: bool = False) -> tuple[Array, tuple[Sample, ...]]:
        """The integrals by half as many nodes again, and these nodes; `tables`: of moments, as in `integrals`."""
        samples: list[Sample] = []
        order = round(CHECK * self.grid.cells.order)
        return self._summed(function, order, samples, tables=tables), tuple(samples)

    def _summed(
        self, function: DualFunction, order: int | None, samples: list[Sample] | None, *, tables: bool = True
    ) -> Array:
        """The integrals on rows of `order` nodes, None: brief ones; `samples` receives these if it is a list."""
        many, columns = function.values.shape[:-1], self.equations.x.size + 1
        table = np.zeros((8, len(self.sides), math.prod(many) * columns))
        for row, nodes in self._visited(function, order):
            response = self._response(row, nodes, tables=tables)
            part = _of_rows(nodes, response, self.equations, self.equations.factors[row])
            _add(table[:, row], part, nodes.interval + columns * nodes.function if many else nodes.interval)
            if samples is not None:
                samples.append(Sample.of(row, nodes, response, sloped=True))
        return table.reshape(8, len(self.sides), *many, columns)

    def _at_once(self, function: DualFunction) -> Array | None:
        """The integrals on brief rows, of two sides at once; None where these are many, or no one model, or one side."""
        if function.values.ndim > 1 or len(self.sides) == 1:
            return None
        if self.grid.brief.number.size * self.grid.cells.order * self.speeds > _BLOCK // 8:
            return None
        nodes, first = self.grid.of_both(function.sides)
        parts = (slice(0, first), slice(first, None))
        models = [side.at(nodes.nodes[of]) for side, of in zip(self._responses, parts, strict=True)]
        model = joined(*models)
        if model is None:
            return None
        columns, after = self.equations.x.size + 1, np.arange(nodes.interval.size) >= first
        left, right = (np.where(after, *pair[::-1]) for pair in zip(*self.equations.factors, strict=True))
        table = np.zeros((8, 2 * columns))
        _add(table, _of_rows(nodes, model(nodes.rows.g), self.equations, (left, right)), nodes.interval + columns * after)
        return table.reshape(8, 2, columns)

    def _visited(self, function: DualFunction, order: int | None) -> Iterator[tuple[int, PanelNodes]]:
        """The nodes of every side, block by block: all of `order`, or on brief cells as many as the cells have."""
        cells = self.grid.brief if order is None else self.grid.placed
        order = order or self.grid.cells.order
        step = max(1, _BLOCK // (order * self.speeds * math.prod(function.values.shape[:-1])))
        for row, g in enumerate(function.sides):
            acting = cells.acting(g)
            count = acting.number.size
            for first in range(0, count, step):
                yield row, self.grid.on(acting if count <= step else acting.take(slice(first, first + step)), g, order)

    def _response(self, row: int, nodes: PanelNodes, *, tables: bool = True) -> AnyResponse:
        """The response of side number `row` at the nodes."""
        return (self._responses if tables else self._exact_responses)[row].at(nodes.nodes)(nodes.rows.g)


@dataclass(frozen=True, eq=False)
class UnitQuadrature(Quadrature):
    r"""Integrals of a law that is constant on every cell, all with \|w\| = 1: a dual value is that of its units."""

    @property
    def degrees(self) -> tuple[int, int] | None:
        return self.grid.unfolding.degrees

    @property
    def speeds(self) -> int:
        return 1

    @property
    def by_rule(self) -> bool:
        return False

    def _at_once(self, function: DualFunction) -> None:
        return None

    @cached_property
    def units(self) -> tuple[Array, ...]:
        """The density of units in the cells, of every side, shape (N,)."""
        return tuple(model.rho.sum(axis=-1)[:, 0] for model in self.in_cells)

    @cached_property
    def in_cells(self) -> tuple[ResponseModel, ...]:
        """The responses of all sides in the middles of cells, shape (N, 1)."""
        left, right = self.grid.cells.panels
        return tuple(ResponseModel.at(side, self.potential, (left + right)[:, None] / 2) for side in self.sides)

    def _response(self, row: int, nodes: PanelNodes, *, tables: bool = True) -> Response:
        model = ResponseModel(self.potential, np.ones((1, 1, 1)), self.units[row][nodes.number][:, None, None])
        return model(nodes.rows.g, nodes.curvature(self.grid.unfolding)[..., None])
