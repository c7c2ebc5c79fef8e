"""Smooth activations, each with the first power that it has at zero: what networks feel of it at a small start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splinebias._arguments import known_keywords, namespace
from splinebias.activation import Smooth
from splinebias.errors import CapabilityError, DataError


class _TanhTimesPower(Smooth):
    r""":math:`\sigma(z) = z^{p-1} \tanh z` of multiplicity p: the one formula of the three below."""

    leading = 1.0

    def value(self, z: Any) -> Any:
        return z ** (self.multiplicity - 1) * namespace(z).tanh(z)

    def derivative(self, z: Any) -> Any:
        k, t = self.multiplicity - 1, namespace(z).tanh(z)
        steep = z**k * (1 - t * t)
        return steep if k == 0 else k * z ** (k - 1) * t + steep


@known_keywords
@dataclass(frozen=True)
class Tanh(_TanhTimesPower):
    r"""The hyperbolic tangent, of multiplicity 1."""

    multiplicity = 1


@known_keywords
@dataclass(frozen=True)
class XTanh(_TanhTimesPower):
    r""":math:`\sigma(z) = z \tanh z`, of multiplicity 2."""

    multiplicity = 2


@known_keywords
@dataclass(frozen=True)
class X2Tanh(_TanhTimesPower):
    r""":math:`\sigma(z) = z^2 \tanh z`, of multiplicity 3."""

    multiplicity = 3


@known_keywords
@dataclass(frozen=True)
class Sigmoid(Smooth):
    r"""The logistic function :math:`\sigma(z) = 1/(1 + e^{-z})`: :math:`\sigma(0) = 1/2`, then multiplicity 1."""

    multiplicity, leading = 1, 0.25

    def value(self, z: Any) -> Any:
        return (1 + namespace(z).tanh(z / 2)) / 2  # no overflow on either side

    def derivative(self, z: Any) -> Any:
        return (1 - namespace(z).tanh(z / 2) ** 2) / 4


@known_keywords
@dataclass(frozen=True)
class Softplus(Smooth):
    r"""A smooth ReLU, :math:`\sigma(z) = \log(1 + e^z)`: :math:`\sigma(0) = \log 2`, then multiplicity 1."""

    multiplicity, leading = 1, 0.5

    def value(self, z: Any) -> Any:
        xp = namespace(z)
        return z * (z > 0) + xp.log1p(xp.exp(-abs(z)))

    def derivative(self, z: Any) -> Any:
        return Sigmoid().value(z)


@known_keywords
@dataclass(frozen=True)
class Centred(Smooth):
    r""":math:`\sigma(z) - \sigma(0)` of a smooth activation: makes networks of `Sigmoid` or `Softplus` start near zero.

    Raises
    ------
    DataError
        If `base` is no smooth activation.
    """

    base: Smooth

    def __post_init__(self) -> None:
        if not isinstance(self.base, Smooth):
            raise DataError(f"`base` must be a smooth activation such as sb.Sigmoid(), got {self.base!r}")

    @property
    def multiplicity(self) -> int:
        return self.base.multiplicity

    @property
    def leading(self) -> float:
        return self.base.leading

    @property
    def at_zero(self) -> float:
        return 0.0

    def value(self, z: Any) -> Any:
        return self.base.value(z) - self.base.at_zero

    def derivative(self, z: Any) -> Any:
        return self.base.derivative(z)


_KINDS: dict[str, type[Smooth]] = {kind.__name__: kind for kind in (Tanh, XTanh, X2Tanh, Sigmoid, Softplus)}


def smooth_to_words(activation: Any) -> str:
    """A smooth activation of the library as a word, such as "Tanh" or "Centred Sigmoid"; `smooth_from_words` reads it.

    Raises
    ------
    CapabilityError
        If it is another one.
    """
    if isinstance(activation, Centred):
        return f"Centred {smooth_to_words(activation.base)}"
    if type(activation) not in _KINDS.values():
        raise CapabilityError(f"only smooth activations of the library have a text, got {activation!r}; pickle the function")
    return type(activation).__name__


def smooth_from_words(text: Any) -> Smooth:
    """The smooth activation of a word, or a DataError."""
    first, _, rest = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if first == "Centred":
        return Centred(smooth_from_words(rest))
    if first not in _KINDS or rest:
        raise DataError(f"`activation` must be one of {', '.join(_KINDS)}, or that after Centred, got {text!r}")
    return _KINDS[first]()
