"""How networks are moved unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splinebias.loss import SQUARED
from splinebias.parameterization import PARAMETERS, MeanField
from splinebias.problem import Problem
from splinebias.training.descent.descent import MirrorDescent
from splinebias.training.flow.flow import MirrorFlow
from splinebias.training.method import TrainingMethod
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow


def default_method(*problems: Any, loss: Any = SQUARED, trainable: Sequence[str] = PARAMETERS) -> TrainingMethod:
    """The first that takes all `problems`, the loss and the parameters; no check of what they are.

    `NeuronFlow` for mean-field networks, else `MirrorFlow`; `MirrorDescent` takes what these do not.
    """
    rich = all(isinstance(getattr(problem, "parameterization", None), MeanField) for problem in problems)
    method = NeuronFlow() if rich and not any(map(NeuronFlow().supports, problems)) else MirrorFlow()
    known = [problem for problem in problems if isinstance(problem, Problem)]
    return MirrorDescent() if any(method.trains(problem, loss, trainable) for problem in known) else method
