"""What lies in a folder and is no video of it is left out and named; what a list names wrongly is one failed row."""

import errno
import os
import socket
from pathlib import Path

import made
import pytest
from footage import video
from project import Project, ran

from vbuild.config import Source
from vbuild.errors import SourceError
from vbuild.source import identify, list_videos
from vbuild.store.files import Files


@pytest.fixture
def pool(tmp_path_factory):
    """Two small videos."""
    folder = tmp_path_factory.mktemp("pool")
    return [video(folder / f"{n}.mp4", seconds=1.0, fps=8, size=(64, 48), seed=n) for n in range(2)]


def empty(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(*path, **more):
    return [uri.rpartition("/")[2] for uri in list_videos(Source(path=tuple(map(str, path)), **more)).uris]


def test_what_a_system_keeps_beside_files_is_no_video(tmp_path):
    """Folders that are hidden, and what macOS writes beside a file; in archives and patterns too."""
    empty(tmp_path / "a.mp4", tmp_path / "._a.mp4", tmp_path / ".Trash" / "b.mp4", tmp_path / "c" / ".x" / "d.mp4")
    assert names(tmp_path) == names(tmp_path / "*.mp4") == names(tmp_path / "**" / "*") == ["a.mp4"]
    assert names(tmp_path / ".Trash") == ["b.mp4"]


def test_links_and_what_is_no_file_are_named(tmp_path):
    """A linked folder, a link that leads nowhere or to itself, a pipe, a socket: each once; all else is listed."""
    folder = tmp_path / "v"
    empty(folder / "a.mp4", tmp_path / "far" / "b.mp4")
    (folder / "linked").symlink_to(tmp_path / "far")
    (folder / "dead.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    os.mkfifo(folder / "pipe.mp4")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s.mp4"))
    found = list_videos(Source(path=(str(folder),)))
    assert [Path(uri).name for uri in found.uris] == ["a.mp4"]
    assert {Path(path).name: why for path, why in found.left_out.items()} == {
        "linked": "a linked folder is not entered; name it in source.path",
        "dead.mp4": "a link that leads nowhere",
        "loop.mp4": os.strerror(errno.ELOOP),
        "pipe.mp4": "it is no regular file",
        "s.mp4": "it is no regular file",
    }
    assert f"left out: {folder}/pipe.mp4 and 1 more (it is no regular file)" in found.notes()


def test_a_list_that_names_what_is_no_file_does_not_hang(tmp_path):
    """A pipe, a device that never ends, a folder, a loop, what may not be read, a name that no system knows."""
    empty(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "l.txt").write_text(f"a.mp4\npipe\n/dev/zero\nfolder\nloop\n{'x' * 300}\n/proc/self/mem\n")
    files = list_videos(Source(path=(str(tmp_path / "l.txt"),)))
    found = identify(files, Files(tmp_path / "store"))
    said = {Path(files.uris[row]).name: why for row, why in found.errors.items()}
    assert said.pop("mem").startswith("cannot be read: ")
    assert said == {
        "pipe": "cannot be read: it is no regular file",
        "zero": "cannot be read: it is no regular file",
        "folder": "cannot be read: it is a folder",
        "loop": f"cannot be read: {os.strerror(errno.ELOOP)}",
        "x" * 300: f"cannot be read: {os.strerror(errno.ENAMETOOLONG)}",
    }


def test_a_store_is_no_source(tmp_path, pool):
    """In the folder of its videos, in a pattern, in a list, and named itself: what a build wrote is never read."""
    project = Project(tmp_path, {"pack": made.Pack()}, store=tmp_path / "videos" / "cache")
    project.put("0.mp4", pool[0])
    first = project.build()
    clip = project.put("cache/blobs/ab/x.mp4", pool[1])
    again = project.again()
    assert (first.videos, again.videos, ran(again)) == (1, 1, {})
    assert [note for note in again.notes if "store" in note] == [
        f"left out: {project.store} (a store of vbuild is no source)"
    ]
    assert project.build().up_to_date
    assert names(project.videos / "**" / "*.mp4") == ["0.mp4"]
    (tmp_path / "l.txt").write_text(f"{clip}\n{project.videos}/0.mp4\n")
    assert names(tmp_path / "l.txt") == ["0.mp4"]
    for inside in (project.store, project.store / "blobs", clip):
        with pytest.raises(SourceError, match="a store of vbuild is no source"):
            names(inside)


def test_a_link_to_itself_is_not_blamed_on_the_store(tmp_path, pool):
    """Nobody is told to free space for what is wrong with a source; the others are built, and it is said."""
    project = Project(tmp_path, {"tone": made.Tone()})
    project.put("0.mp4", pool[0])
    (project.videos / "loop.mp4").symlink_to("loop.mp4")
    report = project.build()
    assert (report.videos, report.failures) == (1, 0)
    assert report.notes == [f"left out: {project.videos}/loop.mp4 ({os.strerror(errno.ELOOP)})"]
