r"""Networks of several hidden layers from a small start, trained with torch's gradients until they begin to fit.

Gradient flow of the mean loss :math:`\frac{1}{2\sum m} \sum_i m_i (f(x_i) - y_i)^2` in all weights and biases, from
independent normal parameters of deviation :math:`\varepsilon`. The output bias fits the mean of the residual within a time
of order 1, which is nothing beside the plateau: here it is infinitely fast, so that the flow is not stiff.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from splinebias._arguments import real_number, whole_number
from splinebias._array import Array
from splinebias.data import Dataset, Points
from splinebias.errors import DataError, Outcome
from splinebias.training.train import one_thread

_LONGEST = 1e18


@dataclass(frozen=True, eq=False)
class DeepStart:
    r"""A network of several hidden layers at the moment when it begins to fit.

    Attributes
    ----------
    start, module : torch.nn.Sequential
        The network at the start and at the end: Linear layers with tanh between them.
    time : float
        Time of the flow, :math:`\sum \eta`.
    evaluations : int
        Number of gradients.
    outcome : Outcome
        CONVERGED: max \|f\| reached the asked share of max \|y\|.
    """

    start: nn.Sequential
    module: nn.Sequential
    time: float
    evaluations: int
    outcome: Outcome


def train_deep_from_small_start(
    data: Dataset | Points, widths: Sequence[int], *, scale: float, seed: int = 0, stop: float = 0.02
) -> DeepStart:
    r"""Train a deep tanh network from parameters :math:`\varepsilon N(0, 1)` until it begins to fit.

    Parameters
    ----------
    data : Dataset or Points
        What is fitted.
    widths : sequence of int
        Neurons of each hidden layer.
    scale : float
        The :math:`\varepsilon` above, > 0.
    seed : int
        Seed of the start.
    stop : float
        Stops once f reaches this share of max \|y\| somewhere on the data, both without their mean, 0 < stop < 1.

    Raises
    ------
    DataError
        For arguments outside these ranges; if the start is already beyond `stop`.

    Notes
    -----
    DOP853, relative tolerance 1e-6, gradients by autograd in float64.
    *Hypotheses* of condensation, not checked: a small `scale` and `stop`.
    """
    sizes = [data.inputs, *(whole_number(n, "widths", at_least=1) for n in widths), 1]
    if len(sizes) < 3:
        raise DataError("`widths` must name at least one hidden layer, got none; use e.g. (50, 50, 50)")
    size, stop = real_number(scale, "scale", above=0), real_number(stop, "stop", above=0)
    weights = torch.tensor(data.weights / data.weights.sum())
    x, y = torch.tensor(data.x.reshape(data.size, -1)), torch.tensor(data.y)
    level = stop * float((y - weights @ y).abs().max())
    module = _tanh_network(sizes, size, whole_number(seed, "seed"))
    start, shapes, count = copy.deepcopy(module), [part.shape for part in module.parameters()], [0]

    def centred(values: Tensor) -> Tensor:
        return values - weights @ values

    def height(theta: Array) -> float:
        with torch.no_grad():
            values = _values(module, shapes, torch.tensor(theta), x)
            return float(centred(values).abs().max() - level)

    def speed(_: float, theta: Array) -> Array:
        count[0] += 1
        point = torch.tensor(theta, requires_grad=True)
        residual = centred(_values(module, shapes, point, x) - y)
        (slope,) = torch.autograd.grad((weights * residual**2).sum() / 2, point)
        return np.asarray(-slope.numpy())

    def reached(_: float, theta: Array) -> float:
        return height(theta)

    reached.terminal = True  # type: ignore[attr-defined]
    begin = torch.cat([part.detach().flatten() for part in module.parameters()]).numpy()
    with one_thread():
        if not (stop < 1 and height(begin) < 0):
            raise DataError(
                f"`stop` must be below 1 and above the start, max |f| = {height(begin) + level:.3g}, got stop * max|y - "
                f"mean| = {level:.3g}; lower `scale`"
            )
        found = solve_ivp(speed, (0.0, _LONGEST), begin, "DOP853", events=reached, rtol=1e-6, atol=1e-9 * size)
    with torch.no_grad():
        end = torch.tensor(found.y[:, -1])
        for part, values in zip(module.parameters(), _split(shapes, end), strict=True):
            part.copy_(values)
        list(module.parameters())[-1].copy_(weights @ (y - _values(module, shapes, end, x)))
    outcome = Outcome.CONVERGED if found.status == 1 else Outcome.STALLED
    return DeepStart(start, module, float(found.t[-1]), count[0], outcome)


def _tanh_network(sizes: Sequence[int], scale: float, seed: int) -> nn.Sequential:
    """Linear layers of these sizes with tanh between them, all parameters normal of deviation `scale`."""
    rng = np.random.default_rng(seed)
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(scale * rng.standard_normal((outputs, inputs))))
            layer.bias.copy_(torch.tensor(scale * rng.standard_normal(outputs)))
        parts += [layer, nn.Tanh()]
    with torch.no_grad():
        layer.bias.zero_()
    return nn.Sequential(*parts[:-1])


def _split(shapes: Sequence[torch.Size], theta: Tensor) -> list[Tensor]:
    """A flat vector as tensors of these shapes."""
    sizes = [shape.numel() for shape in shapes]
    return [part.reshape(shape) for part, shape in zip(torch.split(theta, sizes), shapes, strict=True)]


def _values(module: nn.Sequential, shapes: Sequence[torch.Size], theta: Tensor, x: Tensor) -> Tensor:
    """What the module with parameters theta computes at x, shape (M,)."""
    names = [name for name, _ in module.named_parameters()]
    values: Tensor = torch.func.functional_call(module, dict(zip(names, _split(shapes, theta), strict=True)), (x,))
    return values[:, 0]
