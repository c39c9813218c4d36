"""Archives: real ones, hostile ones and damaged ones."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from doctown.errors import SourceError
from doctown.repository import Limits, Selection, open_source, select_files
from tests.doctown.repository.repositories import ENVIRON, git, make_repository

LIMITS = Limits(max_bytes=1_000_000, max_files=20)
FORMATS = ("zip", "tar.gz", "tgz")


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def make_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        members = []
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.append((member, content))
        make_tar(path, *members)
    return path


def make_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def tar_member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member, b""


def paths(archive: Path, work_dir: Path) -> dict[str, str | None]:
    with open_source(str(archive), limits=LIMITS, environ={}, work_dir=work_dir) as checkout:
        return {file.path: file.reason for file in select_files(checkout, Selection())}


def refusal(archive: Path, work_dir: Path, limits: Limits = LIMITS) -> str:
    with pytest.raises(SourceError) as caught, open_source(str(archive), limits=limits, environ={}, work_dir=work_dir):
        pass
    return str(caught.value)


@pytest.mark.parametrize("ending", FORMATS)
def test_archive_is_unpacked_without_its_top_folder(ending: str, tmp_path: Path, work_dir: Path) -> None:
    files = {"demo-1.0/LICENSE.md": b"MIT", "demo-1.0/src/a.py": b"x = 1\n"}
    archive = make_archive(tmp_path / f"demo-1.0.{ending}", files)
    with open_source(str(archive), limits=LIMITS, environ={}, work_dir=work_dir) as checkout:
        assert (checkout.name, checkout.licence_file, checkout.is_git) == ("demo-1.0", "LICENSE.md", False)
        assert (checkout.root / "src/a.py").read_bytes() == b"x = 1\n"
        assert [file.path for file in select_files(checkout, Selection())] == ["LICENSE.md", "src/a.py"]


@pytest.mark.parametrize("ending", FORMATS)
def test_archive_with_files_beside_its_folder_stays_as_it_is(ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"setup.py": b"", "src/a.py": b""})
    assert list(paths(archive, work_dir)) == ["setup.py", "src/a.py"]


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_commit_that_git_archive_notes_is_recorded(form: str, tmp_path: Path, work_dir: Path) -> None:
    commit = make_repository(tmp_path / "demo", {"a.py": "", "ümlaut.py": ""})
    git(tmp_path / "demo", "archive", f"--output={tmp_path}/demo.{form}", "--prefix=demo/", "HEAD")
    with open_source(f"{tmp_path}/demo.{form}", limits=LIMITS, environ=ENVIRON, work_dir=work_dir) as checkout:
        assert checkout.commit == commit
        assert [file.path for file in select_files(checkout, Selection())] == ["a.py", "ümlaut.py"]


@pytest.mark.parametrize("ending", ["zip", "tgz"])
@pytest.mark.parametrize("name", ["/etc/passwd", "../a.py", "a/../../b.py", "C:/a.py"])
def test_name_that_leads_out_is_refused(name: str, ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"ok.py": b"", name: b""})
    assert "absolute name or one with .." in refusal(archive, work_dir)


def test_backslash_separates_in_a_zip_and_is_checked(tmp_path: Path, work_dir: Path) -> None:
    assert list(paths(make_archive(tmp_path / "a.zip", {"top\\src\\a.py": b"", "top\\b.py": b""}), work_dir)) == [
        "b.py",
        "src/a.py",
    ]
    assert "absolute name" in refusal(make_archive(tmp_path / "b.zip", {"top\\..\\..\\a.py": b""}), work_dir)


def test_names_that_differ_in_case_are_two_files_and_of_equal_names_the_last_counts(
    tmp_path: Path, work_dir: Path
) -> None:
    members = [(tarfile.TarInfo(name), b"") for name in ("t/a.py", "t/A.py")]
    late = tarfile.TarInfo("t/a.py")
    late.size = 4
    archive = make_tar(tmp_path / "a.tgz", *members, (late, b"last"))
    with open_source(str(archive), limits=LIMITS, environ={}, work_dir=work_dir) as checkout:
        assert [file.path for file in select_files(checkout, Selection())] == ["A.py", "a.py"]
        assert (checkout.root / "a.py").read_bytes() == b"last"


def test_file_that_is_also_a_folder_is_refused(tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / "a.tgz", {"t/a": b"", "t/a/b.py": b""})
    assert "also a folder" in refusal(archive, work_dir)


def test_links_of_a_tar_are_listed_and_not_made(tmp_path: Path, work_dir: Path) -> None:
    """A file whose folder is named by a link before it goes into the folder, not where the link leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = make_tar(
        tmp_path / "a.tgz",
        (tarfile.TarInfo("t/real.py"), b""),
        tar_member("t/link.py", tarfile.SYMTYPE, "/etc/passwd"),
        tar_member("t/hard.py", tarfile.LNKTYPE, "t/real.py"),
        tar_member("t/out", tarfile.SYMTYPE, str(outside)),
        (tarfile.TarInfo("t/out/x.py"), b""),
    )
    found = paths(archive, work_dir)
    assert found["link.py"] == found["hard.py"] == "symbolic link"
    assert found["real.py"] is None
    assert list(outside.iterdir()) == []


def test_link_of_a_zip_is_listed_and_not_made(tmp_path: Path, work_dir: Path) -> None:
    link = zipfile.ZipInfo("t/link.py")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("t/real.py", "")
    assert paths(tmp_path / "a.zip", work_dir) == {"link.py": "symbolic link", "real.py": None}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=["chr", "blk", "fifo"])
def test_device_is_refused(kind: bytes, tmp_path: Path, work_dir: Path) -> None:
    archive = make_tar(tmp_path / "a.tgz", (tarfile.TarInfo("a.py"), b""), tar_member("b", kind))
    assert "device" in refusal(archive, work_dir)


@pytest.mark.parametrize("ending", ["zip", "tgz"])
def test_bomb_is_refused_before_it_is_unpacked(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"first.py": b"", "zeros": bytes(3_000_000)})
    assert archive.stat().st_size < 10_000
    opened = []
    open_path: Callable[..., Any] = Path.open

    def recorded(path: Path, *arguments: Any, **named: Any) -> Any:
        opened.append(path)
        return open_path(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", recorded)
    assert "FETCH_MAX_BYTES" in refusal(archive, tmp_path)
    assert opened == [archive]


@pytest.mark.parametrize("ending", ["zip", "tgz"])
def test_archive_that_compresses_as_no_source_code_does_is_refused(ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"zeros": bytes(51_000_000)})
    assert "100 times" in refusal(archive, work_dir, Limits())


def test_zip_that_declares_too_few_bytes_is_refused(tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    declared, lie = (3_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(declared, lie))
    assert "damaged" in refusal(archive, work_dir)


def test_tar_of_an_endless_header_is_refused(tmp_path: Path, work_dir: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type = tarfile.XHDTYPE
    member.size = 1 << 40
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(member.tobuf() + bytes(10_000))
    assert "damaged" in refusal(tmp_path / "a.tgz", work_dir)


def test_tar_with_a_negative_size_is_refused(tmp_path: Path, work_dir: Path) -> None:
    """A negative size leads a reader back to headers that it has read."""
    member = tarfile.TarInfo("x")
    member.size = -512
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert "damaged" in refusal(tmp_path / "a.tgz", work_dir)


@pytest.mark.parametrize("ending", ["zip", "tgz"])
def test_too_many_members_are_refused(ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {f"{number}.py": b"" for number in range(21)})
    assert "FETCH_MAX_FILES" in refusal(archive, work_dir)
    folders = make_archive(tmp_path / f"b.{ending}", {f"{number}/": b"" for number in range(81)})
    assert "FETCH_MAX_FILES" in refusal(folders, work_dir)


@pytest.mark.parametrize("ending", ["zip", "tgz"])
def test_name_too_deep_to_be_removed_is_refused(ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"a/" * 101 + "b.py": b""})
    assert "100 folders" in refusal(archive, work_dir)


def test_encrypted_zip_is_refused(tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", {"a.py": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(data))
    assert "without a password" in refusal(archive, work_dir)


@pytest.mark.parametrize("ending", ["zip", "tgz"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "spoiled"])
def test_damaged_archive_is_refused(damage: str, ending: str, tmp_path: Path, work_dir: Path) -> None:
    archive = make_archive(tmp_path / f"a.{ending}", {"a.py": bytes(range(256)) * 40})
    data = archive.read_bytes()
    half = len(data) // 2
    damaged = {
        "empty": b"",
        "text": b"not an archive",
        "cut": data[:half],
        "spoiled": data[: half - 8] + bytes(16) + data[half + 8 :],
    }
    archive.write_bytes(damaged[damage])
    assert "damaged" in refusal(archive, work_dir)


def test_name_that_is_not_utf8_is_unpacked_and_skipped(tmp_path: Path, work_dir: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("t/caf\xe9.py"), io.BytesIO())
        archive.addfile(tarfile.TarInfo("t/b.py"), io.BytesIO())
    assert paths(tmp_path / "a.tgz", work_dir) == {"b.py": None, "caf\\xe9.py": "name is not UTF-8"}
