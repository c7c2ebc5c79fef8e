"""`python -m experiments`: redo the published figures; exit status 0, or 2 with one line on stderr for bad input."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from experiments import lm_figure1, lm_figure2
from splinebias.errors import SplinebiasError

_EXPERIMENTS = (lm_figure1, lm_figure2)
_SMALL: dict[str, Any] = {"widths": (60, 180, 540), "seeds": (0, 1), "loss_tol": 1e-7}  # what differs from the published


def main(arguments: list[str] | None = None) -> int:
    """Run all experiments with the settings that `arguments` (default: the command line) ask for."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Redo the published figures.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--small", action="store_const", dest="size", const=_SMALL, help="some seconds: narrow networks, two seeds"
    )
    size.add_argument("--full", action="store_const", dest="size", const={}, help="published widths and seeds (the default)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write to (default: figures)")
    parser.set_defaults(size={})
    options = parser.parse_args(arguments)
    for experiment in _EXPERIMENTS:
        began = time.perf_counter()
        try:
            experiment.main(experiment.Config(out=options.out, **options.size))
        except (SplinebiasError, OSError) as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return 2
        print(f"wrote {options.out / experiment.NAME}.png, .pdf, .json in {time.perf_counter() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
