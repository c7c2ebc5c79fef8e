"""`python -m experiments`: redo the published figures and the others, all or by name.

Exit status: 0, or 2 with one line on stderr for bad input. Nothing that is written depends on the time or on the number of
processes: where the libraries are those of constraints.txt, redone figures differ from the kept ones in no byte.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from experiments import (
    adaptive_map,
    band_constants,
    band_coverage,
    condensation,
    early_alignment,
    flow_cost,
    flow_trajectories,
    jm_defaults,
    jm_rates,
    jm_sgd,
    jm_trajectory,
    jm_two_inputs,
    large_bias,
    lazy_to_rich,
    least_norm_sheet,
    lm_figure1,
    lm_figure2,
    mean_field_bands,
    penalty_sheet,
    potential_sheet,
    torch_default,
    weight_decay_mcycle,
)
from splinebias.errors import SplinebiasError
from splinebias.potential import Hypentropy, Potential, Power

_STUDY: dict[str, Any] = {"widths": (60, 180, 540), "seeds": (0, 1), "loss_tol": 1e-7}
_EXPERIMENTS: dict[Any, dict[str, Any]] = {  # and what --small changes of their settings
    lm_figure1: _STUDY,
    lm_figure2: _STUDY,
    jm_trajectory: {"widths": (540,), "points": 25, "loss_tol": 1e-7},
    penalty_sheet: {"widths": (540,), "loss_tol": 1e-7},
    potential_sheet: {"points": 11},
    least_norm_sheet: {"steps": 3000},
    weight_decay_mcycle: {"points": 20},
    adaptive_map: {"width": 100, "sizes": (0.1, 10.0), "imbalances": (-100.0, 0.0), "seeds": (0,)},
    lazy_to_rich: {
        "widths": (50, 200, 800),
        "seeds": (0,),
        "map_width": 100,
        "sizes": (0.1, 10.0),
        "imbalances": (-100.0, 0.0),
    },
    mean_field_bands: {"points": 8, "shown": 8, "networks": 20, "swept": (0.1, 0.5, 1.0, 2.0), "particles": 320},
    large_bias: {
        "width": 2000,
        "width_biases": (0.0, 1.0),
        "distance": 0.3,
        "seeds": (0,),
        "step_widths": (2000, 5000, 50_000),
    }
    | {"test_sizes": (8, 16)},
    early_alignment: {"width": 20, "counts": (8, 32), "spreads": (0.2, 0.7), "seeds": (0,), "lowest": 1e-12},
    condensation: {"width": 50, "scales": (1e-5, 1e-4), "starts": 300, "seeds": (0,), "layers": (10, 10, 10)},
    flow_cost: {"widths": (100, 1000), "seeds": (0,), "shown": 300, "max_steps": 3000},
    flow_trajectories: {"widths": (100, 300, 1000), "seeds": (0,), "points": 9},
    band_coverage: {"widths": (180,), "networks": 20},
    band_constants: {"widths": (1000,), "networks": 10},
    jm_rates: _STUDY,
    jm_defaults: _STUDY | {"titanium_widths": (3162, 10_000), "titanium_seeds": (0,), "titanium_tol": 1e-4},
    torch_default: {"widths": (100, 300), "seeds": (0,), "networks": 2, "time": 1e4},
    jm_sgd: {"widths": (50, 100), "seeds": (0, 1), "loss_tol": 1e-3},
    jm_two_inputs: {"widths": (100, 400), "seeds": (0,), "side": 21, "folds": 3, "times": 7, "width": 1000},
}
_OF_POTENTIALS: tuple[Any, ...] = (lm_figure1, lm_figure2)


def _potential(text: str) -> Potential:
    """A potential as the command line writes it: ``4``, ``4+1`` for u^4 + u^2, ``hypentropy:0.1``."""
    try:
        if text.startswith("hypentropy:"):
            return Hypentropy(float(text.removeprefix("hypentropy:")))
        power, _, quadratic = text.partition("+")
        return Power(float(power), quadratic=float(quadratic or 0))
    except ValueError as error:  # of numbers, and refusals of the library
        raise argparse.ArgumentTypeError(f"{text!r} is no potential ({error}); write 4, 4+1 or hypentropy:0.1") from None


def _described(experiment: Any) -> str:
    """What an experiment shows, and its settings with their defaults."""
    settings = experiment.Config()
    lines = [f"{name} = {getattr(settings, name)!r}" for name in experiment.Config.__dataclass_fields__]
    return "\n".join(
        [f"{experiment.NAME}: {(experiment.__doc__ or '').strip()}", "", "Config:", *(f"  {line}" for line in lines)]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run all experiments with the settings that `arguments` (default: the command line) ask for."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Redo the figures.", add_help=False)
    parser.add_argument(
        "-h", "--help", action="store_true", help="this text; with names: what they show, and their settings"
    )
    names = [experiment.NAME for experiment in _EXPERIMENTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names)} (default: all)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_true", help="some seconds: narrow networks, fewer of them")
    size.add_argument("--full", action="store_true", help="published widths and seeds (the default)")
    kinds = "4, 4+1 for u^4 + u^2, or hypentropy:0.1"
    shown = f"up to three, of {' and '.join(found.NAME for found in _OF_POTENTIALS)}: {kinds}"
    parser.add_argument("--potentials", nargs="+", type=_potential, metavar="P", help=shown)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write to (default: figures)")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"no experiment is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = {found: small for found, small in _EXPERIMENTS.items() if not options.names or found.NAME in options.names}
    if options.help:
        print("\n\n".join(map(_described, chosen)) if options.names else parser.format_help())
        return 0
    asked = {} if options.potentials is None else {"potentials": tuple(options.potentials)}
    if asked and (set(chosen) - set(_OF_POTENTIALS) or len(options.potentials) > 3):
        parser.error(f"--potentials takes {shown}; give the names of these experiments, and no other")
    for experiment, small in chosen.items():
        began = time.perf_counter()
        try:
            experiment.main(experiment.Config(out=options.out, **(small if options.small else {}) | asked))
        except (SplinebiasError, OSError) as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return 2
        print(f"wrote {options.out / experiment.NAME}.png, .pdf, .json in {time.perf_counter() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
