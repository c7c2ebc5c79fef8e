r"""Laws of (w, b) for several inputs, w a vector of d weights: sampled, and known by what kernels need of them.

A unit is :math:`\sigma(w \cdot x + b)`, and its kink a hyperplane: there is no axis of breakpoints, and what needs
one refuses.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from splinebias._arguments import whole_number
from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.breakpoints import PairLaw
from splinebias.initialization.laws import Discrete, Law, as_law, describe_law
from splinebias.initialization.tables.law_tables import law_to_table

_TRIAL = 2**14  # draws of a sampler that are looked at


class SeveralInputs(PairLaw):
    """The law of (w, b) with w of shape (d,): no breakpoints, no zeta.

    Attributes
    ----------
    inputs : int
        The number d of inputs, above 1.
    """

    inputs: int

    @abstractmethod
    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Independent draws: w of shape (size, d), b of shape (size,)."""

    def breakpoint_law(self) -> NoReturn:
        """Refused.

        Raises
        ------
        CapabilityError
            Always: breakpoints are of one input.
        """
        raise CapabilityError(
            f"breakpoints -b/w, and zeta and all else that is integrated along them, are of one input, and this law has "
            f"{self.inputs} ({self.describe()}); predict, train, error_band and compare take several inputs"
        )


@dataclass(frozen=True, eq=False)
class IndependentCoordinates(SeveralInputs):
    r"""Independent :math:`w_1, \dots, w_d` of one law and b of another; `given` holds both as the user wrote them.

    Raises
    ------
    DataError
        If a second moment is infinite, or an argument is no law.
    """

    given: tuple[Any, Any]
    inputs: int = field()  # not that of the line

    def __post_init__(self) -> None:
        self.laws  # noqa: B018 (its checks)

    @cached_property
    def laws(self) -> tuple[Law, Law]:
        """The laws of one weight and of the bias, as this library reads them."""
        return as_law(self.given[0], "weight"), as_law(self.given[1], "bias")

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        weight, bias = self.laws
        return weight.sample(size * self.inputs, rng).reshape(size, self.inputs), bias.sample(size, rng)

    @property
    def second_moments(self) -> tuple[float, float]:
        """E[W_1^2], of one weight, and E[B^2]."""
        weight, bias = self.laws
        return weight.second_moment, bias.second_moment

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        for name, law, given in zip(("weight", "bias"), self.laws, self.given, strict=True):
            if not (law.has_moment(order) or (weight_only and name == "bias")):
                return f"the `{name}` law, and {describe_law(given)}"
        return None

    def describe(self) -> str:
        return f"W_1..W_{self.inputs} ~ {describe_law(self.given[0])}, B ~ {describe_law(self.given[1])}"

    def to_table(self) -> dict[str, Any]:
        weight, bias = (law_to_table(law) for law in self.given)
        return {"joint": {"name": "coordinates", "dim": self.inputs, "weight": weight, "bias": bias}}


@dataclass(frozen=True, eq=False)
class OnSphere(SeveralInputs):
    """w uniform on the unit sphere of d inputs, independent of b, whose law is `given`."""

    given: Any
    inputs: int = field()  # not that of the line

    def __post_init__(self) -> None:
        self.bias  # noqa: B018 (its checks)

    @cached_property
    def bias(self) -> Law:
        """The law of b as this library reads it."""
        return as_law(self.given, "bias")

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        w = rng.standard_normal((size, self.inputs))
        return w / np.linalg.norm(w, axis=1, keepdims=True), self.bias.sample(size, rng)

    @property
    def second_moments(self) -> tuple[float, float]:
        """E[W_1^2] = 1/d, of one weight, and E[B^2]."""
        return 1 / self.inputs, self.bias.second_moment

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        fine = weight_only or isinstance(self.bias, Discrete) or self.bias.has_moment(order)
        return None if fine else f"the `bias` law, and {describe_law(self.given)}"

    def describe(self) -> str:
        return f"W on the unit sphere of {self.inputs} inputs, B ~ {describe_law(self.given)}"

    def to_table(self) -> dict[str, Any]:
        return {"joint": {"name": "sphere", "dim": self.inputs, "bias": law_to_table(self.given)}}


@dataclass(frozen=True, eq=False)
class FromSampler(SeveralInputs):
    """The law that an object with ``sample(width, rng) -> (w, b)`` draws from: see `of` for what is checked."""

    sampler: Any
    inputs: int = field()  # not that of the line
    measured: tuple[float, float]

    @classmethod
    def of(cls, sampler: Any) -> FromSampler:
        """A sampler that was tried.

        Raises
        ------
        DataError
            If it has no `sample`, draws other shapes or numbers that are not finite, or has tails so heavy that second
            moments do not exist.
        """
        if isinstance(sampler, type) or not callable(getattr(sampler, "sample", None)):
            raise DataError(f"`sampler` must be an object with sample(width, rng) -> (w, b), got {sampler!r}")
        w, b = _drawn(sampler, _TRIAL, np.random.default_rng(0))
        for name, values in (("w", np.linalg.norm(w, axis=1)), ("b", np.abs(b))):
            index, margin = _tail_index(values)
            if index + margin < 2:
                raise DataError(
                    f"`sampler` must draw `{name}` with a finite second moment, got tails like those of a Student law with "
                    f"{index:.2g} degrees of freedom; choose lighter tails"
                )
        return cls(sampler, w.shape[1], (float((w**2).mean()), float((b**2).mean())))

    def sample(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        w, b = _drawn(self.sampler, size, rng)
        if w.shape[1] != self.inputs:
            raise DataError(f"`sampler` must draw w of shape (width, {self.inputs}) every time, got {w.shape}")
        return w, b

    @property
    def second_moments(self) -> tuple[float, float]:
        """E[W_i^2], averaged over the inputs, and E[B^2], as the trial measured them."""
        return self.measured

    def lacks_moment(self, order: float, *, weight_only: bool) -> str | None:
        return None

    def describe(self) -> str:
        return f"{type(self.sampler).__name__} of {self.inputs} inputs"

    def to_table(self) -> dict[str, Any]:
        raise CapabilityError(f"a sampler of one's own cannot be written to TOML, got {self.sampler!r}; use a named law")


def checked_inputs(dim: Any) -> int:
    """`dim` as a whole number >= 1, or a DataError."""
    return whole_number(dim, "dim", at_least=1, fix="it is the number of inputs")


def _drawn(sampler: Any, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draws of a sampler, of the right shapes and finite, or a DataError."""
    try:
        w, b = sampler.sample(size, rng)
        w, b = np.asarray(w, dtype=float), np.asarray(b, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"`sampler` must draw (w, b) by sample(width, rng), got {type(error).__name__}: {error}") from None
    if w.ndim != 2 or w.shape[0] != size or w.shape[1] < 2 or b.shape != (size,):
        raise DataError(
            f"`sampler` must draw w of shape (width, d), d >= 2, and b of shape (width,), got {w.shape} and {b.shape} for "
            f"width {size}; of one input see Initialization.from_samples"
        )
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise DataError("`sampler` must draw finite numbers, got some that are not")
    return w, b


def _tail_index(values: Array) -> tuple[float, float]:
    """Hill's estimate of the power by which the tail of `values` >= 0 falls, and three of its standard errors."""
    top = np.sort(values)[-201:]
    if not top[0] > 0 or top[-1] == top[0]:
        return math.inf, 0.0
    index = 200 / float(np.log(top[1:] / top[0]).sum())
    return index, 3 * index / math.sqrt(200)
