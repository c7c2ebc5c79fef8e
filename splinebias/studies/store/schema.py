"""The file of a study: its tables, where it is, how it is opened, every way to fail in words, and one hand at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from splinebias.errors import DataError, SplinebiasError
from splinebias.studies.row import Row

FORMAT = 1
_APPLICATION = 0x53504C42  # "SPLB": what `file` shows, and what tells a study from other SQLite files

TABLES = (
    "CREATE TABLE study (spec TEXT, total INTEGER, holder TEXT)",
    "INSERT INTO study DEFAULT VALUES",
    "CREATE TABLE cases (number INTEGER, key TEXT PRIMARY KEY, names TEXT, problem TEXT, method TEXT, lo REAL, hi REAL, "
    "loss_tol REAL)",
    "CREATE TABLE environments (number INTEGER PRIMARY KEY, text TEXT UNIQUE)",
    f"CREATE TABLE runs (key TEXT, {', '.join(Row._fields)}, environment INTEGER, finished REAL, function BLOB, "
    "PRIMARY KEY (key, width, seed))",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
"""The statements that make a new store; of several inputs `lo` and `hi` of a case are lists of numbers, as JSON text."""
ADD_CASE = "INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
ADD_RUN = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * (len(Row._fields) + 4))})"


def file_of(path: str | Path, name: str) -> Path:
    """`path`, or the file `name` in it if it is a folder, which is made if it ends in a slash.

    Raises
    ------
    DataError
        If it can be no file that this process may write.
    """
    rule = f"the store must be a file in an existing writable folder, got {str(path)!r}"
    if not isinstance(path, str | Path) or not str(path):
        raise DataError(f"the store must be a path, got {path!r}; use e.g. 'study.sqlite' or 'runs/'")
    place = Path(path)
    try:
        if str(path).endswith(("/", os.sep)):
            place.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            place /= name
        place.with_name(f"{place.name}.lock").exists()  # the longest name that will be asked for
        folder = place.resolve().parent
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle
        raise DataError(f"{rule}: {error}") from None
    if place.exists() and not place.is_file():
        raise DataError(f"{rule}, which is neither a file nor a folder; choose another name")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise DataError(f"{rule}; create {folder} first, or choose a folder you may write in")
    if place.exists() and not os.access(place, os.R_OK | os.W_OK):
        raise DataError(f"{rule}, which you may not write; change its permissions, or copy it to another name")
    return place


def connect(path: str | Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection to a store that was found intact, of this format or new.

    Raises
    ------
    DataError
        If there is none, or it is damaged, no study, written by a newer version, or cannot be opened.
    """
    if not isinstance(path, str | Path):
        raise DataError(f"the path of a store must be a str or a Path, got {path!r}")
    path = Path(path)
    if not create and not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise DataError(f"there is no study at {path}; check the name, or start one with splinebias study SPEC.toml --store")
    file = _opened(path, create=create)
    try:
        with guarded(path):
            _bound_work(file, path)
            _check(file, path, create=create)
            if create:  # a study may write for weeks; its tables were found to be tables
                file.set_progress_handler(None, 0)
    except BaseException:
        file.close()
        raise
    return file


def identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any that takes its place; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def guarded(path: Path, *, entries: bool = False) -> Iterator[None]:
    """Errors of SQLite, and of content that no study writes, as refusals that say what to do.

    `entries` : whether refusals are of single entries, which name neither the store nor what to do with it.
    """
    try:
        yield
    except SplinebiasError as error:
        if entries and not str(error).startswith("the store"):
            raise DataError(f"the store {path} {_damage(path, str(error))}") from None
        raise
    except sqlite3.Error as error:
        raise DataError(f"the store {path} {fault(path, error)}") from None
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:  # TOMLDecodeError among them
        raise DataError(f"the store {path} {_damage(path, str(error))}") from None


def is_full(error: sqlite3.Error) -> bool:
    """Whether a write failed for want of room: quotas and full disks come as I/O errors, too."""
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def locked(path: Path) -> sqlite3.Connection:
    """Exclusive possession of ``PATH.lock``, given back when what is returned is closed or its holder killed.

    Raises
    ------
    DataError
        If another process has it, or it cannot be had at all.
    """
    beside = _beside(path, ".lock")
    lock = None
    try:
        lock = sqlite3.connect(beside, timeout=0.5, isolation_level=None)
        lock.execute("PRAGMA journal_mode = MEMORY")  # nothing is written, so it works on a full disk
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if lock is not None:
            lock.close()
        if _code(error) != sqlite3.SQLITE_BUSY:
            raise DataError(f"the lock {beside} {fault(beside, error)}") from None
        holder = f" ({_holder(path)})" if _holder(path) else ""
        raise DataError(
            f"the store {path} must have one coordinator, got a second while the first{holder} is at work; "
            "wait for it, stop it, or use another store"
        ) from None
    return lock


def is_held(path: Path) -> bool:
    """Whether a coordinator is at work on the store; asking takes nothing from anyone and writes nothing."""
    try:
        with closing(sqlite3.connect(_uri(_beside(path, ".lock"), "mode=ro"), uri=True, timeout=0.0)) as file:
            file.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        return _code(error) == sqlite3.SQLITE_BUSY
    return False


def _beside(path: Path, ending: str) -> Path:
    """The lock or log of a store: one, whatever links lead to it."""
    path = path.resolve()
    return path.with_name(path.name + ending)


def _uri(path: Path, options: str) -> str:
    return f"{path.absolute().as_uri()}?{options}"


def _opened(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection; to a file on read-only ground one that takes it as it is, if no log says that it is not complete."""
    mode = "rwc" if create else "rw"
    with guarded(path):  # wait 10 seconds for another process to finish what it writes
        file = sqlite3.connect(_uri(path, f"mode={mode}"), uri=True, timeout=10.0, isolation_level=None)
    try:
        file.execute("PRAGMA trusted_schema = OFF")
        file.execute("SELECT count(*) FROM sqlite_master")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        log = _beside(path, "-wal")
        alone = isinstance(error, sqlite3.Error) and _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if alone and not create and not (log.exists() and log.stat().st_size):
            file.close()
            return sqlite3.connect(_uri(path, "mode=ro&immutable=1"), uri=True, isolation_level=None)
    return file


def _check(file: sqlite3.Connection, path: Path, *, create: bool) -> None:
    """Refuse what is no intact study of this format, before anything of it is run: a view may never end."""
    foreign = file.execute("SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone()
    if foreign is None:
        virtual = "SELECT 'virtual table', name FROM sqlite_master WHERE sql LIKE 'create virtual%'"
        foreign = file.execute(virtual).fetchone()
    if foreign is not None:
        raise DataError(
            f"the store {path} must hold tables only, got the {foreign[0]} {foreign[1]!r}, which runs what others wrote; "
            "no study writes one: use a store that you trust"
        )
    problems = [line for (line,) in file.execute("PRAGMA integrity_check")]
    (application,) = file.execute("PRAGMA application_id").fetchone()
    (written,) = file.execute("PRAGMA user_version").fetchone()
    (tables,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if problems != ["ok"]:
        raise DataError(f"the store {path} {_damage(path, problems[0])}")
    if tables and application != _APPLICATION:
        raise DataError(f"the store {path} must be a study, got another kind of SQLite file; choose another name")
    if written > FORMAT:
        raise DataError(
            f"the store {path} was written by a newer splinebias (format {written}, this one knows {FORMAT}); "
            "update splinebias"
        )
    if tables and written < FORMAT:
        raise DataError(f"the store {path} {_damage(path, f'it says to be of format {written}, which there never was')}")
    if not tables and not create:
        raise DataError(f"the store {path} is empty: its study was stopped before it began; run the same command again")


def _bound_work(file: sqlite3.Connection, path: Path) -> None:
    """Interrupt what takes more steps of SQLite than anything a study reads from a file of this size."""
    size = path.stat().st_size if path.exists() else 0
    left = 100 + size // 2**18  # millions; a page of 4096 bytes takes about 1000, and may take 15,000

    def one_million_more() -> int:
        nonlocal left
        left -= 1
        return int(left < 0)

    file.set_progress_handler(one_million_more, 1_000_000)


def _code(error: sqlite3.Error) -> int:
    """The primary result code of SQLite."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _damage(path: Path, why: str) -> str:
    return (
        f"is damaged: {' '.join(why.split())}; restore a copy, begin again in another file, or try "
        f"`sqlite3 {path.name} .recover | sqlite3 saved.sqlite` and go on with what that saves"
    )


def fault(path: Path, error: sqlite3.Error) -> str:
    """What an error of SQLite means for the file at `path`, and what to do."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return f"cannot be used: {error}; make room, then run the same command again"
    if code == sqlite3.SQLITE_IOERR:
        return (
            f"cannot be used: {error}; if its disk is full make room, if it is a network disk move the file to a local one"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"cannot be used: {error}; another program is at it: try again when that has ended"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return (
            f"cannot be opened: {error}; copy it, with {path.name}-wal if there is one, to a folder you may write in, or "
            "change permissions"
        )
    if code == sqlite3.SQLITE_NOTADB and not begins_like_a_store(path):
        return "must be a study, got a file of another kind; check the name, or choose another one"
    too_much = "it asks for more work than a study of its size does"
    return _damage(path, too_much if code == sqlite3.SQLITE_INTERRUPT else str(error))


def begins_like_a_store(path: Path) -> bool:
    """Whether there is a file of SQLite."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
    return False


def _holder(path: Path) -> str:
    """Who has the store, as far as it says."""
    with suppress(sqlite3.Error, TypeError), closing(sqlite3.connect(_uri(path, "mode=ro"), uri=True, timeout=1)) as file:
        _bound_work(file, path)
        (holder,) = file.execute("SELECT holder FROM study").fetchone()
        return str(holder or "")
    return ""
