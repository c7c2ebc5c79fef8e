r"""Gradient flow made of exact motions of single neurons: as precise where features move as where they do not.

.. math:: \frac{d\theta}{d\tau} = -\nabla \Bigl(L + \tfrac{\mu}{2} \sum_k (a_k^2 + w_k^2 + b_k^2)\Bigr) / \kappa,
          \qquad L = \tfrac12 \sum_i \omega_i (f(x_i) - y_i)^2, \qquad t = \kappa_n \tau,

with every parameter trained, in the units of the parameterization. Two stiff things are exact: the decay of residuals
(`step`), and how fast a neuron turns and grows under given residuals, which reaches samples, crosses them or slides
(`splinebias.neurons`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import keep_plain, known_keywords, listed, memory_left, real_number, real_vector, whole_number
from splinebias.data import Points
from splinebias.errors import CapabilityError, DataError
from splinebias.loss import Loss, Squared
from splinebias.problem import Problem
from splinebias.training.method import Recorder, Run, TrainingMethod

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field

_MOST_POINTS = 2000  # eigenvectors of a kernel of that size take seconds, and every step needs two sets of them
_BYTES_A_UNIT = 600  # measured: 410 in steps, and the network at both ends
_NUMBERS_OF_KERNELS = 10_000_000  # of the kernels of a batch, of which some ten are held


@known_keywords
@dataclass(frozen=True)
class NeuronFlow(TrainingMethod):
    r"""Gradient flow by exact steps of single neurons, also where features are learned; the method for `MeanField`.

    Between samples a neuron is linear in its inputs, so under constant residuals it moves by a hyperbolic rotation in closed
    form; arrivals at samples are located inside the step, where it crosses or slides. Residuals are averaged over a step by
    :math:`\varphi_1` of the tangent kernel. For activations without two slopes an explicit method of order 8 takes its
    place.

    Parameters
    ----------
    rtol : float
        Error of a step: of f at the data (root mean square, with their weights) relative to the misfit at the start, or half
        the present misfit if that is less; and of the parameters of each neuron, relative to their norm.
    weight_decay : float
        The :math:`\mu` above, >= 0, per sum of learning rates, on a, w and b in the units of the parameterization
        (`Standard`: those of f; `NTK`, `MeanField`: of order 1), not on the output bias. With some, `time` must be given:
        the loss does not go to 0, and `loss_tol` is not looked at.
    max_steps : int
        Most steps to try, counting those taken back.
    time : float
        Training time t at which to stop; infinity: when `loss_tol` is reached.
    saveat : sequence of float
        Training times at which to keep the network, increasing, > 0, at most `time`; steps end there.

    Raises
    ------
    DataError
        For a number outside these ranges, and weight decay without `time`.

    Notes
    -----
    Takes problems whose potential is quadratic (scaled or not: mirror flow is then gradient flow, at the speed
    :math:`1/\kappa`, :math:`\kappa = \phi''`), at most 2000 points, float64 on the CPU, and widths whose neurons fit into
    memory.

    Ends with CONVERGED, REACHED_TIME, MAX_STEPS, STALLED or DIVERGED as `MirrorFlow` does. It is STALLED with "the
    gradient vanishes" only if no neuron moves relative to its own size: the plateau after a small start is none.

    :math:`a^2 - w^2 - b^2` of each neuron stays to rounding (times :math:`e^{-2\mu\tau/\kappa}` with weight decay). The
    order is 2. Small starts are crossed by steps that follow the growth of the neurons; ``stats["growth"]`` counts them.
    Losses of labels are taken without weight decay: pulls are averaged over a step as residuals are, with the kernel between
    the square roots of the curvatures of the loss. `rtol` is then the error of a step at the data, relative to the square
    root of twice the loss at the start: one of margins, at all times.

    A neuron dies only if the flow kills it: it reaches a sample beyond which it has no active one, and stops there.

    Other statistics: ``events``, arrivals of neurons at samples; ``sliding``, neurons at samples at the end;
    ``undetermined``, neurons that left a sample where more than one motion solves the flow, or w = b = 0, where more than
    one may. The first happens when the output weight of a sliding neuron changes sign: its sample repels it from then on.
    Here it goes where the sample is on its right side (ReLU: active); descent decides it by rounding, and may end elsewhere.
    `advice` of the run says so. ``dead``: ReLU neurons that are active at no datum at the end.

    Hypotheses of an infinite-width limit, not checked: a large width.

    References
    ----------
    Derived here: the motion of a neuron and the step. Hochbruck & Ostermann, Acta Numerica 19, 2010 (averages by
    :math:`\varphi` functions). Filippov, Kluwer 1988 (sliding). Conservation: Williams et al., NeurIPS 2019.
    """

    rtol: float = 1e-4
    weight_decay: float = field(default=0.0, kw_only=True)
    max_steps: int = field(default=10_000, kw_only=True)
    time: float = field(default=math.inf, kw_only=True)
    saveat: Sequence[float] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        real_number(self.rtol, "rtol", above=0, fix="take e.g. 1e-4")
        real_number(self.weight_decay, "weight_decay", at_least=0, fix="take 0 for none")
        whole_number(self.max_steps, "max_steps", at_least=1)
        keep_plain(self, "max_steps")
        if self.time != math.inf:
            real_number(self.time, "time", above=0, fix="leave it out to train until loss_tol is reached")
        elif self.weight_decay:
            raise DataError(
                "`time` must be finite with weight decay, got inf: the loss does not go to 0; give a training time, such as "
                f"20 times that in which parameters decay, 20 / weight_decay = {20 / self.weight_decay:g} in learning rates"
            )
        times = real_vector(listed(self.saveat), "saveat", fix="leave it out: a run hands back its end anyway")
        if times.size and not (times[0] > 0 and (np.diff(times) > 0).all() and times[-1] <= self.time):
            rule = f"increasing times in (0, {self.time:g}]"
            raise DataError(f"`saveat` must hold {rule}, got {times.tolist()}; sort them and leave out the others")
        object.__setattr__(self, "saveat", tuple(times.tolist()))

    def supports(self, problem: Problem) -> str | None:
        if problem.phi.stiffness is None:
            return f"it follows gradient flow, and {problem.phi} has another metric; MirrorFlow takes it"
        if isinstance(problem.data, Points) and problem.data.inputs > 1 and problem.activation.two_slopes is not None:
            return f"it moves neurons of one input, got {problem.data.inputs}; MirrorFlow and MirrorDescent take several"
        if problem.data.size > _MOST_POINTS:
            return f"it takes at most {_MOST_POINTS} points, got {problem.data.size}; MirrorFlow takes more"
        return None

    def trains(self, problem: Problem, loss: Loss, trainable: Sequence[str]) -> str | None:
        if not isinstance(loss, Squared) and self.weight_decay:
            return f"weight decay is for the squared loss, got {loss!r}; leave one of them out"
        return super().trains(problem, Squared(), trainable)

    def fits(self, problem: Problem, width: int) -> str | None:
        row = 8 * problem.data.size if problem.activation.two_slopes is None else 0  # features are written out
        most = int(memory_left() / (_BYTES_A_UNIT + 6 * row))
        if width <= most:
            return None
        return f"{most:,} units fit into the memory that is left, got {width:,}; take at most that, or MirrorFlow"

    def run(
        self,
        start: Network,
        field: Field,
        *,
        loss_tol: float,
        rngs: Sequence[np.random.Generator],
        records: Sequence[Recorder],
    ) -> list[Run]:
        import torch

        from splinebias.training.losses import LabelLoss
        from splinebias.training.neuron_flow.batch import NeuronBatch
        from splinebias.training.neuron_flow.explicit import ExplicitBatch
        from splinebias.training.stopping import FLOW_STEPS, Limits

        theta = start.theta
        if theta.device.type != "cpu" or theta.dtype != torch.float64:
            raise CapabilityError(
                "NeuronFlow computes in float64 on the CPU, where neurons with events are taken out of a batch one by one; "
                f'got {theta.dtype} on {theta.device}: take dtype="float64", device="cpu", or MirrorFlow'
            )
        decays = self.weight_decay > 0
        limits = Limits(
            -math.inf if decays else loss_tol,
            self.max_steps,
            self.max_steps
            if decays
            else 10,  # along the flow the loss falls at every step: where ten do not, that is rounding
            FLOW_STEPS,
            counts_rejected=True,
            horizon=self.time / field.mirror.clock,
            labels=isinstance(field.loss, LabelLoss),
        )
        kind = NeuronBatch if start.activation.two_slopes is not None else ExplicitBatch
        size, runs = max(1, _NUMBERS_OF_KERNELS // field.loss.y.numel() ** 2), []
        with torch.no_grad():
            for first in range(0, len(records), size):
                some = slice(first, first + size)
                medium = field.of_networks(some)
                batch = kind(start[some], medium, self.rtol, self.weight_decay, self.saveat, limits, records[some])
                runs += batch.finish()
        return runs
