"""What a build keeps outside its store is gone with it, or with the start of the next one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import until

from vbuild.config import Limits
from vbuild.executor.config import Local
from vbuild.executor.folders import MEMORY, NOTES, PARCELS, SEMAPHORES, YOUNG, Folder, sweep
from vbuild.store.blobs import Blobs

HOLD = """
import sys, time
from pathlib import Path
from vbuild.executor.folders import Folder
held = Folder(sys.argv[1], Path(sys.argv[2]))
print(held.path, flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("prefix", [NOTES, PARCELS])
def test_what_a_killed_build_leaves_is_swept(tmp_path, prefix):
    """Not while it lives."""
    held = Folder(prefix, tmp_path)
    words = [sys.executable, "-c", HOLD, prefix, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        path = Path(process.stdout.readline().strip())
        sweep([tmp_path])
        assert path.is_dir()
        process.kill()
    sweep([tmp_path])
    assert list(tmp_path.iterdir()) == [held.path]
    held.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_about_to_be_held_is_left_for_a_while(tmp_path):
    """One that was killed before that is no build's."""
    made = tmp_path / f".{PARCELS}x"
    made.mkdir()
    (made / "alive").touch()
    sweep([tmp_path])
    assert made.exists()
    os.utime(made, (time.time() - 2 * YOUNG,) * 2)
    sweep([tmp_path])
    assert not made.exists()


START = """
import sys, time
from pathlib import Path
from vbuild.config import Limits
from vbuild.executor.config import Local
from vbuild.executor.local import Processes
from vbuild.executor.work import Opening, Task
from vbuild.store.blobs import Blobs
sys.path.append(sys.argv[2])
from made import Gaze
one = Processes(Local(workers=1), Blobs(Path(sys.argv[1])), "b", Limits())
one.submit(0, Opening("r", Gaze()))
one.next()
print(one.notes, one.spool.folder, flush=True)
time.sleep(100)
"""


def test_the_start_of_any_build_takes_away_what_one_left(tmp_path):
    """Of one with models, all of whose processes were killed together, by one that has none: semaphores too."""
    words = [sys.executable, "-c", START, str(tmp_path), str(Path(__file__).parents[1])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        left = [Path(path) for path in process.stdout.readline().split()]
        assert len(left) == 2
        os.killpg(process.pid, signal.SIGKILL)
    left += MEMORY.glob(f"{SEMAPHORES}{process.pid}-*")
    assert len(left) > 2
    assert all(path.exists() for path in left)

    def gone():
        Local(workers=1).start(Blobs(tmp_path), "b", Limits()).close()
        return not any(path.exists() for path in left)

    until(gone)  # whoever else builds here sweeps too
