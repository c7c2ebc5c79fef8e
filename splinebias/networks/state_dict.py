"""Networks from saved torch weights: a state_dict of two Linear layers; no code of the file runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from splinebias.activation import Activation
from splinebias.errors import DataError
from splinebias.networks.network import Network


def network_from_state(path: str | Path, activation: Activation) -> Network:
    """The network whose two Linear layers a file holds, such as ``torch.save(module.state_dict(), path)`` writes.

    Parameters
    ----------
    path : str or Path
        The file.
    activation : Activation
        What stands between the layers: the file does not say.

    Raises
    ------
    DataError
        If the file cannot be read as weights only, or does not hold one Linear(d, n) and one Linear(n, 1), the second maybe
        without a bias, with finite real numbers.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"the weights in {str(path)!r} cannot be read: {error.strerror or error}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().split("\n")[0][:100]
        raise DataError(
            f"{str(path)!r} must hold a state_dict, saved by torch.save(module.state_dict(), path), and can not be read as "
            f"weights only ({reason})"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(
            f"{str(path)!r} must hold a state_dict of tensors, got {type(state).__name__}; save module.state_dict()"
        )
    hidden, *others = _layers({str(name): value for name, value in state.items()})
    theta = torch.cat([part.double().reshape(-1) for part in (hidden.mT, *others)])
    if not bool(torch.isfinite(theta).all()):
        raise DataError(f"weights must be finite, got {int((~torch.isfinite(theta)).sum())} that are not")
    return Network(theta, activation.two_slopes or activation, theta.new_zeros(hidden.shape[1] + 1))


def _layers(state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and biases of the hidden layer, then of the output layer."""
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in state.items()) or "nothing"
    wanted = f"a state_dict must hold the weights of one Linear(d, n) and one Linear(n, 1), got {shapes}"
    weights = {name.removesuffix("weight"): value for name, value in state.items() if value.ndim == 2}
    if len(weights) != 2 or any(value.is_complex() for value in state.values()):
        raise DataError(wanted)
    (first, hidden), (second, output) = weights.items()
    n = hidden.shape[0]
    if hidden.shape[1] < 1 or output.shape != (1, n):
        raise DataError(wanted)
    biases = {name.removesuffix("bias"): value for name, value in state.items() if value.ndim == 1}
    if len(biases) + 2 < len(state) or set(biases) - {first, second} or first not in biases or biases[first].shape != (n,):
        raise DataError(f"{wanted}; the hidden layer needs its bias, and nothing else but the output has one")
    if second in biases and biases[second].shape != (1,):
        raise DataError(f"{wanted}; the output has one bias")
    if any(value.is_meta for value in state.values()):
        raise DataError(f"{wanted}, on the device 'meta', which holds no numbers; save weights that are loaded")
    return hidden, biases[first], output, biases.get(second, output.new_zeros(1))
