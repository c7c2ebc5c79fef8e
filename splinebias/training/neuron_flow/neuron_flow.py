from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from splinebias.problem import Problem
from splinebias.training.method import Recorder, Run, TrainingMethod

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field


@dataclass(frozen=True)
class NeuronFlow(TrainingMethod):
    rtol: float = 1e-4
    weight_decay: float = field(default=0.0, kw_only=True)
    max_steps: int = field(default=10_000, kw_only=True)
    time: float = field(default=math.inf, kw_only=True)
    saveat: Sequence[float] = field(default=(), kw_only=True)

    def run(self, start, field, *, loss_tol, rngs, records):
        from splinebias.training.neuron_flow.batch import NeuronBatch
        from splinebias.training.stopping import FLOW_STEPS, Limits

        limits = Limits(-math.inf if self.weight_decay else loss_tol, self.max_steps, 10 if not self.weight_decay else 10**9, FLOW_STEPS, counts_rejected=True, horizon=self.time / field.mirror.clock)
        return NeuronBatch(start, field, self.rtol, self.weight_decay, self.saveat, limits, records).finish()
