"""How networks are moved unless told otherwise."""

from __future__ import annotations

from typing import Any

from splinebias.parameterization import MeanField
from splinebias.training.flow.flow import MirrorFlow
from splinebias.training.method import TrainingMethod
from splinebias.training.neuron_flow.neuron_flow import NeuronFlow


def default_method(*problems: Any) -> TrainingMethod:
    """`NeuronFlow` for mean-field networks if it takes all `problems`, else `MirrorFlow`; no check of what they are."""
    rich = all(isinstance(getattr(problem, "parameterization", None), MeanField) for problem in problems)
    return NeuronFlow() if rich and not any(map(NeuronFlow().supports, problems)) else MirrorFlow()
