"""The hidden layers of a torch network of any depth: the rows that their neurons are, and what leads out of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from splinebias._array import Array
from splinebias.errors import DataError


def hidden_layers(module: Any) -> list[tuple[Array, Array]]:
    """Rows (w, b) of every hidden layer, shape (n, inputs + 1), and its outgoing weights, shape (outputs, n).

    Raises
    ------
    DataError
        If `module` is no torch module of at least two Linear layers, each fed by the one before, with finite weights.
    """
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)] if isinstance(module, nn.Module) else []
    if len(layers) < 2 or any(one.out_features != two.in_features for one, two in pairwise(layers)):
        shapes = [(layer.in_features, layer.out_features) for layer in layers]
        raise DataError(
            "`module` must be a torch module of Linear layers, each with as many inputs as the one before has outputs, got "
            f"{type(module).__name__} with {shapes}"
        )
    return [(_rows(one), _numbers(two.weight)) for one, two in pairwise(layers)]


def _rows(layer: nn.Linear) -> Array:
    bias = np.zeros(layer.out_features) if layer.bias is None else _numbers(layer.bias)
    return np.column_stack([_numbers(layer.weight), bias])


def _numbers(tensor: Any) -> Array:
    if tensor.is_meta:
        raise DataError("`module` must have its parameters, got some on the meta device; load them first")
    numbers = np.asarray(tensor.detach().cpu().double().numpy())
    if not np.isfinite(numbers).all():
        raise DataError(f"weights must be finite, got {np.count_nonzero(~np.isfinite(numbers))} that are not")
    return numbers
