"""Published data sets, ready to be fitted: ``sb.datasets.titanium()``."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np

from splinebias._arguments import real_number
from splinebias._array import Array
from splinebias.data import Dataset


def liang_montufar_a(shift: float = 0.0) -> Dataset:
    """Data set A of Liang & Montúfar (ICLR 2025), figure 1: five points on [-1, 1], y in {-0.15, 0.15}.

    Parameters
    ----------
    shift : float
        Added to y: the translated sets of their figure 1, on which networks without a skip connection have other limits.
    """
    y = np.array([-0.15, -0.15, 0.15, -0.15, -0.15])
    return Dataset(np.array([-1.0, -0.2, 0.0, 0.2, 1.0]), y + real_number(shift, "shift"))


def liang_montufar_b(shift: float = 0.0) -> Dataset:
    """Data set B of Liang & Montúfar (ICLR 2025), figure 2: four points on [-1, 1], y in {-0.15, 0.15}; `shift` as in A."""
    y = np.array([0.15, 0.15, -0.15, 0.15])
    return Dataset(np.array([-1.0, 0.35, 0.65, 1.0]), y + real_number(shift, "shift"))


def titanium() -> Dataset:
    """A property of titanium against temperature: 49 points on [595, 1075], a steep peak on a flat ground.

    C. de Boor, *A Practical Guide to Splines* (1978), routine TITAND. Its x lie far from the breakpoints of most laws:
    see `splinebias.rescaled`.
    """
    return _table("titanium", "temperature", "property")


def mcycle() -> Dataset:
    """Head acceleration (g) against time (ms) after an impact: 133 noisy points, at 94 times, whose means are weighted.

    Silverman, JRSS B 47 (1985). To be smoothed rather than interpolated: see `splinebias.gcv_time`.
    """
    return _table("mcycle", "time", "acceleration")


def digits() -> tuple[Array, Array]:
    """Handwritten digits 0 and 1: 360 images of 8 x 8 pixels from 0 to 16, shape (360, 64); labels +1 for a 0, -1 for a 1.

    E. Alpaydin & C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository (1998), CC BY
    4.0: the part that scikit-learn brings along as ``load_digits``, in its order. In the file a pixel is a digit of base 17.
    """
    lines = (files("splinebias") / "_tables" / "digits.csv").read_text(encoding="utf-8").split()[1:]
    rows = [line.split(",") for line in lines]
    pixels = np.array([[int(pixel, 17) for pixel in row[1]] for row in rows], dtype=float)
    return pixels, np.array([1.0 - 2.0 * int(row[0]) for row in rows])


def _table(name: str, x: str, y: str) -> Dataset:
    """A table that comes with the package, replicates averaged."""
    with as_file(files("splinebias") / "_tables" / f"{name}.csv") as path:
        return Dataset.from_csv(path, x=x, y=y, replicates=True)
