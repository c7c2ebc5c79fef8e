"""The picture of any result, on axes or as HTML: `plot` knows which function draws which kind."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from splinebias._arguments import known_keywords, refuse_unknown
from splinebias.errors import DataError
from splinebias.plots import bands, functions, measures, parts, paths, regimes, studies
from splinebias.plots.files import rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@known_keywords
def plot(result: Any, ax: Axes | None = None, **options: Any) -> Axes:
    """The picture of `result`: `plot_prediction`, `plot_training`, `plot_path`, `plot_band`, `plot_study` and so on.

    Those, and more, are in `splinebias.plots`; results call this as their method `plot`.

    Parameters
    ----------
    result : Prediction, Training, Path, ErrorBand, StartProcess, Diagnosis, Ensemble, Study, Initialization, ...
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where; None: new axes with a legend.
    **options
        Those of the function for this kind of result.

    Raises
    ------
    DataError
        For anything else.
    UnknownArgument
        For an option that neither this picture nor a line of matplotlib has: a DataError, and a TypeError.
    """
    for kind in type(result).__mro__:
        if kind.__module__.startswith("splinebias.") and kind.__name__ in _PICTURES:
            if options:
                _known_options(_PICTURES[kind.__name__], options, kind.__name__)
            return _PICTURES[kind.__name__](result, ax, **options)
    *kinds, last = _PICTURES
    raise DataError(f"`result` must be a {', '.join(kinds)} or {last}, got {type(result).__name__}")


def _known_options(draw: Callable[..., Axes], options: dict[str, Any], kind: str) -> None:
    """Refuse options that a picture does not have, before there are axes."""
    takes = list(inspect.signature(draw).parameters.values())[2:]
    known = [part.name for part in takes if part.kind is not part.VAR_KEYWORD]
    what, rest = f"the picture of {kind}", ""
    if len(known) < len(takes):
        known += _OF_ERRORBARS if takes[-1].name in ("errorbar", "points") else []
        from matplotlib.artist import ArtistInspector
        from matplotlib.lines import Line2D

        look = ArtistInspector(Line2D)
        of_lines = set(look.get_setters()).union(*look.aliasd.values())
        if not set(options) - set(known) - of_lines:
            return
        if takes[-1].name == "image":
            return  # matplotlib says which it has
        known, rest = [*known, *(name for name in _LOOKS if name not in known)], " and what else matplotlib has for lines"
        options = {name: value for name, value in options.items() if name not in of_lines}
    refuse_unknown(options, known, what, rest)


def html_of(result: Any) -> str:
    """A result as HTML for notebooks: what it prints, over a picture of some kilobytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    plot(result, axes)
    if axes.get_legend() is None and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small")
    content = base64.b64encode(rendered(figure, "png", dpi=90, metadata={"Software": None})).decode("ascii")
    advice = getattr(result, "advice", "") if type(result).__name__ == "Prediction" else ""
    text = escape("\n".join(filter(None, [str(result), advice])))
    return (
        f'<div><pre style="white-space: pre-wrap">{text}</pre>'
        f'<img alt="{escape(type(result).__name__)}" src="data:image/png;base64,{content}"></div>'
    )


_OF_ERRORBARS = ["capsize", "capthick", "ecolor", "elinewidth", "errorevery", "barsabove"]
_LOOKS = ("label", "color", "linewidth", "linestyle", "alpha", "marker", "zorder")
_PICTURES: dict[str, Callable[..., Axes]] = {  # by name: whoever draws one kind of result loads no other
    "Prediction": functions.plot_prediction,
    "StartProcess": bands.plot_start_process,
    "Training": functions.plot_training,
    "Restored": functions.plot_restored,
    "Ensemble": functions.plot_ensemble,
    "Path": paths.plot_path,
    "ErrorBand": bands.plot_band,
    "Diagnosis": parts.plot_diagnosis,
    "NetworkReport": functions.plot_report,
    "Laziness": parts.plot_laziness,
    "WeightDecayPath": paths.plot_weight_decay_path,
    "NetworkNorm": functions.plot_network_norm,
    "MinimumNorm": functions.plot_minimum_norm,
    "Fluctuations": bands.plot_fluctuations,
    "SparseLimit": functions.plot_sparse_limit,
    "Comparison": measures.plot_comparison,
    "BoxComparison": measures.plot_box_comparison,
    "RequiredWidth": measures.plot_required_width,
    "PointsBand": measures.plot_points_band,
    "Agreement": measures.plot_agreement,
    "AdaptiveMeasures": measures.plot_adaptive_measures,
    "AlignmentMargin": measures.plot_alignment_margin,
    "Selection": measures.plot_selection,
    "Alignment": paths.plot_alignment,
    "Orientations": regimes.plot_orientations,
    "Condensation": regimes.plot_condensation,
    "BiasKernel": regimes.plot_bias_kernel,
    "LargeBias": regimes.plot_large_bias,
    "LargeBiasWidths": regimes.plot_large_bias_widths,
    "Study": studies.plot_study,
    "StudyGrid": studies.plot_grid,
    "Initialization": parts.plot_curvature_penalty,
}
