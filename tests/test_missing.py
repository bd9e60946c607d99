"""A source that is out of reach empties no dataset: what is known of its videos is kept, named, and the build fails."""

import shutil
from dataclasses import replace

import made
import pytest
from footage import video
from project import Project, ran

from vbuild.cli.main import main
from vbuild.config import Source
from vbuild.engine import build, plan
from vbuild.errors import SourceError


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Four small videos."""
    folder = tmp_path_factory.mktemp("pool")
    return [video(folder / f"{n}.mp4", seconds=1.0, fps=8, size=(64, 48), seed=n) for n in range(4)]


@pytest.fixture
def project(tmp_path, pool):
    """Two disks with two videos each, built."""
    project = Project(tmp_path, {"tone": made.Tone(), "word": made.Word(of="tone")})
    for n, path in enumerate(pool):
        project.put(f"disk{n // 2}/sub/{n}.mp4", path)
    return project


def disks(project):
    return (str(project.videos / "disk0"), str(project.videos / "disk1"))


def go(project, *paths, **more):
    """A build of some paths, without the short cut."""
    (project.store / "stamps" / f"{project.name}.json").unlink(missing_ok=True)
    return build(replace(project.config(), source=Source(path=paths or (str(project.videos),), **more)))


def unmount(project):
    shutil.rmtree(project.videos / "disk1" / "sub")


def close(project):
    shutil.rmtree(project.videos / "disk1")


@pytest.mark.parametrize("away", [unmount, close])
def test_a_disk_that_is_not_there_keeps_its_clips(project, away):
    """One of two that a source names; empty, or gone. The tables stay as they are, and nothing runs."""
    go(project, *disks(project))
    before = project.tables()
    versions = project.versions()
    away(project)
    report = go(project, *disks(project))
    assert sorted(uri.rpartition("/")[2] for uri in report.away) == ["2.mp4", "3.mp4"]
    assert (report.videos, report.failures, ran(report)) == (4, 0, {})
    assert project.tables() == before
    assert project.versions() == versions
    assert not (project.store / "stamps" / "d.json").exists()


def test_a_disk_below_a_folder_keeps_its_clips(project):
    """The place of a disk that is not mounted is an empty folder in one that is not."""
    go(project)
    before = project.tables()
    unmount(project)
    report = go(project)
    assert list(report.away.values()) == [f"{project.videos}/disk1 is empty"] * 2
    assert project.tables() == before


def test_what_is_gone_from_a_folder_that_is_there_leaves(project):
    """One file of several, and a whole folder of several."""
    go(project)
    (project.videos / "disk0" / "sub" / "0.mp4").unlink()
    assert not go(project).away
    close(project)
    report = go(project)
    assert (report.away, report.videos) == ({}, 1)
    assert len(project.rows("videos")) == 1


def test_drop_says_that_it_is_really_gone(project):
    """Then the clips go; all of them if need be."""
    go(project, *disks(project))
    close(project)
    report = go(project, *disks(project), missing="drop")
    assert (report.away, report.videos, len(project.rows("videos"))) == ({}, 2, 2)
    shutil.rmtree(project.videos)
    report = go(project, *disks(project), missing="drop")
    assert (report.videos, project.rows("videos"), project.rows()) == (0, {}, {})


def test_a_dataset_whose_whole_source_is_away_stays(project):
    """And decisions go on: another condition is taken over what is known."""
    go(project)
    clips = project.rows()
    shutil.rmtree(project.videos)
    assert len(go(project).away) == 4
    assert project.rows() == clips
    project.where = {"none": "tone_mean < 0"}
    assert go(project).kept == 0
    assert len(project.rows()) == len(clips)


def test_what_needs_the_footage_waits_until_it_is_back(project, pool):
    """A new stage runs for what can be read; nothing is a failure of a clip, and the next build does the rest."""
    go(project, *disks(project))
    shutil.move(project.videos / "disk1", project.videos / "elsewhere")
    project.stages["loud"] = made.Tone(gain=2.0)
    changed = replace(project.config(), source=Source(path=disks(project)))
    assert {s.name: s.ran for s in plan(changed).stages if s.ran} == {"loud": 2}
    report = go(project, *disks(project))
    assert (ran(report), report.failures) == ({"loud": 2}, 0)
    assert sum(row["loud_mean"] is None for row in project.rows().values()) == 2
    shutil.move(project.videos / "elsewhere", project.videos / "disk1")
    report = go(project, *disks(project))
    assert (ran(report), report.away) == ({"loud": 2}, {})
    assert not any(row["loud_mean"] is None for row in project.rows().values())


def test_files_of_a_list_that_cannot_be_read_keep_their_clips(project, tmp_path):
    """They keep what the list says of them; a file that never could be read is a failed row, as ever."""
    paths = sorted(project.videos.rglob("*.mp4"))
    text = "path,who\n" + "".join(f"{path},w{n}\n" for n, path in enumerate([*paths, tmp_path / "never.mp4"]))
    (tmp_path / "l.csv").write_text(text)
    go(project, str(tmp_path / "l.csv"))
    before = project.tables()
    paths[1].unlink()
    report = go(project, str(tmp_path / "l.csv"))
    assert list(report.away) == [str(paths[1])]
    assert report.videos_failed == 1
    assert project.tables() == before


def test_a_source_that_was_never_there_is_an_error(project):
    """A path with a slip in it is told, whatever else there is."""
    go(project, disks(project)[0])
    for missing in ("keep", "drop"):
        with pytest.raises(SourceError, match="nowhere: there is no such file or folder"):
            build(
                replace(
                    project.config(),
                    name="other",
                    source=Source(path=(*disks(project), str(project.videos / "nowhere")), missing=missing),
                )
            )


def test_a_video_that_lies_elsewhere_too_is_read_there(project, pool):
    """Of two paths of one content the one that can be reached serves."""
    project.put("disk0/sub/twin.mp4", pool[2])
    go(project, *disks(project))
    close(project)
    project.stages["loud"] = made.Tone(gain=2.0)
    assert ran(go(project, *disks(project)))["loud"] == 3


def test_the_command_names_it_and_fails(project, monkeypatch, capsys):
    """With the path, the reason, and what lets the clips go."""
    words = ["vbuild", "+dataset=folder", f"source.path={project.videos}", f"store={project.store}"]
    words += ["executor.workers=0", "stages.transcode=null", "stages.preview=null"]
    codes = []
    for _ in range(2):
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        codes.append(end.value.code)
        shutil.rmtree(project.videos, ignore_errors=True)
    assert codes == [0, 1]
    said = capsys.readouterr().err
    assert f"vbuild: {project.videos}/disk0/sub/0.mp4 and 3 more videos: out of reach (there is no such file" in said
    assert "source.missing=drop" in said
