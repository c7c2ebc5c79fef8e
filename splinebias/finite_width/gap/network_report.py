"""What can be said of a trained network of which neither start nor training are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.activation import Homogeneous
from splinebias.errors import SplinebiasError
from splinebias.functions.compare import compare
from splinebias.functions.compare_on_box import Place, compare_on_box, place_text
from splinebias.limit.prediction import Prediction
from splinebias.problem import Problem

_BOX_DRAWS = 1024  # points where maxima are looked for first: limits of several inputs may take a millisecond each


@dataclass(frozen=True, eq=False)
class NetworkReport(Drawn):
    """What can be said of a trained network whose start and training are not known (by Adam, for instance).

    Attributes
    ----------
    problem : Problem
        What it was meant to fit, and the law that it was meant to start from.
    width : int
        Number n of units.
    residual : float
        max |f_n(x_i) - y_i|.
    distance : float
        sup |f_n - f| on the interval, f the limit of networks that start at zero.
    in_bands : float
        That distance over the expected one of networks of this width and law, `error_band`; nan where there is none.
    penalty, least_penalty : float
        The curvature penalty of the network, and the least one of any interpolant; nan where it is not defined.
    outside, dead : int or None
        Units with a breakpoint outside the data (of several inputs: with all data on one side of their kink), and units that
        no datum activates. None: smooth units have no breakpoints and are active everywhere.
    interval : tuple of float
        Where distances are meant; of several inputs a box.
    function : callable
        The network f_n.
    prediction : Prediction
        The limit f.
    """

    problem: Problem
    width: int
    residual: float
    distance: float
    in_bands: float
    penalty: float
    least_penalty: float
    outside: int | None
    dead: int | None
    interval: Place
    function: Any
    prediction: Prediction

    @property
    def advice(self) -> str:
        """One sentence: what else would have to be known."""
        if isinstance(self.problem.activation, Homogeneous):
            return (
                "for the parts of the gap, give the network at the start and the training time: "
                "diagnose(network, problem, start=..., time=...)"
            )
        return "parts of the gap are known for units with kinks; sb.compare takes this network and a limit at any time"

    def __repr__(self) -> str:
        return f"NetworkReport(width {self.width}: {self.distance:.3g} from the limit, residual {self.residual:.3g})"

    def facts(self) -> dict[str, Any]:
        """All words and numbers as a plain dictionary, for JSON."""
        facts = vars(self) | {"problem": self.problem.describe(), "advice": self.advice}
        return {name: value for name, value in facts.items() if name not in ("function", "prediction")}

    def __str__(self) -> str:
        rows = {
            "largest residual at the data": f"{self.residual:.3e}",
            f"distance to the limit on {place_text(self.interval)}": f"{self.distance:.3e}",
            "  over that of networks of its width": f"{self.in_bands:.3g}",
            "curvature penalty, least possible": f"{self.penalty:.4g}, {self.least_penalty:.4g}",
            "breakpoints outside the data": f"{self.outside} of {self.width}",
            "units that no datum activates": f"{self.dead}",
        }
        unknown = (math.isnan(self.in_bands), math.isnan(self.penalty), self.outside is None, self.dead is None)
        left_out = [name for name, out in zip(list(rows)[2:], unknown, strict=True) if out]
        lines = [f"{name:<39}  {text}" for name, text in rows.items() if name not in left_out]
        head = f"{self.problem.describe()}; a network of width {self.width}, start and training unknown"
        return "\n".join([head, *lines, self.advice])


def report_of(network: Any, problem: Problem, limit: Prediction, where: Place) -> NetworkReport:
    """What a trained network shows by itself, beside the limit of the problem that it was meant to fit."""
    from splinebias.curvature_penalty.value import penalty
    from splinebias.finite_width.band import error_band

    function, x = network.function(), problem.data.x
    w, b, _ = network.units()
    active = w.reshape(b.size, -1) @ x.reshape(len(x), -1).T + b[:, None] > 0
    if w.ndim == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            places: Array = -b / w
        outside = (places < x[0]) | (places > x[-1]) | ~np.isfinite(places)
    else:
        outside = active.all(axis=1) | ~active.any(axis=1)
    if w.ndim == 1:
        distance = compare(function, limit.function, interval=where).sup
    else:
        distance = compare_on_box(function, limit.function, where, draws=_BOX_DRAWS).sup
    try:
        expected = error_band(problem, network.width, interval=where, draws=2000).expected_sup
    except SplinebiasError:
        expected = math.nan
    try:
        own = penalty(function, problem)
    except SplinebiasError:
        own = math.nan
    kinks = isinstance(problem.activation, Homogeneous)
    return NetworkReport(
        problem,
        network.width,
        float(np.abs(function(x) - problem.data.y).max()),
        distance,
        distance / expected if expected > 0 else math.nan,
        own,
        limit.penalty,
        int(outside.sum()) if kinks else None,
        int((~active.any(axis=1)).sum()) if kinks else None,
        where,
        function,
        limit,
    )
