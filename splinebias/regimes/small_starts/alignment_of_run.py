r"""Early alignment measured on a run of `train`: when each of its neurons turned to one class, from the networks on the way.

Times are those of gradient flow on the parameters in which units have size one, :math:`s\,t/(\kappa_n \phi''(0))` with the
output scale s and the clock :math:`\kappa_n` of the parameterization: the time of `alignment`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import known_keywords
from splinebias.activation import ReLU
from splinebias.errors import CapabilityError, DataError
from splinebias.regimes.alignment import alignment_margin
from splinebias.regimes.small_starts.alignment_flow import Alignment, stable_rank

if TYPE_CHECKING:
    from splinebias.training.train import Training


@known_keywords
def alignment_measures(run: Training) -> Alignment:
    r"""Early alignment in a network that `train` has trained, by the measures that `alignment` has for its own.

    Parameters
    ----------
    run : Training
        Of labels +1 and -1, with snapshots on the way, such as ``method=sb.NeuronFlow(saveat=times)``; activation ReLU.

    Returns
    -------
    Alignment
        Times are known up to the distance of snapshots: a neuron aligned by the time that is given. `scale` is the median
        size of (w, b) at the start, `imbalance` how far output weights were from that size.

    Raises
    ------
    DataError
        If the run kept no snapshots, its output weights start at 0, or its data are not labels that count once each.
    CapabilityError
        For an activation other than ReLU, several inputs, and potentials that are not quadratic.

    Notes
    -----
    Hypotheses checked: :math:`\mu > 0` and the balance of the start, both said (``predicted.holds``, ``imbalance``), not
    refused. Not checked: that the start is small. `train` has an output bias, and alignment as it is claimed has none.
    Source: as `alignment`.

    Examples
    --------
    >>> import numpy as np, scipy.stats as st, splinebias as sb
    >>> law = sb.Initialization(*[st.norm(0, 1e-6)] * 2, output=st.norm(0, 1e-6), antisymmetric=False)
    >>> problem = sb.Problem(sb.Dataset([-2, -1, 1, 2], [-1, -1, 1, 1]), law, parameterization=sb.MeanField(1.0))
    >>> run = sb.train(problem, 20, loss=sb.Exponential(), method=sb.NeuronFlow(saveat=np.linspace(1, 60, 60)), loss_tol=0.1)
    >>> found = sb.alignment_measures(run)
    >>> found.alignment_time < found.halved_at
    True
    """
    if not hasattr(run, "snapshots"):
        raise DataError(f"`run` must be what sb.train hands back, got {run!r}")
    problem, start = run.problem, run.start
    if not run.snapshots:
        raise DataError("`run` must have kept networks on the way, got none; train with sb.NeuronFlow(saveat=times)")
    if start.inputs > 1 or problem.activation.two_slopes != ReLU() or problem.phi.stiffness is None:
        raise CapabilityError(
            f"alignment is measured on gradient flow of ReLU networks of one input, got {problem.describe()}; for other "
            "inputs see sb.alignment"
        )
    predicted = alignment_margin(problem)
    scale = problem.parameterization.output_scale(start.width)
    signs = np.sign(start.a.numpy())
    if not signs.all():
        raise DataError("`run` must start with output weights other than 0, got some that are; give the law an output")
    networks = [start, *(part.network for part in run.snapshots), run.network]
    hidden = np.stack([np.stack([one.w.numpy(), one.b.numpy()], axis=1) for one in networks])
    unit = scale / (problem.parameterization.clock(start.width) * problem.phi.stiffness)
    times = unit * np.array([0.0, *(part.time for part in run.snapshots), run.time])
    losses = np.array([run.history.loss[0], *(part.loss for part in run.snapshots), run.loss])
    order = np.unique(times, return_index=True)[1]  # the end may be a snapshot, too
    active = hidden @ predicted.points.T > 0
    aligned = (active == (predicted.labels == signs[:, None])).all(axis=-1)[order]
    sizes = np.linalg.norm(hidden, axis=-1)
    return Alignment(
        predicted,
        run.loss_function,
        float(np.median(sizes[0])),
        signs,
        hidden[0] / sizes[0][:, None],
        hidden[-1] / sizes[-1][:, None],
        sizes[-1],
        np.where(aligned.any(axis=0), times[order][aligned.argmax(axis=0)], np.inf),
        ~active[-1].any(axis=1),
        times[order],
        losses[order],
        np.array([stable_rank(one) for one in hidden[order]]),
        run.outcome,
        imbalance=float(np.abs(np.abs(start.a.numpy()) / scale / sizes[0] - 1).max()),
    )
