"""Pictures of what an error or a movement consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias.plots.canvas import SAMPLES, drawn_on
from splinebias.plots.style import BLACK, OKABE_ITO, PURPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from splinebias.finite_width.diagnosis import Diagnosis


def plot_diagnosis(found: Diagnosis, ax: Axes | None = None, **line: Any) -> Axes:
    """The parts of the gap between a network and its limit as curves, and the gap itself; keywords go to ``Axes.plot``."""
    lo, hi = found.interval
    known = [np.asarray(getattr(part.function, "knots", [])) for part in found.parts if hasattr(part.function, "knots")]
    x = np.unique(np.concatenate([np.linspace(lo, hi, SAMPLES), found.problem.line_data.x, *known]))
    x = x[(x >= lo) & (x <= hi)]
    colors = dict(zip(("start", "sampling", "hidden kernel", "moving features", "unfinished"), OKABE_ITO[1:], strict=False))
    with drawn_on(ax) as axes:
        total: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "label": f"gap, sup {found.total.sup:.2g}"}
        axes.plot(x, found.total.function(x), **(total | line))
        for part in found.parts:
            style: dict[str, Any] = {"color": colors.get(part.name, PURPLE), "label": f"{part.name}, {part.sup:.2g}"}
            axes.plot(x, part.function(x), **(style | {"linewidth": 1.2} | line))
        axes.plot(
            found.problem.line_data.x, np.zeros(found.problem.line_data.size), "o", color=BLACK, markersize=3, label="_data"
        )
        axes.set(xlabel="$x$", ylabel=r"$f_n - f_\infty$, in parts", xlim=(lo, hi))
    return axes
