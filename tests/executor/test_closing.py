"""An executor can be closed at any time, as a person's Ctrl-C does."""

from vbuild.config import Limits
from vbuild.executor.local import Processes
from vbuild.executor.work import Work
from vbuild.store.blobs import Blobs


def test_workers_end_without_a_word_though_works_wait(tmp_path):
    """Works that were handed over a moment before do not trip the threads that look after the workers."""
    for _ in range(4):
        processes = Processes(1, Blobs(tmp_path), "b", Limits())
        processes.submit(0, Work("u", 0, (), ()))
        assert processes.next()[0] == 0
        for ticket in (1, 2):
            processes.submit(ticket, Work("u", 0, (), ()))
        processes.close()
