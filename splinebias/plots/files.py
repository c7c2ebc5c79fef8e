"""Figures as files: the same figure, the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splinebias._files import check_writable, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write `figure` as PNG and as PDF, each atomically and without dates: same figure, same bytes.

    The PNG has the highest of 200, 150, 100 and 72 dots per inch that keeps it below 300 kB.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or Path
        Name without suffix, or with .png or .pdf; its folder must exist.

    Returns
    -------
    tuple of Path
        The PNG and the PDF.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, before anything is drawn.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() in (".png", ".pdf") else path
    png, pdf = (check_writable(stem.with_name(stem.name + suffix)) for suffix in (".png", ".pdf"))
    for dpi in (200, 150, 100, 72):
        pixels = rendered(figure, "png", dpi=dpi, metadata={"Software": None})
        if len(pixels) < 300_000:
            break
    write_atomically(png, pixels)
    write_atomically(pdf, rendered(figure, "pdf", metadata={"CreationDate": None}))
    return png, pdf


def rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    """The content of a picture file."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, **options)
    return content.getvalue()
