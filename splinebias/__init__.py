"""splinebias: the function that a wide shallow network on the line converges to, exact, and the network beside it."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` below does, for type checkers and editors
    from splinebias.activation import Abs as Abs
    from splinebias.activation import LeakyReLU as LeakyReLU
    from splinebias.activation import ReLU as ReLU
    from splinebias.activation import ReLUPower as ReLUPower
    from splinebias.agreement import Agreement as Agreement
    from splinebias.agreement import agreement as agreement
    from splinebias.band import ErrorBand as ErrorBand
    from splinebias.band import error_band as error_band
    from splinebias.compare import Comparison as Comparison
    from splinebias.compare import compare as compare
    from splinebias.convergence import Study as Study
    from splinebias.convergence import StudyGrid as StudyGrid
    from splinebias.data import Dataset as Dataset
    from splinebias.dynamics.descent import MirrorDescent as MirrorDescent
    from splinebias.dynamics.descent import StochasticMirrorDescent as StochasticMirrorDescent
    from splinebias.dynamics.flow import MirrorFlow as MirrorFlow
    from splinebias.ensemble import train_ensemble as train_ensemble
    from splinebias.errors import CapabilityError as CapabilityError
    from splinebias.errors import DataError as DataError
    from splinebias.errors import Outcome as Outcome
    from splinebias.errors import SolveError as SolveError
    from splinebias.errors import SplinebiasError as SplinebiasError
    from splinebias.estimator import SplineBiasRegressor as SplineBiasRegressor
    from splinebias.function import PiecewiseLinear as PiecewiseLinear
    from splinebias.function import PiecewisePolynomial as PiecewisePolynomial
    from splinebias.function import WeightedSpline as WeightedSpline
    from splinebias.initialization import Initialization as Initialization
    from splinebias.laws import Constant as Constant
    from splinebias.laws import Discrete as Discrete
    from splinebias.laws import Rademacher as Rademacher
    from splinebias.laziness import Laziness as Laziness
    from splinebias.laziness import laziness as laziness
    from splinebias.parameterization import NTK as NTK
    from splinebias.parameterization import Standard as Standard
    from splinebias.penalty import penalty as penalty
    from splinebias.plot import plot as plot
    from splinebias.potential import Hypentropy as Hypentropy
    from splinebias.potential import Potential as Potential
    from splinebias.potential import Power as Power
    from splinebias.potential import Quadratic as Quadratic
    from splinebias.potential import Scaled as Scaled
    from splinebias.predict import Path as Path
    from splinebias.predict import Prediction as Prediction
    from splinebias.predict import predict as predict
    from splinebias.predict import predict_path as predict_path
    from splinebias.problem import Problem as Problem
    from splinebias.required_width import RequiredWidth as RequiredWidth
    from splinebias.required_width import required_width as required_width
    from splinebias.solve.banded import BandedSolver as BandedSolver
    from splinebias.solve.dual import DualSolver as DualSolver
    from splinebias.solve.grid import GridSolver as GridSolver
    from splinebias.solve.kernel import KernelSolver as KernelSolver
    from splinebias.solve.power import PowerSolver as PowerSolver
    from splinebias.solve.tangent import tangent_kernel as tangent_kernel
    from splinebias.studies.same_limit import LimitComparison as LimitComparison
    from splinebias.studies.same_limit import compare_limits as compare_limits
    from splinebias.studies.spec import StudySpec as StudySpec
    from splinebias.studies.stopped import StudyStopped as StudyStopped
    from splinebias.study import study as study
    from splinebias.study import study_grid as study_grid
    from splinebias.train import Training as Training
    from splinebias.train import train as train

__version__ = "0.1.0"

_HOME = {
    "errors": ["DataError", "CapabilityError", "SolveError", "SplinebiasError", "Outcome"],
    "data": ["Dataset"],
    "laws": ["Rademacher", "Constant", "Discrete"],
    "initialization": ["Initialization"],
    "activation": ["ReLU", "Abs", "LeakyReLU", "ReLUPower"],
    "parameterization": ["Standard", "NTK"],
    "potential": ["Potential", "Quadratic", "Power", "Hypentropy", "Scaled"],
    "function": ["WeightedSpline", "PiecewiseLinear", "PiecewisePolynomial"],
    "problem": ["Problem"],
    "penalty": ["penalty"],
    "solve.dual": ["DualSolver"],
    "solve.banded": ["BandedSolver"],
    "solve.kernel": ["KernelSolver"],
    "solve.power": ["PowerSolver"],
    "solve.tangent": ["tangent_kernel"],
    "solve.grid": ["GridSolver"],
    "predict": ["predict", "Prediction", "predict_path", "Path"],
    "dynamics.descent": ["MirrorDescent", "StochasticMirrorDescent"],
    "dynamics.flow": ["MirrorFlow"],
    "train": ["train", "Training"],
    "ensemble": ["train_ensemble"],
    "compare": ["compare", "Comparison"],
    "convergence": ["Study", "StudyGrid"],
    "study": ["study", "study_grid"],
    "studies.spec": ["StudySpec"],
    "band": ["error_band", "ErrorBand"],
    "required_width": ["required_width", "RequiredWidth"],
    "agreement": ["agreement", "Agreement"],
    "laziness": ["laziness", "Laziness"],
    "studies.stopped": ["StudyStopped"],
    "studies.same_limit": ["compare_limits", "LimitComparison"],
    "plot": ["plot"],
    "estimator": ["SplineBiasRegressor"],
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
