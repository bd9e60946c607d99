"""Worker seconds go to the stage that spent them; what all had of a decode is shared."""

import made
import pytest
from project import Project


@pytest.fixture
def report(tmp_path, pool):
    """Three stages over one pass: one that is quick, one that sleeps on its clips, one while it is fed."""
    stages = {"quick": made.Doze(), "slow": made.Doze(seconds=0.1), "fed": made.DozeSink(seconds=0.1)}
    project = Project(tmp_path, stages)
    project.put("2.mp4", pool[2])
    return project.build()


def test_each_stage_is_charged_for_what_it_did(report):
    """Of three clips: 0.3 s of sleep for one, 0.6 s for the other, and none of it for the quick one."""
    seconds = {stage.name: stage.seconds for stage in report.stages}
    assert seconds["slow"] >= 0.3
    assert seconds["fed"] >= 0.6
    assert seconds["quick"] < seconds["slow"] / 2


def test_what_is_charged_is_what_it_took(report):
    """All stages together were charged no more than the build took."""
    assert sum(stage.seconds for stage in report.stages) <= report.seconds
