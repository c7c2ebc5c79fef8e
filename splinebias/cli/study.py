"""`splinebias study`: run a study or go on with one, say how far it is, show what it found."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splinebias.cli.console import (
    METHODS,
    Answer,
    DefaultCommand,
    Numbers,
    Refusal,
    answered,
    csv_option,
    end,
    head_of,
    interval_option,
    json_option,
    made,
    method_option,
    print_facts,
    print_json,
    root_option,
    where_in,
)
from splinebias.errors import DataError

if TYPE_CHECKING:
    from splinebias.studies.agreement import Agreement
    from splinebias.studies.results import Study, StudyGrid
    from splinebias.studies.spec import StudySpec

_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@click.group(cls=DefaultCommand, default="run")
def study() -> None:
    """Train networks of several widths and fit the rate.

    FILE.toml is a problem, with --widths, or a whole study (docs/run-a-study.md). With a store, every run is kept as it
    finishes, and the same command continues after any interruption. Without the name of a command below, it is `run`,
    whose options splinebias study run --help lists.

    \b
    Examples:
        splinebias study problem.toml --widths 20,60,180 --seeds 5
        splinebias study study.toml --jobs 2
        splinebias study status study.sqlite
        splinebias study show study.sqlite --plot study.png
    """


@study.command()
@click.argument("file", metavar="FILE.toml", type=click.Path(path_type=Path))
@click.option("--widths", type=Numbers("N,N,...", kind=int), help="Numbers of hidden units.")
@click.option("--seeds", type=click.IntRange(min=1), help="Networks per width; default: 5.")
@method_option
@click.option(
    "--richness", type=float, metavar="GAMMA", help="Mean-field networks of this richness, whatever the problem says."
)
@click.option("--loss-tol", type=float, help="Loss to reach, in the units of y squared; default: 1e-12.")
@interval_option
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes; the result does not depend on it.")
@click.option("--scheduler", metavar="ADDRESS", help="Compute on the workers of this Dask scheduler (tcp://host:port).")
@click.option(
    "--store",
    type=click.Path(),  # not a Path, which forgets the slash that says folder
    metavar="PATH",
    help="File or folder that keeps every run; default: beside a study's file, none for a problem.",
)
@click.option("--extend", is_flag=True, help="Let widths, seeds or cases be added to those of the store.")
@root_option
@csv_option
@answered
def run(
    *,
    file: Path,
    jobs: int,
    scheduler: str | None,
    store: str | Path | None,
    extend: bool,
    root: Path | None,
    csv: Path | None,
    answer: Answer,
    **grid: Any,
) -> None:
    """Run what is not yet done of a study.

    \b
    Example:
        splinebias study problem.toml --widths 20,60,180 --seeds 5
    """
    spec, whole = _read(file, grid, root)
    if whole and store is None:
        store = file.with_suffix(".sqlite")
    from splinebias.studies.study import study_grid

    try:
        found = study_grid(spec, jobs=jobs, scheduler=scheduler, store=store, extend=extend)
    except KeyboardInterrupt:
        click.echo(_how_to_go_on(store, spec), err=True)
        click.get_current_context().exit(130)  # as shells report a Ctrl-C
    _show(found if whole else found.parts[0], csv, answer)
    good = all(part.prediction.outcome.ok and all(row.ok for row in part.rows) for part in found.parts)
    end(ok=good)


@study.command()
@_file
@json_option
def status(*, file: Path, as_json: bool) -> None:
    """Say how far the study of a store is; it may be at work.

    \b
    Example:
        splinebias study status study.sqlite
    """
    from splinebias.studies.store.reading import status as read_status

    found = read_status(file)
    if as_json:
        print_json(asdict(found) | {"remaining": found.remaining})
        return
    rate = f"{found.rate:.3g} runs a second" if found.rate == found.rate else "not known yet"
    left = f", {_duration(found.remaining)} to go" if found.holder and found.remaining == found.remaining else ""
    print_facts(
        done=f"{found.done} of {found.total} runs, {found.failed} of them failed",
        lost=f"{found.lost} runs whose workers died; the next start tries them again",
        at_work=found.holder or ("nobody" if found.done < found.total else "nobody: finished"),
        rate=rate + left,
        computing=f"{_duration(found.seconds)} of networks so far",
        **{f"made_with_{number}": text for number, text in enumerate(found.environments, 1)},
    )


@study.command()
@_file
@csv_option
@answered
def show(*, file: Path, csv: Path | None, answer: Answer) -> None:
    """Show what the study of a store has found so far.

    \b
    Example:
        splinebias study show study.sqlite --plot study.png
    """
    from splinebias.studies.results import StudyGrid

    _show(StudyGrid.load(file), csv, answer)


def _duration(seconds: float) -> str:
    """Days, hours, minutes and seconds; beyond a thousand years, which `timedelta` may not hold, years."""
    return str(timedelta(seconds=round(seconds))) if seconds < 3e10 else f"{seconds / 31_557_600:.0f} years"


def _read(file: Path, grid: dict[str, Any], root: Path | None) -> tuple[StudySpec, bool]:
    """The specification that file and options describe, and whether the file is all of it."""
    from splinebias.parameterization import MeanField
    from splinebias.problem import Problem
    from splinebias.studies.spec import StudySpec
    from splinebias.studies.spec_text import is_spec
    from splinebias.studies.store.schema import begins_like_a_store

    if begins_like_a_store(file):
        raise DataError(
            f"FILE.toml must be a problem or a study, got the store {file} of one; look into it with splinebias study show "
            f"{file}, and go on with the command that began it"
        )
    if is_spec(file):
        for name in ("widths", "seeds", "method", "richness", "loss_tol", "interval"):
            if grid[name] is not None:
                raise DataError(
                    f"{file} fixes the whole grid, got --{name.replace('_', '-')} as well; write it into the file"
                )
        return StudySpec.from_toml(file, root=root), True
    problem = Problem.from_toml(file, root=root)
    if grid["widths"] is None:
        raise Refusal("Missing option '--widths' (the file is a problem, not a study). Try 'splinebias study run --help'.")
    if grid["richness"] is not None:
        problem = replace(problem, parameterization=MeanField(grid["richness"]))
    asked = {"interval": where_in(problem, grid["interval"]), "loss_tol": grid["loss_tol"]}
    given = {name: value for name, value in asked.items() if value is not None}
    methods = {} if grid["method"] is None else {"": made(METHODS, grid["method"])}
    return StudySpec(problem, grid["widths"], range(grid["seeds"] or 5), methods=methods, **given), False


def _how_to_go_on(store: str | Path | None, spec: StudySpec) -> str:
    """One line for whoever pressed Ctrl-C."""
    if store is None:
        return "Stopped. Nothing is kept without --store."
    from splinebias.studies.store.reading import status as read_status
    from splinebias.studies.store.store import place

    path = place(store, spec)
    try:
        found = read_status(path)
    except DataError:
        return "Stopped before the first run; the same command begins again."
    return f"Stopped. {found.done} of {found.total} runs are kept in {path}; the same command goes on from there."


def _show(found: Study | StudyGrid, csv: Path | None, answer: Answer) -> None:
    """Text or JSON, and the files that are wanted."""
    if csv is not None:
        found.to_csv(csv)
    answer.draw(found)
    if not answer.as_json:
        click.echo(found)
    elif hasattr(found, "parts"):
        print_json({"cases": [{"names": part.names} | _as_json(part) for part in found.parts]})
    else:
        print_json(_as_json(found))


def _as_json(part: Study) -> dict[str, Any]:
    """What a study has found, for JSON."""
    outcome = part.prediction.outcome
    return head_of(part.problem, outcome, outcome.value) | {
        "interval": part.interval,
        "rate": asdict(part.rate),
        "rate_pvalue": part.power_law.pvalue,
        "constant": asdict(part.constant),
        "predicted": _predicted(part.predicted),
        "rows": [row._asdict() for row in part.rows],
    }


def _predicted(found: Agreement | str) -> dict[str, Any]:
    """The comparison with the predicted errors, for JSON; or why there is none."""
    if isinstance(found, str):
        return {"refused": found}
    ratios = [{"width": width} | asdict(ratio) for width, ratio in zip(found.widths, found.ratios, strict=True)]
    return {"constant": asdict(found.band.constant), "ratios": ratios, "disagrees": found.disagrees, "advice": found.advice}
