"""Settings of the whole test run: one thread per worker, no display, the same random examples every time."""

import os

# Before numpy or torch is imported: two workers with two threads each would fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

settings.register_profile("splinebias", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("splinebias")
