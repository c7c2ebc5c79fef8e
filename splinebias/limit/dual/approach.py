r"""Newton steps of the dual on a rule that stays: they bring a start nearer at a fraction of the price.

The rule that finds the quadratic solution does not follow the dual function, and is wrong where that has zeros, but the
basis functions at its nodes are known. A step or two there leave fewer for the rule that is right.
"""

from __future__ import annotations

import numpy as np

from splinebias._arguments import Array
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.mirror import mirrored
from splinebias.limit.dual.newton_system import DualSystem
from splinebias.limit.dual.response import Response, ResponseModel

_NEAR = 0.15  # residual, as a part of that at 0, from which on the error of the rule is what is left
_STEPS = 3
_GAIN = 0.5  # a step that leaves more of the residual leads nowhere


def approached(system: DualSystem, models: dict[int, ResponseModel], y: Array, start: DualFunction) -> DualFunction:
    """`start`, moved by Newton steps as long as it is not near and each halves the residual.

    Parameters
    ----------
    system : DualSystem
        Equations with a rule.
    models : dict of ResponseModel
        Per side, or for side 1 where the two agree, at the nodes of the rule.
    y : Array, shape (M,)
        Ordinates.
    start : DualFunction
        Where to begin.
    """
    potential, target, scale = next(iter(models.values())).potential, system.target(y), system.scale(y)
    near = _NEAR * float(np.abs(target / scale).max(initial=0.0))
    responses, residual = _state(system, models, target, start)
    size, left_over = float(np.abs(residual / scale).max(initial=0.0)), np.inf
    for _ in range(_STEPS):
        if not size > near:
            break
        hessian = system.curvature({side: response.slope[side] for side, response in responses.items()})
        step = system.function(hessian.solve(residual))
        function = start.moved(mirrored(potential, start, step, free=system.free))
        if left_over * size <= near:  # by quadratic convergence this one is near
            return function
        responses, residual = _state(system, models, target, function)
        before, size = size, float(np.abs(residual / scale).max(initial=0.0))
        left_over = size / before
        if not left_over < _GAIN:
            break
        start = function
    return start


def _state(
    system: DualSystem, models: dict[int, ResponseModel], target: Array, function: DualFunction
) -> tuple[dict[int, Response], Array]:
    """Per side, the response at the nodes; and the residual of the equations."""
    g = system.evaluate(function.unknowns(free=system.free), tuple(models))
    responses = {side: model({side: g[side]}) for side, model in models.items()}
    made = system.gather({side: response.value[side] for side, response in responses.items()})
    return responses, target - made
