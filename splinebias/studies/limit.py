"""The limit that the networks of a study are compared with."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from splinebias.parameterization import MeanField

if TYPE_CHECKING:
    from splinebias.limit.prediction import Prediction
    from splinebias.problem import Problem


def limit_of(problem: Problem, method: Any) -> Prediction:
    """`predict`, with one thread of BLAS as in workers, whose sums depend on their number: for all the same last bit.

    Networks that learn features are compared with their limit at the time at which `method`, or its text, has them stop.
    """
    from splinebias.limit.predict import predict  # who only looks at a study does without the solvers

    rich = isinstance(problem.parameterization, MeanField)
    with threadpool_limits(limits=1):
        return predict(problem, time=stopping_time(method) if rich else math.inf)


def stopping_time(method: Any) -> float:
    """The training time at which a method, or the text of one, has networks stop whatever their loss; infinity if none."""
    found = re.search(r"\btime=([\d.e+-]+)[,)]", method if isinstance(method, str) else repr(method))
    return float(found[1]) if found else math.inf
