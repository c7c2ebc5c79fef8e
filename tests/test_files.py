"""Output files are the old version or the new one, and unusable paths are refused before work starts."""

import os
import stat

import pytest
from folders import read_only

import splinebias as sb
from splinebias._files import check_writable, read_source, read_toml, write_atomically


def test_content_replaces_the_old_file(tmp_path):
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_have_the_permissions_of_ordinary_files(tmp_path):
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.touch()
    write_atomically(ours, b"")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unusable_paths_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "missing" / "out.txt", tmp_path / "file" / "out.txt"):
        with pytest.raises(sb.DataError, match="the output path must be a file in an existing writable folder"):
            check_writable(path)
        with pytest.raises(sb.DataError, match="the output path must be a file"):
            write_atomically(path, b"")
    assert check_writable(tmp_path / "new.txt") == tmp_path / "new.txt"


def test_a_read_only_folder_is_refused(tmp_path):
    with read_only(tmp_path), pytest.raises(sb.DataError, match="existing writable folder"):
        check_writable(tmp_path / "out.txt")


def test_what_cannot_be_read_is_named_once_with_reason_and_fix(tmp_path):
    (tmp_path / "latin.toml").write_bytes("# Montúfar".encode("latin-1"))
    ends = {
        "missing.toml": "missing.toml: No such file or directory; check the path",
        "": f"{tmp_path.name}: Is a directory; add a file name",
        "latin.toml": "invalid start byte; save it as UTF-8",
        "a\0b.toml": "; check the path",
    }
    for name, end in ends.items():
        with pytest.raises(sb.DataError, match="^cannot read the problem file ") as refusal:
            read_source(str(tmp_path / name), "problem")
        assert str(refusal.value).endswith(end)
        assert str(refusal.value).count(tmp_path.name) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 900 + "\n", "at most 100 lists and tables within each other"),
        ("a = " + "[" * 120 + "]" * 120 + "\n", "at most 100 lists and tables within each other"),
        ("a = " + "9" * 5000 + "\n", "is not valid TOML: Exceeds the limit"),
        ("a = " + "9" * 400 + "\n", "holds numbers below 1e308, got `a` of about 400 digits"),
        ("[[b]]\nc = [1979-05-27]\n", "holds numbers, texts, true and false, got `c` = 1979-05-27; write dates in quotes"),
    ],
)
def test_toml_that_no_file_of_ours_holds_is_refused(text, message):
    with pytest.raises(sb.DataError, match=message):
        read_toml(text, "problem")


def test_toml_of_a_hundred_levels_is_read():
    text = "a = " + "[" * 99 + "]" * 99 + "\n"
    assert repr(read_toml(text, "problem")[0]["a"]) == "[" * 99 + "]" * 99
