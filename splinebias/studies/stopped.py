"""The one exception of a study that has begun."""

from __future__ import annotations

from splinebias.errors import SplinebiasError


class StudyStopped(SplinebiasError):
    """A study could not go on (full disk, scheduler gone); what is finished is kept: the same call goes on from there."""
