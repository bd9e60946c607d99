"""A source is listed once, in order, whatever it is; content is known without reading what has not changed."""

import os
import time
from pathlib import Path

import pytest

from vbuild import digest
from vbuild.config import Source
from vbuild.errors import SourceError
from vbuild.source import as_text, grown, identify, list_videos
from vbuild.store.files import Files


@pytest.fixture
def folder(tmp_path):
    """Files of many names, two folders deep."""
    for name in ("b.mp4", "A.MOV", "a/c.mkv", "a/b/d.webm", "a/notes.txt", "e.jpg", ".hidden.mp4"):
        path = tmp_path / "v" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (10**9, 10**9))
    return tmp_path / "v"


def names(root, *paths, **keys):
    files = list_videos(Source(path=tuple(map(str, paths)), **keys))
    return [os.path.relpath(uri, root) for uri in files.uris]


EVERY = [".hidden.mp4", "A.MOV", "a/b/d.webm", "a/c.mkv", "b.mp4"]


def test_a_folder_is_read_to_the_bottom_sorted(folder):
    """Videos by their endings, in any case."""
    assert names(folder, folder) == EVERY


def test_a_video_a_glob_and_several_paths_are_sources(folder):
    """Each file once, whoever names it."""
    assert names(folder, folder / "b.mp4") == ["b.mp4"]
    assert names(folder, folder / "*.mp4") == ["b.mp4"]
    assert names(folder, folder / "**" / "*") == ["A.MOV", "a/b/d.webm", "a/c.mkv", "b.mp4"]
    assert names(folder, folder / "b.mp4", folder, folder / "a") == EVERY


def test_a_list_names_files(folder):
    """A path a line, no comments or blank lines, relative to the list; any ending, also files that are not there."""
    text = f"# mine\n\nb.mp4\n a/c.mkv \n{folder}/e.jpg\nnowhere.mp4\n"
    (folder / "list.txt").write_text(text)
    files = list_videos(Source(path=(str(folder / "list.txt"),)))
    assert [Path(uri).name for uri in files.uris] == ["c.mkv", "b.mp4", "e.jpg", "nowhere.mp4"]
    assert list(files.sizes) == [7, 5, 5, -1]


def test_extensions_and_limit_are_what_is_asked(folder):
    """With or without their dots; the first so many by name."""
    assert names(folder, folder, extensions=(".JPG", "mkv")) == ["a/c.mkv", "e.jpg"]
    assert names(folder, folder, limit=2) == EVERY[:2]


def test_links_to_files_are_followed_and_links_to_folders_are_not(folder):
    """So a link to the folder above makes no loop; and a link that leads nowhere is no video."""
    (folder / "a" / "up").symlink_to(folder)
    (folder / "z.mp4").symlink_to(folder / "b.mp4")
    (folder / "y.mp4").symlink_to(folder / "nowhere.mp4")
    assert names(folder, folder) == [*EVERY, "z.mp4"]


def test_relative_paths_and_home_are_made_absolute(folder, monkeypatch):
    """The same file under the same name, from wherever it is named."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert names(folder, "v") == names(folder, "~/v") == names(folder, folder / "a" / "..") == EVERY


@pytest.mark.parametrize(
    ("path", "said"), [("nowhere", "nowhere: there is no such file or folder"), ("none*.mp4", "no video in it")]
)
def test_a_source_that_is_not_there_is_said(folder, path, said):
    """By the key, with what to do."""
    with pytest.raises(SourceError, match=f"source.path=.*{said}"):
        list_videos(Source(path=(str(folder / path),)))


def test_a_folder_without_videos_is_said(tmp_path):
    """With the endings that were looked for."""
    with pytest.raises(SourceError, match=r"no video in it.*mp4, mov"):
        list_videos(Source(path=(str(tmp_path),)))


def source(folder):
    return Source(path=(str(folder),))


def test_any_change_of_a_file_moves_the_digest_of_the_listing(folder):
    """Size, time, name, another file, and an edit that puts size and time back."""
    seen = [list_videos(source(folder)).digest()]
    assert list_videos(source(folder)).digest() == seen[0]
    for change in (
        lambda: os.utime(folder / "b.mp4", (2, 2)),
        lambda: os.utime(folder / "b.mp4", (10**9, 10**9)),
        lambda: (folder / "b.mp4").rename(folder / "b2.mp4"),
        lambda: (folder / "b2.mp4").unlink(),
    ):
        time.sleep(0.02)
        change()
        seen.append(list_videos(source(folder)).digest())
    assert len(set(seen)) == 5


def test_an_edit_under_a_restored_time_is_seen(folder, tmp_path):
    """Of equal size, in the same inode, with the mtime that the file had."""
    memo = Files(tmp_path / "store")
    first = identify(list_videos(source(folder)), memo)
    time.sleep(0.02)
    (folder / "b.mp4").write_text("B.MP4")
    os.utime(folder / "b.mp4", (10**9, 10**9))
    second = identify(list_videos(source(folder)), memo)
    assert second.read == 1
    assert bytes(second.ids[4].item()) == digest.of_bytes(b"B.MP4") != bytes(first.ids[4].item())


def test_a_file_of_the_future_is_known_like_others(folder, tmp_path):
    """A clock that was wrong once costs nothing for ever."""
    memo = Files(tmp_path / "store")
    os.utime(folder / "b.mp4", (10**10, 10**10))
    assert identify(list_videos(source(folder)), memo).settled
    assert identify(list_videos(source(folder)), memo).read == 0


def test_files_are_read_once(folder, tmp_path):
    """Then they are known, until their time or size says otherwise; a renamed file is read again, to the same id."""
    memo = Files(tmp_path / "store")
    first = identify(list_videos(source(folder)), memo)
    assert first.read == 5
    assert bytes(first.ids[4].item()) == digest.of_bytes(b"b.mp4")
    second = identify(list_videos(source(folder)), memo)
    assert second.read == 0
    assert second.ids.tolist() == first.ids.tolist()
    (folder / "b.mp4").write_text("other")
    os.utime(folder / "b.mp4", (10**9 + 1, 10**9 + 1))
    (folder / "A.MOV").rename(folder / "B.MOV")
    third = identify(list_videos(source(folder)), memo)
    assert third.read == 2
    assert bytes(third.ids[4].item()) == digest.of_bytes(b"other")
    assert third.ids[1].item() == first.ids[1].item()


def test_a_young_file_is_not_trusted(folder, tmp_path):
    """It may change once more without its time moving, so it is read again until it is old."""
    memo = Files(tmp_path / "store")
    os.utime(folder / "b.mp4")
    first = identify(list_videos(source(folder)), memo)
    assert (first.read, first.settled) == (5, False)
    second = identify(list_videos(source(folder)), memo)
    assert (second.read, second.settled) == (1, False)
    os.utime(folder / "b.mp4", (10**9, 10**9))
    assert identify(list_videos(source(folder)), memo).settled


def test_a_file_that_was_young_is_known_once_it_is_not(tmp_path):
    """At the end of a build it is read once more, and the next need not; one that changed meanwhile is not known."""
    for name in ("same", "other"):
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    memo, files = Files(tmp_path / "store"), list_videos(source(tmp_path))
    found = identify(files, memo)
    assert not grown(files, found, memo).settled
    time.sleep(2.1)
    look = (tmp_path / "other.mp4").stat()
    (tmp_path / "other.mp4").write_bytes(b"OTHER")
    os.utime(tmp_path / "other.mp4", ns=(look.st_atime_ns, look.st_mtime_ns))
    after = grown(files, found, memo)
    assert [files.uris[row].rpartition("/")[2] for row in after.young] == ["other.mp4"]
    assert identify(list_videos(source(tmp_path)), memo).read == 1


def test_a_file_that_cannot_be_read_has_a_reason(folder, tmp_path):
    """It is named by its row, and the others are known."""
    (folder / "list.txt").write_text("b.mp4\nnowhere.mp4\n")
    files = list_videos(Source(path=(str(folder / "list.txt"),)))
    found = identify(files, Files(tmp_path / "store"))
    assert found.errors == {1: "cannot be read: No such file or directory"}
    assert bytes(found.ids[0].item()) == digest.of_bytes(b"b.mp4")


def test_paths_can_always_be_shown():
    """Bytes that are no UTF-8 are written out; all else stays."""
    assert as_text("/a/ü.mp4") == "/a/ü.mp4"
    assert as_text(os.fsdecode(b"/a/\xff.mp4")) == "/a/\\xff.mp4"
