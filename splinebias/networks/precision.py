"""Precision and device of networks: which of them torch works in here."""

from __future__ import annotations

from typing import Any

import torch

from splinebias.errors import DataError

_DTYPES = {"float64": torch.float64, "float32": torch.float32}


def tensor_kind(dtype: Any, device: Any) -> tuple[torch.dtype, torch.device]:
    """`dtype` ("float64", "float32" or a torch dtype) and `device` as torch objects that work here, or a DataError."""
    kind = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(kind, torch.dtype) or kind not in _DTYPES.values():
        raise DataError(f'`dtype` must be "float64" or "float32" (or that torch dtype), got {dtype!r}')
    try:
        place = torch.device(device)
        torch.zeros(1, dtype=kind, device=place).item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0][:100]  # torch goes on for pages
        raise DataError(f'`device` must be one that torch can use here, got {device!r} ({reason}); use "cpu"') from None
    return kind, place
