"""Files of networks and runs: tables as TOML and arrays in one zip file, and the one place where what they hold is checked.

The layout is that of ``numpy.savez``, so that `numpy.load` opens the arrays; nothing in it is ever executed. Members are
stored as they are, so that no small file grows when it is read.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import whole_number
from splinebias._files import parse_toml, unreadable, write_atomically, write_toml
from splinebias.errors import DataError

_FORMAT = 1
_TABLES = "splinebias.toml"
_MOST_MEMBERS = 100
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(<f8|<f4|<i8)', 'fortran_order': False, 'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?),?\), \} *\n"
)
_FIX = "use a file that run.save or network.save wrote"


def write_archive(path: str | Path, kind: str, tables: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write tables and arrays (of float64, float32 or int64) to `path`, atomically; the same contents give the same bytes.

    Raises
    ------
    DataError
        If the file cannot be written there.
    """
    if not isinstance(path, str | Path):
        raise DataError(f"`path` must be the name of a file, got {path!r}")
    text, content = write_toml({"file": {"format": _FORMAT, "kind": kind}} | dict(tables)), io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(zipfile.ZipInfo(_TABLES), text)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    write_atomically(path, content.getvalue())


@dataclass(frozen=True, eq=False)
class Archive:
    """What a file holds.

    Attributes
    ----------
    kind : str
        What it is a file of.
    tables : dict
        Its tables, plain but otherwise unchecked.
    arrays : dict
        Its arrays by name.
    """

    kind: str
    tables: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: str | Path) -> Archive:
        """Read a file that `write_archive` wrote.

        Raises
        ------
        DataError
            If it cannot be read or is another file.
        """
        if not isinstance(path, str | Path):
            raise DataError(f"`path` must be the name of a file, got {path!r}")
        try:
            content = Path(path).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise unreadable("saved", path, error) from None
        members = _members(content, str(path))
        try:
            text = members.pop(_TABLES).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            raise DataError(f"{path} must hold {_TABLES}, got none that can be read; {_FIX}") from None
        tables = parse_toml(text, "saved file")
        head = tables.pop("file", None)
        kind = head.get("kind") if isinstance(head, dict) else None
        if not isinstance(head, dict) or not isinstance(kind, str):
            raise DataError(f"{path} must say in [file] what it is, got {head!r}; {_FIX}")
        if head.get("format") != _FORMAT:
            raise DataError(
                f"{path} must be of format {_FORMAT}, got {head.get('format')!r}; read it with the version that wrote it"
            )
        return cls(kind, tables, {name.removesuffix(".npy"): _array(name, part) for name, part in members.items()})

    def table(self, name: str) -> dict[str, Any]:
        """The table of this name, or a DataError."""
        if not isinstance(found := self.tables.get(name), dict):
            raise DataError(f"the saved file must have a table [{name}], got {found!r}; {_FIX}")
        return found

    def array(self, name: str, shape: tuple[int | None, ...], kinds: str = "f", *, finite: bool = True) -> NDArray[Any]:
        """The array of this name, of one of the `kinds` of numpy and this `shape` (None: any number); or a DataError."""
        array = self.arrays.get(name)
        if array is None:
            raise DataError(f"the saved file must have an array {name!r}, got none; {_FIX}")
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if array.dtype.kind not in kinds or not fits:
            wanted = " x ".join("any number" if n is None else str(n) for n in shape)
            raise DataError(f"{name!r} must have the shape {wanted}, got {array.shape} of {array.dtype}; {_FIX}")
        if finite and not np.isfinite(array).all():
            raise DataError(f"{name!r} must be finite, got {int((~np.isfinite(array)).sum())} entries that are not; {_FIX}")
        return array


def entry(table: Mapping[str, Any], name: str, kind: type) -> Any:
    """The entry of this name and kind, numbers that are no truth values; or a DataError."""
    found = table.get(name)
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise DataError(f"the saved file must say {name!r} as a {kind.__name__}, got {found!r}; {_FIX}")
    return whole_number(found, name) if kind is int else found


def _members(content: bytes, path: str) -> dict[str, bytes]:
    """The members of a zip file in which they are stored as they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            found = file.infolist()
            names = {member.filename for member in found}
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in found)
            if len(found) > _MOST_MEMBERS or len(names) < len(found) or not plain:
                raise DataError(
                    f"{path} must have at most {_MOST_MEMBERS} members, all different and not compressed; {_FIX}"
                )
            if sum(member.file_size for member in found) > len(content):
                raise DataError(f"{path} must not be smaller than what is in it; {_FIX}")
            return {member.filename: file.read(member) for member in found}
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, EOFError, struct.error, OverflowError) as error:
        if isinstance(error, DataError):  # which is a ValueError
            raise
        raise DataError(f"{path} must be a file of splinebias, got one that is none ({error}); {_FIX}") from None


def _array(name: str, content: bytes) -> NDArray[Any]:
    """An array from the bytes of a .npy file of ours."""
    start = len(_MAGIC) + 2
    size = int.from_bytes(content[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(content[start : start + size])
    if not name.endswith(".npy") or not content.startswith(_MAGIC) or header is None:
        raise DataError(f"{name!r} must be an array of real or whole numbers, got something else; {_FIX}")
    kind = np.dtype(header[1].decode())
    shape = tuple(int(n) for n in re.findall(rb"\d+", header[2]))
    if math.prod(shape) * kind.itemsize != len(content) - start - size:
        raise DataError(f"{name!r} must hold as many numbers as its shape {shape} says; {_FIX}")
    return np.frombuffer(content, kind, offset=start + size).reshape(shape).astype(kind.newbyteorder("="))
