"""A scikit-learn regressor around `predict`: a thin facade, for pipelines and model selection (extra ``[sklearn]``)."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from splinebias._array import Array
from splinebias.activation import Homogeneous, ReLU
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError
from splinebias.initialization.initialization import Initialization
from splinebias.limit.predict import predict
from splinebias.potential import Potential, Quadratic, Scaled
from splinebias.problem import Problem

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:  # pragma: no cover - exercised where scikit-learn is absent
    raise CapabilityError("SplineBiasRegressor needs scikit-learn; install splinebias[sklearn]") from error


class SplineBiasRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""The infinitely wide network's function, as an estimator of one variable.

    Fits the f of `splinebias.predict` to column `feature` of X. Rows with equal x are averaged and
    weighted by their number. With ``time=math.inf`` f interpolates; a finite training time smooths.

    Parameters
    ----------
    initialization : Initialization, optional
        Law of hidden weights and biases; None: ``Initialization.gaussian()``, whose breakpoints reach everywhere.
    potential : Potential or Scaled, optional
        Mirror potential; None: ``Quadratic()``.
    activation : Homogeneous, optional
        None: ``ReLU()``.
    affine : {"network", "free"}
        As in `Problem`.
    time : float
        Training time t, dimensionless; infinity: the limit. It smooths at about the scale on which a smoothing spline with
        regularization 1/t does, so search powers of ten. With a `Scaled` potential a finite time takes seconds to a minute.
    feature : int
        The column of X that is used. The theory is univariate: all other columns are ignored, with a warning.

    Attributes
    ----------
    prediction_ : Prediction
        Function, penalty, residual and outcome of the solve.
    outcome_ : Outcome
        How the solve ended; unless it is ok, `fit` warns with scikit-learn's ConvergenceWarning.
    n_features_in_ : int
        Number of columns seen in `fit`.

    Raises
    ------
    DataError
        (a ValueError) in `fit`, for fewer than two distinct x and all else that `Dataset` and `predict` refuse.
    ValueError
        In `fit` and `predict`, for what scikit-learn refuses: NaN, wrong shapes, another number of columns; and for dates.
    """

    def __init__(
        self,
        initialization: Initialization | None = None,
        potential: Potential | Scaled | None = None,
        activation: Homogeneous | None = None,
        *,
        affine: str = "network",
        time: float = math.inf,
        feature: int = 0,
    ) -> None:
        self.initialization = initialization
        self.potential = potential
        self.activation = activation
        self.affine = affine
        self.time = time
        self.feature = feature

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve for f on column `feature` of X, shape (n_samples, n_features), and y, shape (n_samples,)."""
        _refuse_dates(X)
        X, y = validate_data(self, X, y, y_numeric=True, ensure_min_samples=2)
        column = self._column(np.asarray(X, dtype=float))
        if column.shape[0] and np.ptp(column) == 0:
            raise ValueError(f"`feature` {self.feature} must take at least two values, got the constant {column[0]:g}")
        if np.shape(X)[1] > 1:
            warnings.warn(
                f"univariate: column {self.feature} of {np.shape(X)[1]} is used, the others are ignored",
                UserWarning,
                stacklevel=2,
            )
        problem = Problem(
            Dataset.from_replicates(column, np.asarray(y, dtype=float)),
            self.initialization or Initialization.gaussian(),
            self.activation or ReLU(),
            self.potential or Quadratic(),
            self.affine,
        )
        self.prediction_ = predict(problem, time=self.time)
        self.outcome_ = self.prediction_.outcome
        if not self.outcome_.ok:
            warnings.warn(
                f"{self.outcome_} with residual {self.prediction_.residual:.1e}: {self.outcome_.value}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: ArrayLike) -> Array:
        """f at column `feature` of X; shape (n_samples,)."""
        check_is_fitted(self)
        _refuse_dates(X)
        X = validate_data(self, X, reset=False)
        return self.prediction_.function(self._column(np.asarray(X, dtype=float)))

    def _column(self, X: Array) -> Array:
        whole = isinstance(self.feature, numbers.Integral) and not isinstance(self.feature, bool)
        if not (whole and 0 <= self.feature < X.shape[1]):
            raise DataError(f"`feature` must be a column number from 0 to {X.shape[1] - 1}, got {self.feature!r}")
        return X[:, self.feature]


def _refuse_dates(X: ArrayLike) -> None:
    """Raise DataError for columns of dates or durations, which scikit-learn would read as counts of nanoseconds."""
    types = X.dtypes if hasattr(X, "dtypes") else [np.asarray(X).dtype]
    if any(getattr(kind, "kind", "") in ("M", "m") for kind in types):
        raise DataError(
            "`X` must hold numbers, got dates or durations; subtract the first one and divide by a unit, for example "
            "(dates - dates.min()) / np.timedelta64(1, 'D')"
        )
