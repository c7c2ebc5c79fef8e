"""Random problems by kind: how predictions of them end, and how far those that say CONVERGED are from a referee.

    python -m benchmarks.reliability                            # the 300 of docs/reliability.md, into its table
    python -m benchmarks.reliability --first 300 --count 1000   # others, printed only

`tests.fuzz` makes the problems and `tests.referee` judges, by expectations over (w, b) that share nothing with solvers.
Seconds are those of the processor, of the prediction alone.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks._timing import duration, table
from tests.fuzz import SEEDS, SLOW, Trial, tried
from tests.fuzz_kinds import KINDS

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
SLOWISH = 5.0  # seconds from which on a problem is named
SEEN = 1e-6  # bounds of the referee above which it has no opinion
HEADER = [
    "kind",
    "problems",
    "CONVERGED",
    "INACCURATE",
    "refused",
    "worst error",
    "worst misfit",
    "median",
    "99 %",
    "slowest",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the problems that `arguments` ask for; write the table if they are those of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=SEEDS.start, help="the first seed")
    parser.add_argument("--count", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.count)
    with multiprocessing.get_context("spawn").Pool(options.jobs, warmed, maxtasksperchild=50) as pool:
        trials = []
        for trial in pool.imap_unordered(tried, [seed for seed in seeds if seed not in SLOW]):
            trials.append(trial)
            print(f"{trial.seed} {trial.kind}: {trial.outcome}, {duration(trial.seconds)}", flush=True)
    text = report(sorted(trials), [seed for seed in seeds if seed in SLOW])
    print(text)
    if seeds == SEEDS:
        PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


def warmed() -> None:
    """Import what predictions import, so that no problem pays for it."""
    tried(40)


def placed(page: str, text: str) -> str:
    """`page` with `text` between its markers."""
    start, end = "<!-- reliability -->\n", "<!-- end of reliability -->\n"
    before, _, rest = page.partition(start)
    return f"{before}{start}\n{text}\n\n{end}{rest.partition(end)[2]}"


def report(trials: Sequence[Trial], left_out: Sequence[int]) -> str:
    """The table, and what stands out, as Markdown."""
    kinds = [kind for kind in KINDS if any(trial.kind == kind for trial in trials)]
    rows = [row(kind, [trial for trial in trials if trial.kind == kind]) for kind in kinds]
    rows.append(row("all", trials))
    notes = [f"- {trial.kind}, seed {trial.seed}: {duration(trial.seconds)}" for trial in trials if trial.seconds > SLOWISH]
    notes += [f"- {words}, seed {seed}: left out" for seed, words in SLOW.items() if seed in left_out]
    unseen = [f"{trial.seed} ({trial.kind})" for trial in trials if trial.ruling and not seen(trial)]
    inaccurate = [
        f"{trial.seed} ({trial.kind}, residual {trial.residual:.1e})" for trial in trials if trial.outcome == "INACCURATE"
    ]
    return "\n\n".join(
        [
            table(HEADER, rows),
            f"Slower than {SLOWISH:g} s:",
            "\n".join(notes or ["- none"]),
            f"CONVERGED, but the referee cannot tell to {SEEN:g}, by seed: {', '.join(unseen) or 'none'}.",
            f"INACCURATE, by seed: {', '.join(inaccurate) or 'none'}.",
        ]
    )


def seen(trial: Trial) -> bool:
    """Whether the referee has an opinion."""
    return trial.ruling is not None and trial.ruling.blur <= SEEN


def row(kind: str, trials: Sequence[Trial]) -> list[str]:
    """One line of the table."""
    ends = Counter(trial.outcome for trial in trials)
    refused = sum(ends[name] for name in ("DataError", "CapabilityError", "SolveError"))
    errors = [max(trial.ruling.error, trial.ruling.penalty_error) for trial in trials if trial.ruling and seen(trial)]
    misfits = [trial.opinion[0] for trial in trials if trial.ruling and trial.opinion]
    seconds = np.array([trial.seconds for trial in trials])
    times = [np.median(seconds), np.quantile(seconds, 0.99), seconds.max()]
    return [
        kind, str(len(trials)), str(ends["CONVERGED"]), str(ends["INACCURATE"]), str(refused),
        *[f"{max(of):.0e}" if of and max(of) > 0 else "0" if of else "-" for of in (errors, misfits)],
        *[duration(float(of)) if math.isfinite(of) else "-" for of in times],
    ]  # fmt: skip


if __name__ == "__main__":
    main()
