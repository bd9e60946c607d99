"""The bytes that are read are the bytes that a key names: what changes while a build reads it leaves nothing behind."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import made
import pytest
from project import Project, ran

from vbuild import digest, source
from vbuild.executor.config import Local
from vbuild.source import identify, list_videos
from vbuild.stage import knob
from vbuild.store.files import Files


@dataclass(frozen=True, kw_only=True)
class Swap(made.Tone):
    """A tone whose stage, once, does something to the file that the pass has read."""

    version: ClassVar[int] = 1
    how: str = knob("")
    path: str = knob("")
    other: str = knob("")

    def run(self, clips, model):
        """The tone, and the deed."""
        yield from super().run(clips, model)
        mark = Path(self.path + ".done")
        if self.how and not mark.exists():
            mark.touch()
            HOW[self.how](Path(self.path), Path(self.other))


def rename(path, other):
    """A download, or rsync: another file takes the name."""
    shutil.copyfile(other, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def edit(path, other):
    """An edit in place that puts the time back."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def back(path, other):
    """Another file under the name, and the first one back again."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    shutil.copyfile(other, path)
    aside.replace(path)


HOW = {"rename": rename, "edit": edit, "back": back, "gone": lambda path, other: path.unlink()}


@pytest.fixture
def project(tmp_path, pool):
    """Two videos; nothing is built."""
    project = Project(tmp_path, {})
    for n in range(2):
        project.put(f"{n}.mp4", pool[n])
    return project


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("how", list(HOW))
def test_a_file_that_changes_in_a_pass_leaves_nothing(project, pool, how, workers):
    """No row and no failure; it is said once, the other videos go on, and the next build does what is left."""
    project.local = Local(workers=workers)
    path = project.videos / "0.mp4"
    project.stages = {"tone": Swap(how=how, path=str(path), other=str(pool[5]))}
    report = project.build()
    assert report.failures == 0
    said = [line for line in report.wrong if "changed while it was read" in line]
    assert len(said) == 1
    assert str(path) in said[0]
    rows = project.rows()
    assert {row["tone_mean"] is None for row in rows.values() if row["uri"] == str(path)} == {True}
    assert {row["tone_mean"] is None for row in rows.values() if row["uri"] != str(path)} == {False}
    again = project.build()
    assert not again.wrong
    fresh = Project(project.store.parent / "fresh", {"tone": made.Tone()}, videos=project.videos)
    fresh.build()
    assert project.rows() == fresh.rows()
    assert project.build().up_to_date


def test_a_file_that_changes_between_its_digest_and_its_probe_is_not_probed(project, pool, monkeypatch):
    """Whatever opens the file itself is asked too: what it found is of other bytes than the key."""
    before = source.identify

    def late(*args, **keys):
        found = before(*args, **keys)
        rename(project.videos / "0.mp4", pool[5])
        return found

    project.stages = {"tone": made.Tone()}
    monkeypatch.setattr(source, "identify", late)
    report = project.build()
    assert any("changed while it was read" in line for line in report.wrong)
    assert ran(report)["probe"] == 1
    monkeypatch.undo()
    assert not project.build().wrong


def test_a_file_that_grows_while_it_is_digested_has_no_key(tmp_path, monkeypatch):
    """It is named, the memo learns nothing, and there is no short cut."""
    path = tmp_path / "v" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"before")
    os.utime(path, (10**9, 10**9))
    files, memo = list_videos(source_of(path)), Files(tmp_path / "store")
    of_stream = digest.of_stream

    def meanwhile(stream):
        found = of_stream(stream)
        with path.open("ab") as file:
            file.write(b"x")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(digest, "of_stream", meanwhile)
        found = identify(files, memo)
    assert found.errors == {0: "the file changed while it was read; the next build tries again"}
    assert not found.settled
    assert identify(list_videos(source_of(path)), memo).read == 1


def source_of(path):
    return replace(Project(path.parent.parent / "p", {}).config().source, path=(str(path.parent),))


def test_what_the_open_file_says_counts(tmp_path):
    """Not what it was when it was listed: it is known by that from then on."""
    path = tmp_path / "v" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"1")
    files, memo = list_videos(source_of(path)), Files(tmp_path / "store")
    path.write_bytes(b"22")
    os.utime(path, (10**9, 10**9))
    identify(files, memo)
    assert files.digest() == list_videos(source_of(path)).digest()
    assert identify(list_videos(source_of(path)), memo).read == 0
