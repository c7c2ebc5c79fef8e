"""The table of verdicts in `theory.md`, from networks that are trained for it.

python docs/verdicts.py        # half a minute; writes it between the marks of the page
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import splinebias as sb

PAGE = Path(__file__).resolve().parent / "theory.md"
MARKS = re.compile(r"(<!-- verdicts -->\n).*(<!-- end of verdicts -->)", flags=re.DOTALL)
HEAD = ("verdict", "claim", "source", "number", "predicted", "measured", "tolerance", "agreed", "hypotheses")


def table(verdicts: Iterable[sb.Verdict]) -> str:
    """One row a verdict, in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *map(row, verdicts)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(verdict: sb.Verdict) -> tuple[str, ...]:
    """The cells of a verdict."""
    relation = "" if verdict.relation.value == "=" else f"{verdict.relation.value} "
    texts = (verdict.name, verdict.claim, verdict.source, verdict.quantity)
    numbers = (f"{relation}{verdict.predicted:.4g}", f"{verdict.measured:.4g}", f"{verdict.tolerance:.2g}")
    hypotheses = "; ".join(f"{one.statement}: {one.status}" for one in verdict.hypotheses)
    cells = (*texts, *numbers, "yes" if verdict.agreed else "**no**", hypotheses)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def page(verdicts: Iterable[sb.Verdict]) -> str:
    """The page with the table of `verdicts`."""
    rows = table(verdicts)
    return MARKS.sub(lambda found: found[1] + rows + found[2], PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(sb.verify(fast=True)), encoding="utf-8")
