"""Colours, dashes and markers that all pictures share, and options of lines under their full names."""

from __future__ import annotations

from typing import Any

import numpy as np

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = OKABE_ITO = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)

LIMITS = (BLACK, VERMILLION, GREEN, PURPLE, SKY)  # of predictions that share axes, and their dashes
DASHES: tuple[Any, ...] = ("--", (0, (1, 1.3)), "-.", (0, (5, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2)))
NETWORKS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
NORMS = (VERMILLION, PURPLE, SKY, GREEN)
BANDS = (GREEN, SKY, ORANGE, PURPLE)
LOOKS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {  # colours of curves of a kind, and how else they look
    "prediction": (LIMITS, {}),
    "network": (NETWORKS, {"linewidth": 2.5, "zorder": 1.9}),  # below predictions
    "restored": (NETWORKS, {}),
    "least norm": (NORMS, {}),
    "sparse limit": (NORMS, {"linestyle": "--"}),
}
PALE = 0.2  # opacity of predicted bands that are coloured
POINTS: dict[str, Any] = {"color": BLUE, "marker": "o", "linestyle": "none", "capsize": 2.0}


def plain(line: dict[str, Any]) -> dict[str, Any]:
    """Options of a line under their full names: ``lw`` is ``linewidth``."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return dict(normalize_kwargs(line, Line2D))


def from_pale_to_dark(count: int) -> list[Any]:
    """Colours from pale to dark."""
    from matplotlib import colormaps

    return [colormaps["viridis_r"](share) for share in np.linspace(0.1, 0.95, max(count, 1))]
