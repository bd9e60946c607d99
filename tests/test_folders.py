"""A folder's videos come in the order of their paths, however they lie, each as it looks."""

from pathlib import Path

import pytest

from vbuild.config import Source
from vbuild.source import list_videos

TREE = (
    "b.mp4", "b/z.mp4", "b/a.MP4", "b-c.mp4", "b0.mp4", "b/b/c.mp4", "a/._x.mp4", "a/x.mp4", "é.mkv", "d.mp4/e.mp4",
    "mixed/notes.txt", "mixed/1.mp4", "mixed/1/2.mp4", "mixed/.hidden/3.mp4",
)  # fmt: skip
SEEN = {name for name in TREE if "._" not in name and ".hidden" not in name and not name.endswith("txt")}


@pytest.fixture
def tree(tmp_path):
    for number, name in enumerate(TREE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number)
    return tmp_path


def listing(*paths, **more):
    return list_videos(Source(path=tuple(map(str, paths)), **more))


def test_videos_come_in_the_order_of_their_paths(tree):
    assert listing(tree).uris == sorted(str(tree / name) for name in SEEN)


def test_each_stands_beside_what_it_looks_like(tree):
    files = listing(tree)
    for row, uri in enumerate(files.uris):
        at = Path(uri).stat()
        assert files.seen(row) == (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def test_more_files_than_are_looked_at_at_once_keep_what_they_look_like(tmp_path):
    for number in range(600):
        (tmp_path / f"{number:04d}.mp4").write_bytes(b"x" * number)
    assert list(listing(tmp_path).sizes) == list(range(600))


def test_folders_that_lie_in_one_another_are_listed_once(tree):
    one, two = listing(tree), listing(tree / "b", tree)
    assert (one.uris, one.digest()) == (two.uris, two.digest())


def test_folders_beside_one_another_come_in_order_too(tree):
    assert listing(tree / "mixed", tree / "a").uris == sorted(
        [*listing(tree / "a").uris, *listing(tree / "mixed").uris]
    )


def test_the_limit_takes_the_first_paths(tree):
    assert listing(tree, limit=3).uris == listing(tree).uris[:3]


def test_a_link_is_what_it_leads_to_and_a_dead_one_is_told(tree):
    (tree / "a" / "link.mp4").symlink_to(tree / "b0.mp4")
    (tree / "a" / "dead.mp4").symlink_to(tree / "nowhere.mp4")
    files = listing(tree / "a")
    assert [Path(uri).name for uri in files.uris] == ["link.mp4", "x.mp4"]
    assert files.seen(0).mark == (tree / "b0.mp4").stat().st_ino
    assert files.left_out == {str(tree / "a" / "dead.mp4"): "a link that leads nowhere"}


def test_an_ending_that_ends_with_another_counts_a_file_once(tree):
    (tree / "a" / "y.x.mp4").write_bytes(b"")
    (tree / "a" / "z.txt").write_bytes(b"")
    files = listing(tree / "a", extensions=("mp4", "x.mp4"))
    assert [Path(uri).name for uri in files.uris] == ["x.mp4", "y.x.mp4"]


def test_a_change_of_any_file_changes_the_digest(tree):
    before = listing(tree).digest()
    assert listing(tree).digest() == before
    (tree / "b" / "z.mp4").write_bytes(b"other")
    changed = listing(tree).digest()
    (tree / "b0.mp4").rename(tree / "b1.mp4")
    assert len({before, changed, listing(tree).digest()}) == 3
