r"""Networks as torch modules: the layers that torch lacks, and the module of given parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from splinebias.activation import Abs, Activation, LeakyReLU, ReLU, ReLUPower
from splinebias.smooth_activation import Sigmoid, Softplus, Tanh


class AbsLayer(nn.Module):
    r"""The absolute value of every entry."""

    def forward(self, z: Tensor) -> Tensor:
        """The absolute values, same shape."""
        return z.abs()


class ReLUPowerLayer(nn.Module):
    r""":math:`\max(z, 0)^k` of every entry."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.power = power

    def forward(self, z: Tensor) -> Tensor:
        """The powers, same shape."""
        return torch.relu(z) ** self.power

    def extra_repr(self) -> str:
        """The power, for printing."""
        return f"{self.power}"


class SkipConnection(nn.Module):
    """A network of one hidden layer beside a linear skip connection, f(x) = body(x) + skip(x)."""

    def __init__(self, body: nn.Module, skip: nn.Linear) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: Tensor) -> Tensor:
        """Values at x, shape (N, 1) to (N, 1)."""
        values: Tensor = self.body(x) + self.skip(x)
        return values


def activation_layer(activation: Activation) -> nn.Module | None:
    """A module that computes the activation, None where torch and this module have none."""
    plain: dict[type, type[nn.Module]] = {Tanh: nn.Tanh, Sigmoid: nn.Sigmoid, ReLU: nn.ReLU, Abs: AbsLayer}
    if type(activation) in plain:
        return plain[type(activation)]()
    if isinstance(activation, Softplus):
        return nn.Softplus(threshold=40.0)  # above torch's own 20, z itself is not the function to rounding
    if isinstance(activation, LeakyReLU):
        return nn.LeakyReLU(activation.slope)
    return ReLUPowerLayer(activation.power) if isinstance(activation, ReLUPower) else None


def as_module(theta: Tensor, skip: Tensor, layer: nn.Module) -> nn.Module:
    """The module with parameters (w, b, a, d), shape (3n + 1,), and skip part (slope, intercept): see `Network.to_torch`."""
    *w, b, a = theta[:-1].reshape(len(skip) + 1, -1)  # w input by input
    hidden = _linear(torch.stack(w, dim=1), b)
    body = nn.Sequential(hidden, layer, _linear(a[None], theta[-1:]))
    return SkipConnection(body, _linear(skip[None, :-1], skip[-1:])) if bool(skip.any()) else body


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with copies of these parameters, in their precision, on their device; no random number is drawn."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # without drawing numbers
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer
