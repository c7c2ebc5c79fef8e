"""What `make test` leaves to the nightly run: the table in CONTRIBUTING.md names the fast test that holds the same law."""

from __future__ import annotations

from functools import partial

import pytest

nightly = partial(pytest.param, marks=pytest.mark.nightly)  # one case of a parametrization; whole tests have the mark itself
