"""verify: the verdicts on the theorems of the field, paper by paper."""

from __future__ import annotations

from typing import Any

from splinebias._arguments import known_keywords, nearest, true_or_false
from splinebias.errors import DataError
from splinebias.theorems.verdict import Claim, Verdict


def catalogue() -> dict[str, tuple[Claim, ...]]:
    """The claims of every paper; what they need of the library is imported now."""
    from splinebias.theorems import (
        bordelon_pehlevan,
        jin_montufar,
        liang_montufar,
        min_mallada_vidal,
        several_inputs,
        williams,
        yang,
        zhou,
    )

    return {
        "JM": jin_montufar.CLAIMS + several_inputs.CLAIMS,
        "LM": liang_montufar.CLAIMS,
        "W": williams.CLAIMS,
        "Z": zhou.CLAIMS,
        "M": min_mallada_vidal.CLAIMS,
        "BP": bordelon_pehlevan.CLAIMS,
        "Y": yang.CLAIMS,
    }


@known_keywords
def verify(*papers: str, fast: bool = False) -> list[Verdict]:
    r"""Put the theorems of papers to the test, with networks that are trained for it.

    Parameters
    ----------
    *papers : {"JM", "LM", "W", "Z", "M", "BP", "Y"}
        Jin & Montúfar (JMLR 2023), Liang & Montúfar (ICLR 2025), Williams et al. (NeurIPS 2019); Zhou et al. on condensation
        (its abstract); Min, Mallada & Vidal (early alignment); Bordelon & Pehlevan (NeurIPS 2023); Yang et al. on
        large biases (its abstract). None: all.
    fast : bool
        Fewer networks: seconds a paper. Tolerances follow from the number of networks: with fewer, less is refused, and what
        agrees is as sure to.

    Returns
    -------
    list of Verdict
        In the order of `papers`. Seeds are fixed: the same versions on the same kind of machine give the same numbers.

    Raises
    ------
    DataError
        For a paper that is not among these; if `fast` is not True or False.

    Notes
    -----
    Networks are compared with limits and bands that are computed without training. *Hypotheses:* each verdict lists its own.
    A tolerance of three standard errors is exceeded by chance once in 370.
    """
    true_or_false(fast, "fast")
    return [verdict for claim in claims(*papers) for verdict in made(claim, fast=fast)]


def claims(*papers: Any) -> list[Claim]:
    """The functions that make the verdicts on `papers`, each once; on all if none is named."""
    known = catalogue()
    for paper in papers:
        if not isinstance(paper, str) or paper not in known:
            raise DataError(f"`papers` must be among {', '.join(known)}, got {paper!r}{nearest(paper, known)}")
    return [claim for paper in dict.fromkeys(papers or known) for claim in known[paper]]


def made(claim: Claim, *, fast: bool) -> tuple[Verdict, ...]:
    """The verdicts of one claim."""
    found = claim(fast=fast)
    return (found,) if isinstance(found, Verdict) else found
