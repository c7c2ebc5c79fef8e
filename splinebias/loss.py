r"""Losses: what training lowers, as functions of the margins :math:`z_i = y_i f(x_i)` of labels :math:`y_i = \pm 1`.

.. math:: L = \sum_i \omega_i\, \ell(y_i f(x_i)), \qquad \omega_i = m_i / \textstyle\sum_j m_j.

`Squared` is that of regression too, :math:`\ell = (f - y)^2/2` for any y, and the only one with a limit in this theory. The
bodies run on numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinebias._arguments import namespace, nearest, real_array
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError


class Loss(ABC):
    r"""A convex function :math:`\ell` of the margin, decreasing up to z = 1 at least.

    One of your own derives from this class and defines the three methods; `train` takes it for labels.
    """

    @abstractmethod
    def value(self, margin: Any) -> Any:
        r""":math:`\ell(z)`, same shape and kind as `margin`."""

    @abstractmethod
    def pull(self, margin: Any) -> Any:
        r""":math:`-\ell'(z)`, same shape and kind as `margin`; at z = 0 it is the speed of the early phase."""

    @abstractmethod
    def curvature(self, margin: Any) -> Any:
        r""":math:`\ell''(z) \ge 0`, same shape and kind as `margin`."""

    @property
    def at_zero(self) -> float:
        r""":math:`\ell(0)`: the loss of the zero function."""
        return float(self.value(np.zeros(1))[0])

    @property
    def first_pull(self) -> float:
        r""":math:`-\ell'(0)`: times measured from a small start are inversely proportional to it."""
        return float(self.pull(np.zeros(1))[0])


@dataclass(frozen=True)
class Exponential(Loss):
    r"""The exponential loss, :math:`\ell(z) = e^{-z}`."""

    def value(self, margin: Any) -> Any:
        return namespace(margin).exp(-margin)

    def pull(self, margin: Any) -> Any:
        return namespace(margin).exp(-margin)

    def curvature(self, margin: Any) -> Any:
        return namespace(margin).exp(-margin)


@dataclass(frozen=True)
class Logistic(Loss):
    r"""The logistic loss, :math:`\ell(z) = \log(1 + e^{-z})`; :math:`-\ell'(0) = 1/2`."""

    def value(self, margin: Any) -> Any:
        xp = namespace(margin)
        return xp.logaddexp(xp.zeros_like(margin), -margin)

    def pull(self, margin: Any) -> Any:
        return namespace(margin).exp(-self.value(-margin))

    def curvature(self, margin: Any) -> Any:
        return self.pull(margin) * self.pull(-margin)


@dataclass(frozen=True)
class Squared(Loss):
    r"""The squared loss, :math:`\ell = (f - y)^2/2`, for labels :math:`\pm 1` also :math:`(1 - z)^2/2`."""

    def value(self, margin: Any) -> Any:
        return (1 - margin) ** 2 / 2

    def pull(self, margin: Any) -> Any:
        return 1 - margin

    def curvature(self, margin: Any) -> Any:
        return namespace(margin).ones_like(margin)


SQUARED = Squared()
"""The loss unless another is asked for."""


def checked_loss(loss: Any) -> Loss:
    """`loss`, or a DataError if it is none."""
    if not isinstance(loss, Loss):
        hint = "; call it: add ()" if isinstance(loss, type) else ""
        raise DataError(f"`loss` must be sb.Squared(), sb.Logistic(), sb.Exponential() or an sb.Loss, got {loss!r}{hint}")
    return loss


def require_squared(loss: Any, what: str) -> None:
    """A CapabilityError that names `loss` unless it is the squared one; DataError if it is none."""
    if not isinstance(checked_loss(loss), Squared):
        raise CapabilityError(
            f"{what} is about the squared loss, got {loss!r}: without a minimum, training has no end at which features are "
            "the first ones; see sb.alignment for what small starts do with this loss, or take sb.Squared()"
        )


def require_lazy_training(run: Any, what: str) -> None:
    """A CapabilityError if `run` was trained on another loss than the squared one, or with its output weights frozen."""
    require_squared(getattr(run, "loss_function", SQUARED), what)
    trained = getattr(run, "trainable", "a")
    if "a" not in trained:
        raise CapabilityError(
            f"{what} is about trained output weights, got a run that moved {', '.join(trained)} alone; train with "
            'trainable="all" or "output"'
        )


def checked_signs(signs: Any, name: str = "signs") -> Array:
    """`signs`, numbers, if all are +1 or -1; or a DataError."""
    y: Array = real_array(signs, name)
    if (wrong := np.flatnonzero(np.abs(y) != 1)).size:
        raise DataError(f"`{name}` must be +1 or -1, got {y.flat[wrong[0]]:g} at index {wrong[0]}; map classes to +1 and -1")
    return y


def checked_labels(labels: Any, name: str = "labels") -> Array:
    """`labels`, a vector of numbers, if all are +1 or -1 and both occur; or a DataError."""
    y = checked_signs(labels, name)
    if np.unique(y).size < 2:
        raise DataError(f"`{name}` must name two classes, got {y[0]:+g} for all {y.size} points; add points of the other")
    return y


_NAMES: dict[str, Callable[[], Loss]] = {"squared": Squared, "logistic": Logistic, "exponential": Exponential}


def loss_name(loss: Loss) -> str:
    """The name of one of the library's own losses, for files; CapabilityError for others."""
    for name, kind in _NAMES.items():
        if type(loss) is kind:
            return name
    raise CapabilityError(f"only the library's own losses have a name in files, got {loss!r}")


def loss_named(name: Any) -> Loss:
    """The loss of this name, or a DataError."""
    if not isinstance(name, str) or name not in _NAMES:
        raise DataError(f"a loss must be one of {', '.join(_NAMES)}, got {name!r}{nearest(name, _NAMES)}")
    return _NAMES[name]()
