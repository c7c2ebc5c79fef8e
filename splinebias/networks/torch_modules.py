r"""from_torch(module): the network that an ordinary torch module of one hidden layer is, exact, and checked against it.

A module is read by what it computes: its linear layers are taken in the roles that their shapes allow, its activation is
found from its values, and what is returned has been compared with it. What its source looks like does not matter.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from splinebias._arguments import known_keywords
from splinebias.activation import Activation, ReLU
from splinebias.errors import DataError
from splinebias.networks.network import Network
from splinebias.networks.precision import tensor_kind
from splinebias.networks.torch_values import Role, Values, double_copy, named_activations, randomized

_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
_OTHER_LAYERS = (nn.modules.conv._ConvNd, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
_OTHER_SHAPES = (  # activations that no network of this library has, whatever their parameters
    *(nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.CELU, nn.SELU, nn.Softsign, nn.LogSigmoid),
    *(nn.PReLU, nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.GLU),
)
_KNOWN = "ReLU, LeakyReLU, the absolute value, max(z, 0)^k with k = 2, 3, 4, Tanh, Sigmoid or Softplus"
_WANTED = "nn.Sequential(nn.Linear(d, n), nn.ReLU(), nn.Linear(n, 1)), or what computes the same"


@known_keywords
def from_torch(module: Any, *, dtype: Any = "float64", device: Any = "cpu") -> Network:
    r"""The network that a torch module of one hidden layer is: exact parameters, checked against what the module computes.

    .. math:: f(x) = \sum_k a_k \sigma(w_k x + b_k) + d + (\text{slope} \cdot x + \text{intercept}).

    The module must hold an ``nn.Linear(d, n)``, of d inputs, and an ``nn.Linear(n, 1)``, with or without biases, and an
    ``nn.Linear(d, 1)`` where there is a skip connection; everything in between may be modules or functions of torch. The
    activation is found from values: every function with slope 1 on the right and another on the left (ReLU, LeakyReLU,
    absolute value), a power of ReLU up to 4, or `Tanh`, `Sigmoid`, `Softplus`, `XTanh` or `X2Tanh`.

    Parameters
    ----------
    module : torch.nn.Module
        Maps x of shape (N, d) to shape (N, 1) or (N,). It may be float16, bfloat16, float32 or float64, on any device, in
        training or evaluation mode; it is left as it is. Tied and parametrized weights are read as the numbers they are.
    dtype : {"float64", "float32"} or torch.dtype
        Precision of the network's parameters. float64 holds those of every module; float32 is refused for a float64 module
        whose parameters it would round.
    device : str or torch.device
        Where the network lives.

    Returns
    -------
    Network
        With a `skip` part only if the module has a skip connection.

    Raises
    ------
    DataError
        The message names what was found: another number of linear layers, several outputs, dropout, normalization,
        another activation, complex or quantized parameters, parameters that are not finite or not there yet; a module
        that computes something else than its layers say, in training or evaluation mode.

    Notes
    -----
    Checked: values at some 200 points on both sides of the breakpoints (of several inputs: along two random lines), in
    float64 on a copy where the module can be copied, else in its own precision, to rounding. The copy is compared
    with random parameters too, as values say nothing of the activation where output weights are 0. Softplus of torch is z
    itself above 20, where the network differs by up to 2e-9 a unit. Not checked: which of its
    parameters an optimizer would move; `train` moves all of them, biases that the module does not have included. What
    PyTorch starts from is
    ``sb.Initialization.pytorch_default(both_layers=True)``, of d inputs with ``dim=d``.

    Examples
    --------
    >>> import splinebias as sb, torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(1, 100), torch.nn.ReLU(), torch.nn.Linear(100, 1))
    >>> network = sb.from_torch(module)
    >>> network.width, network.activation
    (100, ReLU())
    """
    kind, place = tensor_kind(dtype, device)
    if not isinstance(module, nn.Module):
        hint = "; call it: add ()" if isinstance(module, type) else ""
        raise DataError(f"`module` must be a torch.nn.Module such as {_WANTED}, got {type(module).__name__}{hint}")
    _refuse_parts(module)
    layers = _linear_layers(module)
    found = _checked(module, layers)
    rounded = Network(found.theta.to(place, kind), found.activation, found.skip.to(place, kind))
    if not torch.equal(rounded.theta.to("cpu", torch.float64), found.theta):
        raise DataError('`dtype` = "float32" would round the parameters of this module; use "float64"')
    return rounded


def _checked(module: nn.Module, layers: list[nn.Linear]) -> Network:
    """The network of the layers, in float64, whose values have been compared with those of the module; or a DataError."""
    probe, named = double_copy(module, _roles(layers)[0].hidden.in_features), named_activations(module)
    if probe is None and layers[0].weight.dtype not in (torch.float32, torch.float64):
        raise DataError(f"`module` can be neither copied nor checked in {layers[0].weight.dtype}; give module.float()")
    probed = layers if probe is None else [part for part in probe.modules() if isinstance(part, nn.Linear)]
    roles = [(role, Values.of(probe or module, role.hidden), role.network(ReLU())) for role in _roles(probed)]
    for own, (role, values, network) in zip(_roles(layers), roles, strict=True):
        fits = _fitting(probe, role, values, network, named)
        if len(fits) > 1 and fits[0] not in named:
            raise DataError(f"`module` must show its activation, got values that all of {fits} have; name it, as nn.ReLU()")
        if fits:
            return own.network(fits[0])
    guess = named[0] if named else ReLU()
    _, values, network = roles[0]
    raise DataError(
        f"`module` must compute what its linear layers make with a known activation ({_KNOWN}), got "
        f"{values.miss(replace(network, activation=guess))} of {guess}; use {_WANTED}"
    )


def _fitting(
    probe: nn.Module | None, role: Role, values: Values, network: Network, named: list[Activation]
) -> list[Activation]:
    """The activations with which the network of a role has the values; of a copy also with random parameters."""
    if probe is None or not randomized(role):
        return values.activations(network, named)
    random = Values.of(probe, role.hidden).activations(role.network(ReLU()), named)
    return [one for one in random if values.agree(replace(network, activation=one))]


def _roles(layers: list[nn.Linear]) -> list[Role]:
    """What the layers can be by their shapes: in their own order first, which decides where n = 1."""
    orders = (Role.of(list(order)) for order in itertools.permutations(layers))
    return [role for role in orders if role is not None]


def _refuse_parts(module: nn.Module) -> None:
    """Refuse a module that holds what no network of this library has, by the names of its parts."""
    for name, part in module.named_modules():
        where = f"{type(part).__name__}{f' at {name!r}' if name else ''}"
        if isinstance(part, _RANDOM):  # also with p = 0, which is one assignment away from noise
            raise DataError(f"`module` must compute the same every time, got {where}; leave it out")
        if isinstance(part, _NORMS):
            raise DataError(f"`module` must not normalize, got {where}, which mixes the points or the units; leave it out")
        if isinstance(part, _OTHER_LAYERS):
            raise DataError(f"`module` must have linear layers and no others with weights, got {where}; use {_WANTED}")
        if isinstance(part, _OTHER_SHAPES):
            raise DataError(f"`module` must have a known activation ({_KNOWN}), got {where}; use one of those")
    for name, parameter in [*module.named_parameters(), *module.named_buffers()]:
        if nn.parameter.is_lazy(parameter):
            raise DataError(f"`module` must have its parameters, got {name!r}, which has none yet; call the module once")
        if parameter.is_complex():
            raise DataError(f"`module` must be real, got {name!r} of {parameter.dtype}; take real weights")
        if parameter.is_meta:
            raise DataError(f"`module` must have its parameters, got {name!r} on the meta device; load them first")


def _linear_layers(module: nn.Module) -> list[nn.Linear]:
    """The two or three linear layers, or a DataError that says what is there."""
    named = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    shapes = ", ".join(f"{name or 'itself'}: {part.in_features} to {part.out_features}" for name, part in named)
    rule = "`module` must have a linear layer from d to n and one from n to 1, beside them at most a skip from d to 1"
    if not 2 <= len(named) <= 3:
        raise DataError(f"{rule}; got {len(named)} linear layers ({shapes or 'none'}); use {_WANTED}")
    layers = [part for _, part in named]
    for name, part in named:
        for kind, value in (("weight", part.weight), ("bias", part.bias)):
            if value is None:
                continue
            if not value.is_floating_point():
                raise DataError(f"`module` must have real floating-point parameters, got {kind} of {name!r}: {value.dtype}")
            if bad := int((~torch.isfinite(value.detach().float())).sum()):
                raise DataError(f"`module` must have finite parameters, got {bad} in the {kind} of {name!r} that are not")
    if not _roles(layers):
        outputs = min(part.out_features for part in layers)
        hint = f"; one output is meant, not {outputs}" if outputs > 1 else ""
        raise DataError(f"{rule}; got {shapes}{hint}; use {_WANTED}")
    return layers
