"""What a torch module computes, and with which activation its linear layers compute the same."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from splinebias._array import Array
from splinebias.activation import Abs, Activation, Homogeneous, LeakyReLU, ReLU, ReLUPower, Smooth
from splinebias.errors import DataError
from splinebias.networks.network import Network
from splinebias.networks.torch_layers import AbsLayer, ReLUPowerLayer
from splinebias.smooth_activation import Sigmoid, Softplus, Tanh, X2Tanh, XTanh

_POWERS = (2, 3, 4)
_SMOOTH: tuple[Smooth, ...] = (Tanh(), Sigmoid(), Softplus(), XTanh(), X2Tanh())
_CUT = math.log1p(math.exp(-20))  # torch's Softplus is z itself above its threshold, 20
_AT_ONCE = 10_000_000  # products of units and points


@dataclass(frozen=True, eq=False)
class Role:
    """Linear layers as the hidden layer, the output and perhaps the skip connection of a network."""

    hidden: nn.Linear
    output: nn.Linear
    skip: nn.Linear | None

    @classmethod
    def of(cls, layers: list[nn.Linear]) -> Role | None:
        """These layers as hidden layer, output and skip connection, if their shapes allow it."""
        role = cls(layers[0], layers[1], layers[2] if len(layers) == 3 else None)
        inputs = role.hidden.in_features
        fits = inputs > 0 and role.output.out_features == 1 and role.hidden.out_features == role.output.in_features
        skips = role.skip is None or (role.skip.in_features == inputs and role.skip.out_features == 1)
        return role if fits and skips else None

    def network(self, activation: Activation) -> Network:
        """The network with the numbers of the layers, in float64."""
        inputs = self.hidden.in_features
        skip = torch.zeros(inputs + 1, dtype=torch.float64) if self.skip is None else torch.cat(_numbers(self.skip))
        w, b = _numbers(self.hidden)
        by_input = w.reshape(-1, inputs).mT.flatten()
        return Network(torch.cat([by_input, b, *_numbers(self.output)]), activation, skip)


def _numbers(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weights and biases of a layer in float64, flat; zeros where it has no biases."""
    weight = layer.weight.detach().to("cpu", torch.float64).flatten()
    if layer.bias is None:
        return weight, torch.zeros(layer.out_features, dtype=torch.float64)
    return weight, layer.bias.detach().to("cpu", torch.float64)


@dataclass(frozen=True, eq=False)
class Values:
    """Values of a module, in both of its modes, at points on both sides of the breakpoints.

    Attributes
    ----------
    x : Tensor, shape (N,), of d > 1 inputs (N, d)
        Points, in float64.
    y : Tensor, shape (N,)
        Values, in float64.
    rounding : float
        Unit roundoff of the precision in which they were computed.
    """

    x: Tensor
    y: Tensor
    rounding: float

    @classmethod
    def of(cls, module: nn.Module, hidden: nn.Linear) -> Values:
        """The values of `module`, whose hidden layer is `hidden`; or a DataError if it has none, or those of chance."""
        kind, place = hidden.weight.dtype, hidden.weight.device
        x = _points(hidden).to(kind)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = []
            for training in (False, True, True):
                with _mode(module, training=training):
                    found.append(_forward(module, x.to(place), hidden.out_features))
        if not all(bool(torch.isfinite(values).all()) for values in found):
            raise DataError("`module` must have finite values, got some that are not at points beside its breakpoints")
        if not (torch.equal(found[0], found[1]) and torch.equal(found[1], found[2])):
            raise DataError("`module` must compute the same in training and evaluation, got dropout or noise; leave it out")
        return cls(x.double(), found[0], torch.finfo(kind).eps)

    def agree(self, network: Network) -> bool:
        """Whether a network has these values, to the rounding of sums over its units."""
        act = network.activation
        degree = act.degree if isinstance(act, Homogeneous) else max(1, getattr(act, "multiplicity", 1))
        x, w = (part.abs() if network.inputs == 1 else part.norm(dim=-1) for part in (self.x, network.w))
        b, a = network.b.abs(), network.a.abs()
        size = torch.zeros_like(x)
        for j in range(degree + 1):  # the binomial series of (w x + b)^degree
            size += math.comb(degree, j) * (a * w**j * b ** (degree - j)).sum() * x**j
        size = size * max(1.0, abs(float(act.value(-1.0)))) + a.sum() * abs(float(act.value(0.0)))
        size = size + network.d.abs() + network.skip[:-1].norm() * x + network.skip[-1].abs()
        allowed = (16 + 4 * math.sqrt(network.width)) * degree * self.rounding * size
        allowed = allowed + (_CUT * a.sum() if isinstance(act, Softplus) else 0.0)
        return bool(((_values(network, self.x) - self.y).abs() <= allowed).all())

    def activations(self, network: Network, named: list[Activation]) -> list[Activation]:
        """With which activations a network has the values: those `named` by parts of a module come first."""
        for known in (named, [ReLU(), Abs(), *map(ReLUPower, _POWERS)], _SMOOTH):
            if fits := [one for one in known if self.agree(replace(network, activation=one))]:
                return fits
        right = _values(replace(network, activation=ReLU()), self.x)
        left = right - _values(replace(network, activation=Abs()), self.x)  # what units add per slope on their left
        slope = float((left * (self.y - right)).sum() / (left**2).sum()) if bool(left.any()) else 0.0
        slopes = [round(slope, digits) for digits in (3, 6, 9)] + [slope]
        leaky: list[Activation] = [LeakyReLU(s) for s in slopes if s not in (0, -1) and abs(s - 1) > 1e-6 and abs(s) < 1e15]
        return [one for one in leaky if self.agree(replace(network, activation=one))][:1]  # the shortest decimal of them

    def miss(self, network: Network) -> str:
        """Where a network differs most from the values, in words."""
        there = _values(network, self.x)
        worst = int((there - self.y).abs().argmax())
        return f"{self.y[worst]:.10g} rather than {there[worst]:.10g} at x = {_text(self.x[worst])}"


def _text(point: Tensor) -> str:
    numbers = [f"{number:.4g}" for number in point.reshape(-1).tolist()]
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"


def double_copy(module: nn.Module, inputs: int) -> nn.Module | None:
    """A copy of the module in float64 on the CPU, None if it cannot be copied or does not work there."""
    try:
        found = copy.deepcopy(module).to("cpu", torch.float64)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return found if found(torch.zeros(2, inputs, dtype=torch.float64)).dtype == torch.float64 else None
    except Exception:  # whatever a module of the user's raises where it is not at home
        return None


def randomized(role: Role) -> bool:
    """Give the layers random numbers; False if they do not keep them, as weights that are computed from others do not."""
    rng, kept = np.random.default_rng(0), True
    for layer, name in itertools.product((role.hidden, role.output, role.skip), ("weight", "bias")):
        if (part := getattr(layer, name, None)) is not None:
            numbers = torch.tensor(rng.normal(size=tuple(part.shape)), dtype=part.dtype)
            with torch.no_grad():
                part.copy_(numbers)
            kept = kept and torch.equal(getattr(layer, name), numbers)
    return kept


def named_activations(module: nn.Module) -> list[Activation]:
    """The activations that parts of the module are called by."""
    smooth = {nn.Tanh: Tanh(), nn.Sigmoid: Sigmoid(), nn.Softplus: Softplus()}
    found: list[Activation] = []
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            found.append(ReLU())
        elif isinstance(part, nn.LeakyReLU) and part.negative_slope not in (0, -1, 1):
            found.append(LeakyReLU(float(part.negative_slope)))
        elif isinstance(part, AbsLayer):
            found.append(Abs())
        elif isinstance(part, ReLUPowerLayer):
            found.append(ReLU() if part.power == 1 else ReLUPower(part.power))
        else:
            found += [known for kind, known in smooth.items() if isinstance(part, kind)]
    return found


def _points(hidden: nn.Linear) -> Tensor:
    """Some 200 points, fewer for very many units: between the breakpoints, and in a standard interval; in float64.

    Of d inputs, shape (N, d): those between the breakpoints of two random lines, and in a standard box.
    """
    w, b = (part.numpy() for part in _numbers(hidden))
    if (d := hidden.in_features) > 1:
        w, rng, lines = w.reshape(-1, d), np.random.default_rng(1), []
        for _ in range(2):
            origin, direction = rng.normal(size=(2, d))
            along = _on_line(w @ direction, w @ origin + b, hidden.out_features)
            lines.append(origin + along[:, None] * direction)
        return torch.tensor(np.concatenate([*lines, rng.uniform(-3, 3, (20, d))]))
    return torch.tensor(_on_line(w, b, hidden.out_features))


def _on_line(w: Array, b: Array, width: int) -> Array:
    """The points of one input of units with these weights and biases, each of shape (n,)."""
    with np.errstate(all="ignore"):
        c = -b / w
    c = np.unique(c[np.abs(c) < 1e4])
    count, rng = int(np.clip(_AT_ONCE // width, 20, 100)), np.random.default_rng(0)
    marks = np.quantile(c, np.linspace(0, 1, count)) if c.size else np.zeros(count)
    between = marks[:-1] + rng.uniform(size=count - 1) * np.diff(marks)
    return np.asarray(np.r_[between, rng.uniform(-3, 3, count), marks[0] - 1, marks[-1] + 1, -10.0, 10.0])


def _values(network: Network, x: Tensor) -> Tensor:
    """The network at `x`, by its pieces: its units take too much time at many points."""
    return torch.tensor(network.function()(x.numpy()))


def _forward(module: nn.Module, x: Tensor, width: int) -> Tensor:
    """The module at `x`, shape (N,) or (N, d), in float64 on the CPU, or a DataError if it does not map points to values."""
    parts, x = [], x if x.ndim == 2 else x[:, None]
    for part in torch.split(x, max(2, _AT_ONCE // width)):
        count = len(part)
        try:
            values = module(part)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"`module` must map x of shape (N, {x.shape[1]}) to values, got {type(error).__name__}: {reason}"
            ) from None
        if not isinstance(values, Tensor) or values.shape not in ((count,), (count, 1)):
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise DataError(
                f"`module` must map x of shape {tuple(part.shape)} to {(count, 1)}, got {shape}; one output is meant"
            )
        if not values.is_floating_point():
            raise DataError(f"`module` must have real values, got {values.dtype}")
        parts.append(values.detach().to("cpu", torch.float64).reshape(count))
    return torch.cat(parts)


@contextmanager
def _mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """The module in training or evaluation mode, afterwards in the one that each of its parts was in."""
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode
