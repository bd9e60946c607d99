"""A store that is only read: what it has is used, copied in, and checked."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import lance
import pytest
from footage import video
from made import Pack, Tone, Word
from project import Project, hits, ran

from vbuild.errors import UsageError
from vbuild.stages.preview import Preview
from vbuild.store.remote_cache import remote_cache


@pytest.fixture
def shared(tmp_path) -> Project:
    """A dataset that was built in a store."""
    made = Project(tmp_path / "shared", {"tone": Tone(), "word": Word(of="tone"), "pack": Pack()})
    made.put("a.mp4", video(tmp_path / "a.mp4", fps=4, gop=4, size=(64, 48)))
    made.build()
    return made


@pytest.fixture
def own(shared, tmp_path) -> Project:
    """The same dataset in a store of one's own, where nothing is built."""
    return Project(tmp_path / "own", shared.stages, videos=shared.videos)


def state(folder: Path) -> list:
    return sorted((str(p), p.stat().st_mtime_ns) for p in folder.rglob("*"))


@pytest.mark.parametrize("url", ["{}", "file://{}"])
def test_what_the_remote_cache_has_is_not_run_but_copied(shared, own, url):
    """Rows and blobs are there afterwards, the dataset is equal, and the remote cache is not touched."""
    before = state(shared.store)
    report = own.build(upstream=url.format(shared.store))
    assert ran(report) == {}
    assert {s.name: s.fetched for s in report.stages} == {"probe": 1, "split": 1, "tone": 2, "word": 2, "pack": 2}
    assert own.tables() == shared.tables()
    assert own.blobs() == shared.blobs()
    assert state(shared.store) == before
    assert ran(own.again()) == {}


def test_a_plan_counts_what_the_remote_cache_has(shared, own):
    """As hits; blobs are not copied for it."""
    report = own.plan(upstream=str(shared.store))
    assert ran(report) == {}
    assert hits(report) == {"probe": 1, "split": 1, "tone": 2, "word": 2, "pack": 2}
    assert own.blobs() == {}
    assert ran(own.build(upstream=str(shared.store))) == {}
    assert own.blobs() == shared.blobs()


def test_lists_of_blobs_are_copied_too(shared, own):
    """A stage may write several files for a clip."""
    shared.stages["preview"] = own.stages["preview"] = Preview(level=1)
    shared.build()
    assert ran(own.build(upstream=str(shared.store))) == {}
    assert own.blobs() == shared.blobs()


def test_what_the_remote_cache_does_not_have_runs(shared, own):
    """A parameter that nobody built with."""
    own.stages["pack"] = dataclasses.replace(own.stages["pack"], level=2)
    assert ran(own.build(upstream=str(shared.store))) == {"pack": 2}


def test_a_damaged_blob_of_the_remote_cache_is_not_taken(shared, own):
    """Its digest tells, and the action runs."""
    victim = next(path for path in sorted((shared.store / "blobs").glob("??/*")))
    data = bytearray(victim.read_bytes())
    data[0] ^= 1
    victim.write_bytes(data)
    assert ran(own.build(upstream=str(shared.store))) == {"pack": 1}
    assert own.blobs()[str(victim.relative_to(shared.store / "blobs"))] != bytes(data)


def test_a_file_that_is_no_blob_of_the_remote_cache_is_not_taken(shared, own):
    """A row that names one would name a file outside of the own blobs; the action runs."""
    victim = next(path for path in sorted((shared.store / "blobs").glob("??/*")))
    (shared.store / "outside.bin").write_bytes(victim.read_bytes())
    (path,) = (shared.store / "actions").glob("*Pack/*.lance")
    uri = str(victim.relative_to(shared.store / "blobs"))
    lance.dataset(str(path)).update({"value_uri": "'../outside.bin'"}, where=f"value_uri = '{uri}'")
    assert ran(own.build(upstream=str(shared.store))) == {"pack": 1}
    assert own.blobs() == shared.blobs()


def test_places_that_are_no_store_are_refused():
    """With what is wrong and what can be given."""
    with pytest.raises(UsageError, match=r"https:// cannot be read.*s3://"):
        remote_cache("https://example.org/cache")
    with pytest.raises(UsageError, match="there is no store"):
        remote_cache("/nowhere/at/all")


def test_files_of_a_store_have_the_rights_that_the_umask_leaves(shared, tmp_path):
    """So that a group can share a store: under umask 002 every file and folder may be written by the group."""
    code = (
        "import os, sys; os.umask(0o002); sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path; from project import Project; from made import Pack, Tone\n"
        "made = Project(Path(sys.argv[2]), {'tone': Tone(), 'pack': Pack()}, videos=Path(sys.argv[3])); made.build()"
    )
    folder = tmp_path / "group"
    tests = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, tests, str(folder), str(shared.videos)], check=True)
    assert [str(p) for p in (folder / "store").rglob("*") if not p.stat().st_mode & 0o020] == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be two users")
def test_two_users_of_a_group_share_a_store(shared, tmp_path):
    """One builds what the other has, then changes it, and both go on."""
    group, folder = 4321, tmp_path / "group"
    folder.mkdir()
    os.chown(folder, 0, group)
    folder.chmod(0o2775)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)
    # The modules are loaded, by a build, before the user changes: root's Python may be closed to others.
    code = (
        "import os, sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path; from project import Project, ran; from made import Pack, Tone\n"
        "stages = {'tone': Tone(gain=float(sys.argv[5])), 'pack': Pack()}\n"
        "where = dict(videos=Path(sys.argv[3]), name=sys.argv[4])\n"
        "warm = Project(Path(sys.argv[7]), stages, **where); warm.build(); warm.again()\n"
        "made = Project(Path(sys.argv[2]), stages, **where)\n"
        f"os.umask(0o002); os.setgroups([{group}]); os.setgid({group}); os.setuid(int(sys.argv[6]))\n"
        "print(ran(made.again()))"
    )
    tests, warm = str(Path(__file__).parents[1]), (str(tmp_path / f"warm{n}") for n in range(9))

    def build(user: int, name: str, gain: float) -> str:
        arguments = [tests, str(folder), str(shared.videos), name, str(gain), str(user), next(warm)]
        done = subprocess.run([sys.executable, "-c", code, *arguments], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert build(5001, "one", 1.0) == "{'probe': 1, 'split': 1, 'tone': 2, 'pack': 2}"
    assert build(5002, "two", 1.0) == "{}"
    assert build(5002, "one", 2.0) == "{'tone': 2}"
    assert build(5001, "two", 2.0) == "{}"
