"""Files: read with one-line refusals; written as the old version or the new one, never half of each; TOML both ways."""

from __future__ import annotations

import math
import numbers
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splinebias.errors import DataError

_DEEPEST = 100
"""Lists and tables within each other that a TOML file may have: a mixture of laws takes three for each of its levels."""


def check_writable(path: str | Path) -> Path:
    """`path` if a file can be created or replaced there, or a DataError: called before long work starts."""
    path = Path(path)
    folder = path.parent
    rule = f"the output path must be a file in an existing writable folder, got {path}"
    if path.is_dir():
        raise DataError(f"{rule}, which is a folder; add a file name")
    if not folder.is_dir():
        raise DataError(f"{rule}; create {folder} first")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{rule}; choose a folder you may write in")
    return path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` through a temporary file in the same folder and one rename.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written.
    """
    path = check_writable(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"cannot write in {path.parent}: {error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_source(source: Any, kind: str) -> tuple[str, Path]:
    """TOML text, given as such or by the path of its file, and the folder that file names in it are relative to.

    Raises
    ------
    DataError
        If `source` is neither, or the `kind` file cannot be read.
    """
    if not isinstance(source, str | Path):
        raise DataError(f"`source` must be TOML text or the path of a TOML file, got {source!r}")
    if isinstance(source, str) and "\n" in source:
        return source, Path()
    try:
        return Path(source).read_text(encoding="utf-8"), Path(source).parent
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, or a name that no file can have
        raise unreadable(kind, source, error) from None


def read_toml(source: Any, kind: str, *, hint: str = "") -> tuple[dict[str, Any], Path]:
    """The tables of TOML text or of a TOML file, and the folder that file names in them are relative to.

    Raises
    ------
    DataError
        If `source` is neither, the `kind` file cannot be read, or it is no TOML, where `hint` ends the message.
    """
    text, folder = read_source(source, kind)
    return parse_toml(text, kind, hint=hint), folder


def parse_toml(text: str, kind: str, *, hint: str = "") -> dict[str, Any]:
    """The tables of TOML text: at most `_DEEPEST` within each other, with numbers that are no larger than floats.

    Raises
    ------
    DataError
        If it is no TOML, where `hint` ends the message, or holds dates, whole numbers beyond floats, or too many levels.
    """
    deep = f"the {kind} must have at most {_DEEPEST} lists and tables within each other, got more; write it flatter"
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise DataError(deep) from None
    except ValueError as error:  # no TOML; or a whole number of more digits than Python reads
        raise DataError(f"the {kind} is not valid TOML: {error}{hint}") from None
    level: list[tuple[str, Any]] = list(tables.items())
    for _ in range(_DEEPEST):
        for name, value in level:
            _check_plain(name, value, kind)
        inner = [(name, value) for name, value in level if isinstance(value, dict | list)]
        level = [(name, part) for name, value in inner if isinstance(value, list) for part in value]
        level += [pair for _, value in inner if isinstance(value, dict) for pair in value.items()]
        if not level:
            return tables
    raise DataError(deep)


def _check_plain(name: str, value: Any, kind: str) -> None:
    """Refuse what no entry of a TOML file of ours can be."""
    if not isinstance(value, dict | list | str | bool | int | float):
        raise DataError(f"the {kind} holds numbers, texts, true and false, got `{name}` = {value}; write dates in quotes")
    if isinstance(value, int) and value.bit_length() > 1023:
        digits = round(value.bit_length() * math.log10(2))
        raise DataError(f"the {kind} holds numbers below 1e308, got `{name}` of about {digits} digits; take other units")


def named_file(name: str, entry: str, folder: Path | None, root: str | Path | None = None) -> Path:
    """The file that `entry` of a TOML file calls `name`: relative to the `folder` of that TOML file, and inside `root`.

    Parameters
    ----------
    name, entry : str
        What stands in the TOML file, and under which name.
    folder : Path or None
        The folder of the TOML file; None for texts that may name no files, such as those in a store.
    root : str or Path, optional
        The folder that links and ``..`` must not lead out of; default: `folder`.

    Raises
    ------
    DataError
        If it leads out of `root`, is there and no file, or no file can have this name. Nothing is opened.
    """
    if folder is None:
        raise DataError(f"`{entry}` must not name a file here, got {name!r}; write the content itself in its place")
    try:
        place, top = (folder / name).resolve(), Path(folder if root is None else root).resolve()
        ordinary = place.is_file() or not place.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a null character; symbolic links in a circle
        raise DataError(f"`{entry}` must be the name of a file, got {name!r}: {error}; check the name") from None
    if not place.is_relative_to(top):
        raise DataError(
            f"`{entry}` must name a file in the folder {top}, got {name!r}, which leads out of it; move the file there, or "
            "say which folder may be read: from_toml(..., root=FOLDER), --root FOLDER"
        )
    if not ordinary:
        raise DataError(f"`{entry}` must name a file, got {name!r}, which is none; check the name")
    return folder / name


def write_toml(tables: Mapping[str, Any], path: str | Path | None = None) -> str:
    """`tables` as TOML text, every number exact, also written atomically to `path` if one is given."""
    import tomli_w

    text = tomli_w.dumps(_plain(tables))
    if path is not None:
        write_atomically(path, text.encode())
    return text


def _plain(value: Any) -> Any:
    """`value` without what tomli_w does not write: real numbers of numpy and fractions, which arguments may be."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | bool):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def unreadable(kind: str, path: str | Path, error: Exception) -> DataError:
    """What to say of the `kind` file `path` that `error` kept from being read: its name once, the reason and the fix."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    fix = "check the path"
    if isinstance(error, IsADirectoryError):
        fix = "add a file name"
    elif isinstance(error, PermissionError):
        fix = "get the right to read it"
    elif isinstance(error, UnicodeDecodeError):
        fix = "save it as UTF-8"
    return DataError(f"cannot read the {kind} file {path}: {reason}; {fix}")
