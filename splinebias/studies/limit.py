"""The infinite-width limit that networks are measured against, the same to the last bit for all who ask for it."""

from __future__ import annotations

from threadpoolctl import threadpool_limits

from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction
from splinebias.problem import Problem


def limit_of(problem: Problem) -> Prediction:
    """`predict`, with one thread of BLAS as in workers: its sums depend on their number."""
    with threadpool_limits(limits=1):
        return predict(problem)
