"""Captions written anew, by a model in this process and by a server, in whole builds."""

import pytest
import talkers
from films import filmed
from project import Project, ran
from serving import served

from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.models.messages import Sampling
from vbuild.models.server import Server
from vbuild.recipes import recipe
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Window, Windows
from vbuild.stages.caption import Caption
from vbuild.stages.enhance import Enhance


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return filmed(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def server():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return str(talkers.qwen2(tmp_path_factory.mktemp("qwen2")))


def project(root, films, server, enhance, workers=0):
    """All of a video is one clip of three windows, captioned by a server."""
    at = Server(base_url=server.url, backoff=0.01, attempts=1)
    said = Caption(model=None, served="tiny", server=at, windows=Windows(frames=24, remainder=8, min=4), batch=1)
    made = Project(root, {"said": said, "more": enhance}, split=FixedStride(length=60.0, min=0.5))
    for path in films:
        made.put(path.name, path)
    made.local = Local(workers=workers)
    return made


def local(writer, **changes):
    return Enhance(model=writer, of="said", dtype="float32", device="cpu", sampling=Sampling(max_tokens=5), **changes)


def remote(server, **changes):
    return Enhance(model=None, served="writer", server=Server(base_url=server.url, attempts=1), of="said", **changes)


def rows(one):
    """The windows of the enhanced captions, in order."""
    found = [row for row in one.rows("captions").values() if row["captioner"] == "more"]
    return sorted(found, key=lambda row: (row["clip_id"], row["window"]))


def test_a_model_in_this_machine_enhances_each_window(tmp_path, films, server, writer):
    """The same whatever the batch and wherever it runs; the first text stays beside it."""
    server.tell()
    found = []
    for n, (workers, batch) in enumerate([(0, 1), (1, 3)]):
        one = project(tmp_path / str(n), films, server, local(writer, batch=batch), workers)
        report = one.build()
        assert not report.failures
        assert ran(report)["more"] == 3
        found.append([(row["text"], row["enhanced"]) for row in rows(one)])
    assert found[0] == found[1]
    assert len(found[0]) == 9
    assert all(text.startswith(("6 pictures", "2 pictures")) for text, _ in found[0])
    assert all(enhanced for _, enhanced in found[0])


def test_a_server_enhances_and_the_clip_shows_that(tmp_path, films, server):
    """What was said first is the question, and the rules stand before it."""
    server.tell()
    one = project(tmp_path, films[:1], server, remote(server, prompt="av-surveillance"))
    one.build()
    asked = [request["body"]["messages"] for request in server.seen() if request["body"]["model"] == "writer"]
    assert [message["role"] for message in asked[0]] == ["system", "user"]
    assert "watches a road" in asked[0][0]["content"]
    assert sorted(messages[1]["content"] for messages in asked) == sorted(row["text"] for row in rows(one))
    (row,) = one.rows().values()
    assert row["more"] == "\n".join(found["enhanced"] for found in rows(one))


def test_a_caption_that_is_refused_stays_as_it_is(tmp_path, films, server):
    """A server that will not say it fails no clip."""
    server.tell("ok", "ok", "ok", "filter", "ok")
    one = project(tmp_path, films[:1], server, remote(server))
    assert not one.build().failures
    enhanced = [row["enhanced"] for row in rows(one)]
    assert sum(text is None for text in enhanced) == 1
    assert [row["text"] for row in rows(one)].count(None) == 0


def test_windows_of_which_nothing_was_said_are_not_asked_about():
    """They stay as they are."""

    class Silent:
        def answers(self, prompts, sampling):
            raise AssertionError("nothing is to be asked")

    window = Window(None, 0.0, 3.0, status="error")
    stage = Enhance(model="a/b", of="said")
    assert list(stage.run([Clip(duration=3.0, columns={"": {"": [window]}})], Silent())) == [{"": [window]}]


def test_what_is_keyed_is_what_is_asked(writer):
    """Where it runs is in no key; the prompt and how words are chosen are."""
    here = local(writer)
    same = local(writer, batch=3, attention="eager")
    assert recipe(here).id == recipe(same).id
    assert recipe(here).id != recipe(local(writer, prompt="Make it a poem.")).id


def test_a_prompt_that_is_none_is_refused():
    """By the names that there are."""
    with pytest.raises(UsageError, match="none of default, av-surveillance"):
        Enhance(model="a/b", of="said", prompt="richer")
