"""One SQLite file per study: its specification, and a row and a function per finished run.

The coordinating process is the only writer; it adds finished batches in transactions (write-ahead log), so a kill at any
moment leaves a file that holds every batch that was added. A lock on a file beside it, which the system gives back however
its holder ends, keeps a second coordinator out. SQLite's log does not work across machines: keep the file on a local disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import numpy as np

from splinebias.errors import DataError, StudyStopped
from splinebias.functions.compare_on_box import Place
from splinebias.studies.row import LOST, Done
from splinebias.studies.spec import StudySpec
from splinebias.studies.spec_difference import difference
from splinebias.studies.store.schema import (
    ADD_CASE,
    ADD_RUN,
    TABLES,
    connect,
    fault,
    file_of,
    guarded,
    identity,
    is_full,
    locked,
)


class Store:
    """A store that this process may write: made by `open`, a context manager.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path, keys: Sequence[str], lock: sqlite3.Connection, file: sqlite3.Connection) -> None:
        self.path, self._keys, self._lock, self._file = path, keys, lock, file
        self._identity = identity(path)

    @classmethod
    def open(cls, path: str | Path, spec: StudySpec, *, extend: bool = False) -> Self:
        """The store of `spec` at `path`: a new one, or an old one to go on with.

        Parameters
        ----------
        path : str or Path
            A file, or a folder to put it in (under a name that follows from what is studied, whatever the widths and seeds).
        spec : StudySpec
            What is to be run.
        extend : bool
            Whether `spec` may add widths, seeds and names to the grid of an old store.

        Raises
        ------
        DataError
            If the folder does not exist, another coordinator has the store, it is damaged, no study or of a newer format, or
            its specification is another one.
        CapabilityError
            If `spec` has no TOML text.
        """
        path = place(path, spec)
        text = spec.to_toml()
        with ExitStack() as undo:
            lock = locked(path)
            undo.callback(lock.close)
            file = connect(path, create=True)
            undo.callback(file.close)
            _begin(file, path, spec, text, extend=extend)
            undo.pop_all()
        return cls(path, [case.key for case in spec.cases], lock, file)

    def finished(self) -> list[set[tuple[int, int]]]:
        """For each case of the specification, the (width, seed) of its runs; lost ones are to be tried again."""
        found: list[set[tuple[int, int]]] = []
        for key in self._keys:
            rows = self._file.execute("SELECT width, seed FROM runs WHERE key = ? AND outcome != ?", (key, LOST))
            found.append(set(rows.fetchall()))
        return found

    def add(self, case: int, done: Sequence[Done]) -> None:
        """Keep finished runs of case number `case`, all or none of them.

        Raises
        ------
        StudyStopped
            If they cannot be written, or the file is no longer at its place.
        """
        self.check_in_place()
        now = time.time()
        try:
            with self._file:
                self._file.execute("BEGIN IMMEDIATE")
                for run in done:
                    self._file.execute("INSERT OR IGNORE INTO environments (text) VALUES (?)", (run.environment,))
                    where = self._file.execute("SELECT number FROM environments WHERE text = ?", (run.environment,))
                    values = (self._keys[case], *run.row, *where.fetchone(), now, run.function)
                    self._file.execute(ADD_RUN, values)
        except sqlite3.Error as error:
            words = _no_room(self.path, error) if is_full(error) else f"the store {self.path} {fault(self.path, error)}"
            raise StudyStopped(words) from None

    def check_in_place(self) -> None:
        """StudyStopped if the file that this process writes is not the one that others find at `path`."""
        there = identity(self.path)
        if there == self._identity:
            return
        what = "deleted or moved" if there is None else "replaced by another file"
        without = "begins anew without it" if there is None else "with another --store begins anew"
        raise StudyStopped(
            f"the store {self.path} was {what} while its study was at work, so that nothing more can be kept in it; put it "
            f"back and run the same command again, which {without}"
        )

    def close(self) -> None:
        """Give the file and its lock back; the file is all there is then, and can be copied or put on read-only ground."""
        with suppress(sqlite3.Error):  # a full disk or a reader: the log stays, and is read at the next opening
            self._file.execute("UPDATE study SET holder = NULL")
            self._file.execute("PRAGMA busy_timeout = 0")
            self._file.execute("PRAGMA journal_mode = DELETE")
        with suppress(sqlite3.Error):
            self._file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def place(path: str | Path, spec: StudySpec) -> Path:
    """The file of a store: `path`, or one in that folder, named after everything but widths and seeds."""
    content = "".join(case.key for case in spec.cases) + f"{spec.seed} {spec.loss_tol} {spec.interval}"
    return file_of(path, f"study-{hashlib.sha256(content.encode()).hexdigest()[:12]}.sqlite")


def _begin(file: sqlite3.Connection, path: Path, spec: StudySpec, text: str, *, extend: bool) -> None:
    """Make the tables of a new store, or compare `spec` with that of an old one; write it, and who is at work."""
    with guarded(path):
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            (begun,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if begun:
                (old,) = file.execute("SELECT spec FROM study").fetchone()
                _check_growth(path, old, text, extend=extend)
            with file:
                file.execute("BEGIN IMMEDIATE")
                for statement in () if begun else TABLES:
                    file.execute(statement)
                holder = f"process {os.getpid()} on {socket.gethostname()}"
                file.execute("UPDATE study SET spec = ?, total = ?, holder = ?", (text, len(spec), holder))
                file.execute("DELETE FROM cases")
                for number, case in enumerate(spec.cases):
                    what = (case.key, json.dumps(case.names), case.problem.to_toml(), repr(case.method))
                    file.execute(ADD_CASE, (number, *what, *_ends(case.interval), spec.loss_tol))
        except sqlite3.Error as error:
            if is_full(error):
                raise StudyStopped(_no_room(path, error)) from None
            raise


def _ends(place: Place) -> list[float | str]:
    """Where an interval begins and ends, and a box as JSON text."""
    ends = np.asarray(place).T.tolist()
    return [json.dumps(end) if isinstance(end, list) else end for end in ends]


def _no_room(path: Path, error: sqlite3.Error) -> str:
    return (
        f"cannot write to {path}: {error}; all runs that were written are kept: make room, then run the same command again"
    )


def _check_growth(path: Path, old: str, new: str, *, extend: bool) -> None:
    """Refuse a specification that differs from that of the store, unless it only adds and may."""
    words, grows = difference(old, new)
    if not grows:
        raise DataError(
            f"the store {path} must go on with the specification it was begun with, got {words}; "
            "use another store for this one"
        )
    if words and not extend:
        raise DataError(
            f"the store {path} was begun with a smaller grid, got {words}; pass extend=True (--extend) to add to it, or use "
            "another store"
        )
