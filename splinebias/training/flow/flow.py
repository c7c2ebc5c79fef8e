r"""Mirror flow followed by exponential steps: the stiffness of the data fit costs nothing.

.. math:: \frac{d}{d\tau} \nabla\Phi(\theta) = -\nabla L(\theta), \qquad L = \tfrac12 \sum_i \omega_i (f(x_i) - y_i)^2,
          \qquad t = n \tau,

the limit of mirror descent for small learning rates, with every parameter (w, b, a, d) trained. What makes descent slow is
the spread of the M decay rates of the data fit, and that part is solved exactly at every step (`exponential_step`);
breakpoints that reach a sample and stay there slide along it (`held_breakpoints`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import keep_plain, known_keywords, listed, real_number, real_vector, whole_number
from splinebias.errors import DataError
from splinebias.loss import Loss, Squared
from splinebias.problem import Problem
from splinebias.training.method import Recorder, Run, TrainingMethod

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field


@known_keywords
@dataclass(frozen=True)
class MirrorFlow(TrainingMethod):
    r"""Mirror flow, the limit of `MirrorDescent` for small learning rates, by an exponential integrator.

    Parameters
    ----------
    rtol : float
        Local error per step, relative to the misfit at the start; both are root mean squares of f at the data, with their
        weights. If neither `time` nor `saveat` is given, only the part of the error counts that the rest of
        the flow cannot forget (see Notes). Errors of steps add up, and grow where the flow itself spreads: lazy networks
        end within rtol of the span of y, narrow ones whose units move to other samples within about ten times rtol (1 % at
        1e-3, tested for 50 units); while a growing unit decides what is learned they are some hundred times rtol.
    max_steps : int
        Most steps to try, counting those taken back.
    time : float
        Training time t = n tau at which to stop; infinity: when `loss_tol` is reached.
    saveat : sequence of float
        Training times at which to keep the network, increasing, > 0, at most `time`. They cost two products with the
        Jacobian each and 24 bytes per unit; the steps are not shortened to meet them.

    Raises
    ------
    DataError
        For a number outside these ranges.

    Notes
    -----
    Ends with CONVERGED (loss at most `loss_tol`), REACHED_TIME, MAX_STEPS, STALLED (the gradient vanishes at a positive
    loss, or most of the loss is out of the range of the tangent kernel and moving features did not halve it in the last
    99 % of the time, unless `time` is given: the advice says the rank of that kernel; or the loss is down to rounding) or
    DIVERGED (numbers overflow).
    `Training.snapshots` holds the networks of `saveat`; times after a run is at rest (CONVERGED or STALLED) show its end.

    The order is three. The error of a step has two parts. *Drift* comes from moving features. *Wander* is an error of the
    path within the range of the Jacobian; as long as features do not move every such path ends at the same network, so it is
    held at a tenth of the present misfit, which keeps the times of `History` to some per cent only. With `time` or `saveat`
    it is held like the drift, which takes several times more steps with potentials that are not quadratic.

    Hidden weights of wide networks, whose movement hardly counts in f, move as they should: steps integrate residuals that
    decay within them (to 1 % for widths from 1000 to 50,000, tested). Where breakpoints slide along samples and the output
    weight of one changes its sign, more than one motion solves the flow: here the unit goes where its sample is on its right
    side, and descent, which decides that by rounding, may end elsewhere.

    Networks of a batch (`train_ensemble`) take steps of their own and leave it when they are done.

    A step costs three evaluations of the network, each with products with the transposed Jacobian (``stats["passes"]``),
    O(n M) or O(n log M + M^2), and the eigenvectors of an M x M matrix (up to M = 1000; Krylov spaces beyond).
    Where breakpoints pass samples or come to rest there is located inside a step (`crossings`), so steps go over such jumps
    of the field at the same order (``stats["jumped"]`` of them). They are not made shorter than 100 rtol of
    :math:`1/\lambda_{\max}` for the sake of accuracy (``stats["floored"]`` would have been). ``stats["held"]`` is how many
    units slid along samples at most at a time, ``stats["rejected"]`` how many steps were taken back.

    Hypotheses of the infinite-width limit, not checked: a large width.

    References
    ----------
    Jin & Montúfar, JMLR 24(137), 2023; Liang & Montúfar, ICLR 2025 (the flow). Hochbruck & Ostermann, Acta Numerica 19, 2010
    (exponential integrators). Filippov, Kluwer 1988 (sliding).
    """

    rtol: float = 1e-4
    max_steps: int = field(default=10_000, kw_only=True)
    time: float = field(default=math.inf, kw_only=True)
    saveat: Sequence[float] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        real_number(self.rtol, "rtol", above=0, fix="take e.g. 1e-4")
        whole_number(self.max_steps, "max_steps", at_least=1)
        keep_plain(self, "max_steps")
        if self.time != math.inf:
            real_number(self.time, "time", above=0, fix="leave it out to train until loss_tol is reached")
        times = real_vector(listed(self.saveat), "saveat", fix="leave it out: a run hands back its end anyway")
        if times.size and not (times[0] > 0 and (np.diff(times) > 0).all() and times[-1] <= self.time):
            rule = f"increasing times in (0, {self.time:g}]"
            raise DataError(f"`saveat` must hold {rule}, got {times.tolist()}; sort them and leave out the others")
        object.__setattr__(self, "saveat", tuple(times.tolist()))

    def trains(self, problem: Problem, loss: Loss, trainable: Sequence[str]) -> str | None:
        if not isinstance(loss, Squared):
            return f"its steps solve the decay of residuals of the squared loss, got {loss!r}; MirrorDescent takes others"
        if ("w" in trainable) != ("b" in trainable):
            return f"units slide along samples by w and b together, got {', '.join(trainable)}; MirrorDescent takes any"
        return None

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

        from splinebias.training.flow.batch import FlowBatch
        from splinebias.training.stopping import FLOW_STEPS, Limits

        # along the flow the loss falls at every step: where ten do not lower it, that is rounding
        limits = Limits(
            loss_tol, self.max_steps, 10, FLOW_STEPS, counts_rejected=True, horizon=self.time / field.mirror.clock
        )
        with torch.no_grad():
            return FlowBatch(start, field, self.rtol, self.saveat, limits, records).finish()
