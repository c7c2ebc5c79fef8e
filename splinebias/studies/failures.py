"""Why runs of a study are left out of its fits, in lines that say what to do."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from splinebias.errors import Outcome
from splinebias.studies.row import FAILED, LOST, Row

_MOST = 3  # reasons to print for one outcome
_LONG = 320  # characters of a reason to print
_NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?")
_ADVICE = {
    FAILED: "runs that raised are kept and not tried again: change what the reason names, and use another store",
    LOST: "lost runs are tried again by the next start: give workers more memory, or start fewer of them",
}


def left_out(rows: Sequence[Row]) -> list[str]:
    """Lines on the runs that are not ok: their number, their reasons with how often they occur, and what to do; or none.

    Reasons that differ in numbers only are counted as one, of which the first is shown.
    """
    failed = [row for row in rows if not row.ok]
    if not failed:
        return []
    counts = sorted(Counter(row.outcome for row in failed).items())
    lines = [f"left out: {', '.join(f'{count} {name}' for name, count in counts)} of {len(rows)} runs"]
    for name, _ in counts:
        lines += [f"  {line}" for line in _reasons(name, [row.reason for row in failed if row.outcome == name])]
        lines += [f"  {_ADVICE[name]}"] if name in _ADVICE else []
    return lines


def _reasons(outcome: str, reasons: Iterable[str]) -> list[str]:
    """The commonest reasons of an outcome, one line each."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(_NUMBER.sub("0", reason), []).append(reason)
    commonest = sorted(groups.values(), key=len, reverse=True)
    lines = [f"{len(group)} {outcome}: {_shown(outcome, group)}" for group in commonest[:_MOST]]
    others = sum(map(len, commonest[_MOST:]))
    return lines + ([f"{others} {outcome} for other reasons, which the rows hold (--csv)"] if others else [])


def _shown(outcome: str, group: Sequence[str]) -> str:
    """The first of the reasons of one kind; what the outcome itself advises if it is empty."""
    known = Outcome.__members__.get(outcome)
    text = group[0] or (known.value if known else "no reason was recorded")
    return ("for example, " if len(set(group)) > 1 else "") + textwrap.shorten(text, _LONG, placeholder=" ...")
