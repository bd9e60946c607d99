"""Stages that cannot run on this machine are named before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import made
import pytest
from project import Project

from vbuild.errors import UsageError
from vbuild.stages.transcode import Transcode

CHECKS = []


@dataclass(frozen=True, kw_only=True)
class Absent(made.Pack):
    """Packs where its tool is there."""

    writes: ClassVar[Mapping[str, str]] = made.Pack.writes

    def check(self):
        CHECKS.append("checked")
        if len(CHECKS) > 1:
            raise UsageError("tool: it is not installed")


def test_an_encoder_that_is_not_there_stops_a_build_before_its_first_action(tmp_path, pool):
    """A build that would run it ends with one line that names the key and what would do; nothing has run."""
    made.CALLS.clear()
    project = Project(tmp_path, {"tone": made.Tone(), "transcode": Transcode(codec="h264_nvenc")})
    project.put("2.mp4", pool[2])
    try:
        Transcode(codec="h264_nvenc").check()
    except UsageError:
        with pytest.raises(UsageError, match=r"^stages\.transcode\.codec=h264_nvenc: .*libx264.* do$"):
            project.build()
        assert not made.CALLS
    else:
        pytest.skip("this machine has the encoder")


def test_what_has_run_needs_no_tool(tmp_path, pool):
    """A dataset that is up to date checks nothing, and one whose actions are all in the store is built without it."""
    CHECKS.clear()
    project = Project(tmp_path, {"pack": Absent()})
    project.put("2.mp4", pool[2])
    project.build()
    assert CHECKS == ["checked"]
    assert project.build().up_to_date
    assert CHECKS == ["checked"]
    assert project.again().up_to_date
    assert len(CHECKS) == 2
    project.put("3.mp4", pool[3])
    with pytest.raises(UsageError, match=r"^stages\.pack\.tool: it is not installed$"):
        project.build()
