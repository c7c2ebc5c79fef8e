"""splinebias: the function that a wide shallow network on the line converges to, exact, and the network beside it."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "errors": ["DataError", "CapabilityError", "SolveError", "SplinebiasError", "Outcome"],
    "data": ["Dataset"],
    "laws": ["Rademacher", "Constant", "Discrete"],
    "initialization": ["Initialization"],
    "activation": ["ReLU", "Abs", "LeakyReLU"],
    "potential": ["Quadratic", "Power", "Hypentropy", "Scaled"],
    "function": ["WeightedSpline", "PiecewiseLinear", "PiecewisePolynomial"],
    "problem": ["Problem"],
    "penalty": ["penalty"],
    "solve.dual": ["DualSolver"],
    "solve.banded": ["BandedSolver"],
    "solve.kernel": ["KernelSolver"],
    "solve.grid": ["GridSolver"],
    "predict": ["predict", "Prediction"],
    "dynamics.descent": ["MirrorDescent", "StochasticMirrorDescent"],
    "dynamics.flow": ["MirrorFlow"],
    "train": ["train", "Training"],
    "compare": ["compare", "Comparison"],
    "study": ["study", "Study"],
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_WHERE, "__version__"]  # noqa: PLE0604 (names computed from the table above)


class _Package(types.ModuleType):
    """Keeps `splinebias.predict` the function: importing the submodule of that name must not replace it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WHERE and isinstance(value, types.ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'splinebias' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"splinebias.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
