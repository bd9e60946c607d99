"""A stage reads what another left in a file."""

import pytest
from footage import video
from made import CALLS, Pack, Unpack
from project import Project, ran

from vbuild.executor.config import Local


@pytest.mark.parametrize("workers", [0, 1])
def test_a_blob_comes_as_a_handle_and_its_bytes_are_the_key(tmp_path, workers):
    """In the build's process and in a worker; another level of the same blob's stage is another input."""
    project = Project(tmp_path, {"pack": Pack(), "unpack": Unpack(of="pack")})
    project.local = Local(workers=workers)
    project.put("a.mp4", video(tmp_path / "a.mp4", seconds=2))
    assert ran(project.build())["unpack"] == 2
    rows = project.tables()["clips"].values()
    assert [row["unpack_size"] for row in rows] == [row["pack_bytes"] for row in rows] == [192, 192]
    assert all(0 <= row["unpack_first"] < 256 for row in rows)
    project.stages["pack"] = Pack(level=2)
    assert ran(project.build()) == {"pack": 2, "unpack": 2}
    project.stages["pack"] = Pack()
    before = CALLS["Unpack"]
    assert not ran(project.build())
    assert CALLS["Unpack"] == before
