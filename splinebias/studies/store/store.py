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
from contextlib import suppress
from pathlib import Path
from typing import Self

from splinebias.errors import DataError, StudyStopped
from splinebias.studies.row import LOST, Done, Row
from splinebias.studies.spec import StudySpec
from splinebias.studies.spec_difference import canonical_text, difference
from splinebias.studies.store.schema import (
    APPLICATION,
    FORMAT,
    Lock,
    connect,
    fault,
    file_of,
    guarded,
    identity,
    is_file,
    is_full,
)

_SCHEMA = f"""
CREATE TABLE study (spec TEXT, total INTEGER, holder TEXT, created REAL);
CREATE TABLE cases (
    number INTEGER, key TEXT PRIMARY KEY, names TEXT, problem TEXT, method TEXT, lo REAL, hi REAL, loss_tol REAL
);
CREATE TABLE environments (number INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE runs (
    key TEXT, {", ".join(f"{name}" for name in Row._fields)}, environment INTEGER, finished REAL, function BLOB,
    PRIMARY KEY (key, width, seed)
);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""
_ADD = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * (len(Row._fields) + 4))})"


class Store:
    """A store that this process may write: made by `open`, a context manager.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path, keys: Sequence[str], lock: Lock, file: sqlite3.Connection) -> None:
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
        lock = Lock(path)
        try:
            file = connect(path, create=True)
            try:
                keys = _prepare(file, path, spec, text, extend=extend)
            except BaseException:
                file.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(path, keys, lock, file)

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
                    self._file.execute(_ADD, values)
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
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def place(path: str | Path, spec: StudySpec) -> Path:
    """The file of a store: `path`, or one in that folder, named after everything but widths and seeds."""
    now = file_of(path, _name(spec, [case.key for case in spec.cases]))
    once = file_of(path, _name(spec, [case.written_key for case in spec.cases]))
    return once if is_file(once) and not is_file(now) else now


def _name(spec: StudySpec, keys: Sequence[str]) -> str:
    content = "".join(keys) + f"{spec.seed} {spec.loss_tol} {spec.interval}"
    return f"study-{hashlib.sha256(content.encode()).hexdigest()[:12]}.sqlite"


def _prepare(file: sqlite3.Connection, path: Path, spec: StudySpec, text: str, *, extend: bool) -> list[str]:
    """Write the specification into a new store, or compare it with that of an old one; the keys of its cases there."""
    with guarded(path):
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            old = None
            if file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                (old,) = file.execute("SELECT spec FROM study").fetchone()
            if old is not None and old != text:
                words, grows = difference(old, text)
                if words:
                    _check_growth(path, words, grows, extend=extend)
            keys = [case.key for case in spec.cases] if old is None else _known_keys(file, spec, unchanged=old == text)
            _begin(file, spec, old, text, keys)
            return keys
        except sqlite3.Error as error:
            if is_full(error):
                raise StudyStopped(_no_room(path, error)) from None
            raise


def _known_keys(file: sqlite3.Connection, spec: StudySpec, *, unchanged: bool) -> list[str]:
    """The keys of the cases of `spec` in a store that may have been begun with their laws in another form."""
    stored = file.execute("SELECT key, problem, method FROM cases ORDER BY number").fetchall()
    if unchanged and len(stored) != len(spec.cases):
        raise ValueError(f"it has {len(stored)} cases, and {len(spec.cases)} by its specification")
    if unchanged:
        return [key for key, *_ in stored]
    keys = {(canonical_text(problem), method): key for key, problem, method in stored}
    return [keys.get((canonical_text(case.problem.to_toml()), repr(case.method)), case.key) for case in spec.cases]


def _begin(file: sqlite3.Connection, spec: StudySpec, old: str | None, text: str, keys: Sequence[str]) -> None:
    """Schema and specification, unless they are there, and who is at work."""
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with file:
        file.execute("BEGIN IMMEDIATE")
        if old is None:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                file.execute(statement)
            file.execute("INSERT INTO study VALUES (NULL, 0, NULL, ?)", (time.time(),))
        if old != text:
            _describe(file, spec, text, keys)
        file.execute("UPDATE study SET holder = ?", (holder,))


def _no_room(path: Path, error: sqlite3.Error) -> str:
    return (
        f"cannot write to {path}: {error}; all runs that were written are kept: make room, then run the same command again"
    )


def _check_growth(path: Path, words: str, grows: bool, *, extend: bool) -> None:
    """Refuse a specification that differs, unless it only adds and may."""
    if not grows:
        raise DataError(
            f"the store {path} must go on with the specification it was begun with, got {words}; "
            "use another store for this one"
        )
    if not extend:
        raise DataError(
            f"the store {path} was begun with a smaller grid, got {words}; pass extend=True (--extend) to add to it, or use "
            "another store"
        )


def _describe(file: sqlite3.Connection, spec: StudySpec, text: str, keys: Sequence[str]) -> None:
    """Specification and cases."""
    file.execute("UPDATE study SET spec = ?, total = ?", (text, len(spec)))
    file.execute("DELETE FROM cases")
    for number, (case, key) in enumerate(zip(spec.cases, keys, strict=True)):
        values = (number, key, json.dumps(case.names), case.problem.to_toml(), repr(case.method), *case.interval)
        file.execute("INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, spec.loss_tol))
