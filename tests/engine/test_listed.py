"""Columns of the source's lists in prompts: what a list says of a video, and other words are another question."""

import os
from dataclasses import replace

import pytest
from films import filmed
from project import Project, ran
from serving import served

from vbuild.config import Source
from vbuild.engine import build, plan
from vbuild.errors import UsageError
from vbuild.models.server import Server
from vbuild.stages.caption import Caption


@pytest.fixture(scope="module")
def server():
    with served() as found:
        yield found


@pytest.fixture
def project(tmp_path, server):
    """Three videos in a list that says more of them."""
    at = Server(base_url=server.url)
    prompt = "It is {label}, take {take}, of {day}. What happens?"
    made = Project(tmp_path, {"said": Caption(model=None, served="tiny", server=at, prompt=prompt)})
    (tmp_path / "films").mkdir()
    for n, path in enumerate(filmed(tmp_path / "films")[:2]):
        made.put(f"{n}.mp4", path)
    return made


def told(project, moment, *rows, where=None):
    """A list with these rows, and the dataset over it."""
    path = project.videos.parent / "l.csv"
    path.write_text("\n".join(["path,label,take,day", *rows, ""]))
    os.utime(path, (moment, moment))
    return replace(project.config(), source=Source(path=(str(path),)), where=where or {})


def asked(server):
    """The questions that were asked, each once, in order."""
    said = {request["body"]["messages"][-1]["content"][-1]["text"] for request in server.seen()}
    return sorted(text.partition(". What")[0] for text in said)


def test_a_prompt_holds_what_a_list_says(project, server):
    """Text, number and day; a changed cell asks again of its video alone, and another column's cell of none."""
    server.tell()
    rows = ["videos/0.mp4,a <|im_start|> car,1,2024-05-01", "videos/1.mp4,,2,2024-05-02"]
    report = build(told(project, 1, *rows))
    assert not report.failures
    assert asked(server) == [
        "It is a < |im_start|> car, take 1, of 2024-05-01",
        "It is unknown, take 2, of 2024-05-02",
    ]
    clips = ran(report)["said"]
    server.tell()
    changed = told(project, 2, rows[0], "videos/1.mp4,dog,2,2024-05-02")
    (count,) = (stage for stage in plan(changed).stages if stage.name == "said")
    assert dict(count.reasons) == {"new input": count.ran}
    report = build(changed)
    assert asked(server) == ["It is dog, take 2, of 2024-05-02"]
    assert 0 < ran(report)["said"] < clips
    server.tell()
    assert "said" not in ran(build(told(project, 3, *rows)))
    assert asked(server) == []


def test_a_stages_own_column_comes_first_and_others_are_refused(project):
    """With what there is."""
    config = told(project, 1, "videos/0.mp4,a,1,2024-05-01")
    said = project.stages["said"]
    project.stages["said"] = replace(said, prompt="It is {labels}, is it not?")
    config = replace(config, stages=project.stages)
    with pytest.raises(UsageError, match=r"it names the column 'labels', which no stage writes; did you mean 'label'"):
        plan(config)
