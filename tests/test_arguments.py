"""Numbers as they come: whole floats, numpy numbers, arrays and tensors of no dimension."""

import numpy as np
import pytest
import torch

from splinebias._arguments import real_number, whole_number
from splinebias.errors import DataError


@pytest.mark.parametrize(
    "value", [1000, 1e3, np.int64(1000), np.float32(1000), np.array(1000), np.array(1e3), torch.tensor(1000)]
)
def test_whole_numbers_are_whole_whatever_their_type(value):
    found = whole_number(value, "width", at_least=1)
    assert (found, type(found)) == (1000, int)
    assert real_number(value, "time") == 1000.0


@pytest.mark.parametrize(
    "value", [1.5, np.nan, np.inf, True, np.True_, np.array(True), np.array([3]), "3", None, 3j, -1, -1.0]
)
def test_what_is_no_whole_number_is_refused_as_it_was_given(value):
    with pytest.raises(DataError, match="`width` must be a whole number >= 0, got ") as refused:
        whole_number(value, "width")
    assert repr(value) in str(refused.value)


def test_huge_floats_are_whole_and_huge_integers_are_no_floats():
    assert whole_number(1e300, "seed") == int(1e300)
    with pytest.raises(DataError, match="`a` must be a finite real number, got 1000"):
        real_number(10**400, "a")
