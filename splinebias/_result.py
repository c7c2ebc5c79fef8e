"""What results have in common: they draw themselves, show themselves in notebooks, and go to pandas."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, ClassVar

import numpy as np

from splinebias._arguments import listed, real_vector
from splinebias._array import Array
from splinebias.errors import CapabilityError


class Printed:
    """A result that prints in a line."""

    def _repr_html_(self) -> str:
        """What notebooks show: the text of the result."""
        return f'<pre style="white-space: pre-wrap">{escape(str(self))}</pre>'


class Drawn(Printed):
    """A result that has a picture."""

    _drawn_of_several_inputs: ClassVar[bool] = False

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """The picture of this result, on `ax` or on new axes with a legend; returns the axes and shows nothing.

        Options are those of the function in `splinebias.plots` that draws it: ``interval=(lo, hi)`` where it is a function,
        and what matplotlib takes for lines (``color``, ``label``, ...).

        Raises
        ------
        DataError
            For an `interval` that is none.
        """
        from splinebias.plots.pictures import plot

        return plot(self, ax, **options)

    def _repr_html_(self) -> str:
        """What notebooks show: the text of the result over a small picture."""
        from splinebias.plots.pictures import html_of

        several = getattr(getattr(self, "problem", None), "beyond_one_input", None) is not None
        if several and not self._drawn_of_several_inputs:
            return super()._repr_html_()
        return html_of(self)


class DrawnFunction(Drawn):
    """A result that is a function of x: it has a `function`, and a `problem` or `data` that say where the data are."""

    function: Any

    def __call__(self, x: Any, nu: int = 0) -> Array:
        """Derivative number `nu` of `function` at `x`, same shape as `x`; nan where x is nan or infinite.

        So do all functions, means and deviations of results: at infinity there is no value, whatever the function tends to.
        Of several inputs x has shape (..., d), and there is nan where one input is not finite. Covariance matrices and
        gradients, which are nothing with some entries nan, refuse such x.
        """
        return np.asarray(self.function(x, nu) if nu else self.function(x))

    def to_frame(self, x: Any = None) -> Any:
        """The function as a pandas DataFrame with columns ``x`` and ``f``.

        Parameters
        ----------
        x : array_like, shape (n,), optional
            Where. None: the data and 201 points of the default interval of the problem.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        data = self.problem.data if hasattr(self, "problem") else self.data  # type: ignore[attr-defined]
        x = table_points(data, x)
        return frame_of({"x": x, "f": self(x)})


def table_points(data: Any, x: Any) -> Array:
    """`x` as a vector, or if it is None the data among 201 points of their default interval."""
    if x is not None:
        return real_vector(listed(x), "x", fix="drop such points")
    lo, hi = data.default_interval
    return np.union1d(np.linspace(lo, hi, 201), data.x)  # points of a table, besides the data


def frame_of(columns: Mapping[str, Any]) -> Any:
    """Columns of one length as a pandas DataFrame.

    Raises
    ------
    CapabilityError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise CapabilityError(
            "a DataFrame needs pandas, which is not installed; pip install pandas, or call the result for arrays"
        ) from None
    return pandas.DataFrame(dict(columns))
