"""A clip goes through a model window by window, and has a row though some of them failed."""

from pathlib import Path

import pytest
from films import DARK
from made import Telling, Tone
from project import Project, ran

from vbuild.config import FailurePolicy
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride
from vbuild.windows import Windows


def project(root, films, stage, workers=0, hosts=1):
    """Three videos, of each of which all is one clip."""
    made = Project(root, {"tone": Tone(), "told": stage}, split=FixedStride(length=60.0, min=0.5))
    for path in films:
        made.put(path.name, path)
    made.local = Local(workers=workers, hosts=hosts)
    return made


def statuses(project):
    """Per video, the status of each window of its clip."""
    clips, found = project.rows(), {}
    for row in sorted(project.rows("captions").values(), key=lambda row: row["window"]):
        found.setdefault(Path(clips[row["clip_id"]]["uri"]).stem, []).append(row["status"])
    return found


DARKENED = ["error" if second in DARK else "success" for second in range(7)]


def test_the_same_comes_of_any_number_of_processes_and_any_batch(tmp_path, films):
    """Each window has the frames in it, in this process and in others, alone and together."""
    found = []
    for n, (workers, hosts, batch) in enumerate([(0, 1, 16), (0, 1, 1), (1, 1, 2), (2, 2, 4)]):
        one = project(tmp_path / str(n), films, Telling(batch=batch), workers, hosts)
        assert ran(one.build())["told"] == 3
        assert [row["told_shown"] for row in one.rows().values()] == [[4] * 7] * 3
        assert set(statuses(one)) == {"0", "1", "2"}
        found.append([row["text"] for _, row in sorted(one.rows("captions").items())])
    assert all(texts == found[0] for texts in found)


def test_windows_of_all_videos_make_a_batch(tmp_path, films):
    """One clip's windows do not wait for its end, nor go through the model by themselves."""
    log = tmp_path / "log"
    one = project(tmp_path, films, Telling(batch=21, log=str(log)), workers=1)
    one.build()
    assert sum(len(eval(line)) for line in log.read_text().splitlines()) == 21


def test_a_clip_without_a_window_has_a_row(tmp_path, films):
    """It is too short for one, and that is no failure."""
    one = project(tmp_path, films, Telling(windows=Windows(min=1000)), workers=1)
    report = one.build()
    assert not report.failures
    assert [row["told_shown"] for row in one.rows().values()] == [[]] * 3


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("how", ["gives", "raises"])
def test_a_window_that_fails_leaves_the_others(tmp_path, films, workers, how):
    """The clip has a row; the failure is recorded beside it, counts, and is not tried again without a reason."""
    one = project(tmp_path, films, Telling(how=how), workers)
    report = one.build()
    assert statuses(one) == {"0": DARKENED, "1": ["success"] * 7, "2": ["success"] * 7}
    assert report.failures == 1
    assert {row["message"] for row in one.rows("failures").values()} == {"ValueError: too dark"}
    assert [row["error"] for row in one.rows().values() if row["error"]] == ["told: ValueError: too dark"]
    again = one.again()
    assert not ran(again)
    assert again.failures == 1


def test_a_window_that_failed_is_tried_again_under_the_policy(tmp_path, films):
    """Then the clip's row is the new one, and the failure is gone; until it is, the old one stays."""
    one = project(tmp_path, films, Telling(how="raises"), workers=1)
    one.build()
    one.stages["told"] = Telling(how="place")
    report = one.build(failures=FailurePolicy(retry="always"))
    assert any("the server is gone" in line for line in report.wrong)
    assert statuses(one)["0"] == DARKENED
    one.stages["told"] = Telling()
    report = one.build(failures=FailurePolicy(retry="always"))
    assert ran(report) == {"told": 1}
    assert statuses(one)["0"] == ["success"] * 7
    assert report.failures == 0
    assert not one.rows("failures")


def test_what_may_pass_is_tried_at_once(tmp_path, films):
    """A window that fails so is asked for as often as any action, and then left."""
    log = tmp_path / "log"
    one = project(tmp_path, films, Telling(how="passing", log=str(log), batch=1), workers=1)
    one.build(failures=FailurePolicy(attempts=2, backoff=0.01))
    assert sum(len(eval(line)) for line in log.read_text().splitlines()) == 28
    assert statuses(one)["0"] == DARKENED
    (failed,) = one.rows("failures").values()
    assert failed["attempts"] == 2


def test_a_window_that_kills_the_model_leaves_the_others(tmp_path, films):
    """It alone is to blame."""
    one = project(tmp_path, films, Telling(how="deadly"), workers=1)
    one.build()
    assert statuses(one) == {"0": DARKENED, "1": ["success"] * 7, "2": ["success"] * 7}
    assert len(one.rows("failures")) == 1
