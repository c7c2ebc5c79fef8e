"""A scikit-learn regressor around `predict`: a thin facade, for pipelines and model selection (extra ``[sklearn]``)."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from splinebias._arguments import entry, known_keywords
from splinebias._array import Array
from splinebias.activation import Homogeneous, ReLU
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.finite_width.band import error_band
from splinebias.initialization.initialization import Initialization
from splinebias.limit.predict import predict
from splinebias.limit.start_process import start_process
from splinebias.limit.trajectory.training_time_gcv import gcv_time
from splinebias.potential import Potential, Quadratic, Scaled
from splinebias.problem import Problem

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:  # pragma: no cover - exercised where scikit-learn is absent
    raise CapabilityError("SplineBiasRegressor needs scikit-learn; install splinebias[sklearn]") from error


@known_keywords
class SplineBiasRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""The infinitely wide network's function, as an estimator of one variable, or of all with ``features="all"``.

    Fits the f of `splinebias.predict` to column `feature` of X, or to all its columns. Rows with equal x are averaged and
    weighted by their number. With ``time=math.inf`` f interpolates; a finite training time smooths.

    Parameters
    ----------
    initialization : Initialization, optional
        Law of hidden weights and biases; None: ``Initialization.gaussian(dim=...)``, whose kinks reach everywhere.
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
        The column of X that is used: all other columns are ignored, with a warning.
    width : int, optional
        The number n of units of the networks whose scatter ``predict(X, return_std=True)`` tells; None: infinitely many.
    features : {"all"} or None
        "all": the columns of X are the inputs of one function, whose kernels are those of `PointsSolver`, and `feature` is
        not looked at. Columns are taken as they are: scale them first, for example with scikit-learn's StandardScaler.

    Attributes
    ----------
    prediction_ : Prediction
        Function, penalty, residual and outcome of the solve.
    outcome_ : Outcome
        How the solve ended; unless it is ok, `fit` warns with scikit-learn's ConvergenceWarning.
    time_ : float
        The training time of the fit.
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
        width: int | None = None,
        features: str | None = None,
    ) -> None:
        self.initialization = initialization
        self.potential = potential
        self.activation = activation
        self.affine = affine
        self.time = time
        self.feature = feature
        self.width = width
        self.features = features

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Solve for f on columns of X, shape (n_samples, n_features), and y, shape (n_samples,).

        `sample_weight`, shape (n_samples,), is how often each row counts, >= 0; None: once. At infinite time it matters only
        where rows of equal x are averaged.
        """
        _refuse_dates(X)
        X, y = validate_data(self, X, y, y_numeric=True, ensure_min_samples=2)
        if self.features is not None and not (isinstance(self.features, str) and self.features == "all"):
            raise DataError(f'`features` must be "all" or None, got {self.features!r}; for one column give `feature`')
        rows, values = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        weights = np.asarray(_check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True))
        some = weights > 0
        if self._several:
            points = Points.from_replicates(rows[some], values[some], weights[some])
            return self._fitted(points, Initialization.gaussian(dim=points.inputs))
        column = self._column(rows)
        if column.shape[0] and np.ptp(column) == 0:
            raise ValueError(f"`feature` {self.feature} must take at least two values, got the constant {column[0]:g}")
        if rows.shape[1] > 1:
            warnings.warn(
                f"univariate: column {self.feature} of {rows.shape[1]} is used, the others are ignored",
                UserWarning,
                stacklevel=2,
            )
        if not some.any() or np.ptp(column[some]) == 0:
            raise ValueError(
                f"`sample_weight` must leave at least two values of `feature` {self.feature}, got "
                f"{np.unique(column[some]).size}"
            )
        return self._fitted(Dataset.from_replicates(column[some], values[some], weights[some]), Initialization.gaussian())

    def _fitted(self, data: Dataset | Points, law: Initialization) -> Self:
        """Itself with the prediction for `data`, by `law` unless it has one of its own."""
        law, potential = self.initialization or law, self.potential or Quadratic()
        problem = Problem(data, law, self.activation or ReLU(), potential, self.affine)
        self.time_ = self._chosen_time(problem)
        self.prediction_ = predict(problem, time=self.time_)
        self.outcome_ = self.prediction_.outcome
        if not self.outcome_.ok:
            warnings.warn(
                f"{self.outcome_} with residual {self.prediction_.residual:.1e}: {self.outcome_.value}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def predict(self, X: ArrayLike, *, return_std: bool = False) -> Array | tuple[Array, Array]:
        r"""f at the columns of X that were fitted; shape (n_samples,).

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Where.
        return_std : bool
            Whether to return standard deviations as well, of the functions of networks over their random starts:
            :math:`(s^2 + s_n^2)^{1/2}`, with s that of `start_process` (output weights that are random at the start) and
            :math:`s_n` that of `error_band` (hidden weights of a finite number `width` of units), both at `time_`.

        Raises
        ------
        DataError
            With `return_std`, if nothing is random: networks that start at zero, infinitely wide.
        CapabilityError
            With `return_std`, for what `start_process` and `error_band` do not take.

        Notes
        -----
        It is the scatter of networks, not the noise of y, nor the doubt about f of a Bayesian who does not know the noise.
        *Not checked:* that `width` is large enough for the two variances to add; see ``ErrorBand.advice``.
        """
        check_is_fitted(self)
        _refuse_dates(X)
        X = validate_data(self, X, reset=False)
        values = np.asarray(X, dtype=float)
        x = values if self._several else self._column(values)
        f = self.prediction_.function(x)
        return (f, self._std(x)) if return_std else f

    @property
    def _several(self) -> bool:
        """Whether more columns than one are inputs; of one column the line is faster."""
        return self.features == "all" and self.n_features_in_ > 1

    def _chosen_time(self, problem: Problem) -> float:
        """The training time to fit with."""
        if isinstance(self.time, str):
            raise DataError(f"`time` must be a number >= 0, got {self.time!r}; SplineBiasRegressorCV chooses it by GCV")
        return self.time

    def _std(self, x: Array) -> Array:
        """The standard deviation of networks at `x`."""
        problem = self.prediction_.problem
        if problem.initialization.starts_at_zero and self.width is None:
            raise DataError(
                "`return_std` needs networks that differ: a `width`, or an `initialization` with random output weights, "
                "as in pytorch_default(both_layers=True), got neither; wide networks that start at zero are all f"
            )
        variance = np.zeros(len(x))
        if not problem.initialization.starts_at_zero:
            variance += start_process(problem, time=self.time_).std(x) ** 2
        if self.width is not None:
            variance += error_band(problem, self.width, time=self.time_, draws=100).std(x) ** 2
        return np.asarray(np.sqrt(variance))

    def _column(self, X: Array) -> Array:
        feature = entry(self.feature)
        whole = isinstance(feature, numbers.Integral) and not isinstance(feature, bool)
        if not (whole and 0 <= feature < X.shape[1]):
            raise DataError(f"`feature` must be a column number from 0 to {X.shape[1] - 1}, got {self.feature!r}")
        return X[:, feature]


@known_keywords
class SplineBiasRegressorCV(SplineBiasRegressor):
    r"""`SplineBiasRegressor` with the training time that generalized cross-validation chooses: see `splinebias.gcv_time`.

    .. math:: V(t) = \frac{\sum_i \omega_i (f_t(x_i) - y_i)^2}{(1 - \mathrm{tr}\,H_t/M)^2}

    is least at `time_`, over all times rather than over a list, from one fit: nothing is left out.

    Parameters
    ----------
    initialization, potential, activation, affine, feature, width, features
        As in `SplineBiasRegressor`. The potential must be unscaled or quadratic.

    Attributes
    ----------
    time_ : float
        The time; infinity if interpolation is best.
    selection_ : Selection
        `value` is that time; also `score`, `degrees_of_freedom` and `outcome`.
    prediction_, outcome_, n_features_in_
        As in `SplineBiasRegressor`.

    Raises
    ------
    CapabilityError
        In `fit`, for a potential that is scaled and not quadratic.

    Notes
    -----
    *Hypotheses, not checked:* independent noise whose variance is inverse to the weights. Source: Craven & Wahba 1979.
    """

    def __init__(
        self,
        initialization: Initialization | None = None,
        potential: Potential | Scaled | None = None,
        activation: Homogeneous | None = None,
        *,
        affine: str = "network",
        feature: int = 0,
        width: int | None = None,
        features: str | None = None,
    ) -> None:
        super().__init__(
            initialization, potential, activation, affine=affine, feature=feature, width=width, features=features
        )

    def __sklearn_tags__(self) -> Any:
        """Those of a regressor that may score low on several columns, of which it sees one and smooths the others away."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def _chosen_time(self, problem: Problem) -> float:
        self.selection_ = gcv_time(problem)
        return self.selection_.value


def _refuse_dates(X: ArrayLike) -> None:
    """Raise DataError for columns of dates or durations, which scikit-learn would read as counts of nanoseconds."""
    types = X.dtypes if hasattr(X, "dtypes") else [np.asarray(X).dtype]
    if any(getattr(kind, "kind", "") in ("M", "m") for kind in types):
        raise DataError(
            "`X` must hold numbers, got dates or durations; subtract the first one and divide by a unit, for example "
            "(dates - dates.min()) / np.timedelta64(1, 'D')"
        )
