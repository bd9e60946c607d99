"""Embeddings by a server: those of its model, in whichever form pictures are sent, and in whole builds."""

import numpy as np
import pytest
from embedded import clip_of, with_frames
from project import Project, ran
from serving import served

from vbuild.errors import NoAnswerError, PlaceError, UsageError, kind_of
from vbuild.executor.config import Local
from vbuild.models.server import Server
from vbuild.recipes import recipe
from vbuild.stage import Clip, Window
from vbuild.stages.caption import Caption
from vbuild.stages.clip import CLIP
from vbuild.stages.embed_server import EmbedServer


@pytest.fixture(scope="module")
def server(tiny):
    """One that embeds by a tiny CLIP."""
    with served(tiny("clip")) as found:
        yield found


@pytest.fixture(scope="module")
def rule():
    """One whose vectors are of what is sent alone."""
    with served() as found:
        yield found


def stage_of(server, **changes):
    at = Server(base_url=server.url, **{"backoff": 0.01, "attempts": 2} | changes.pop("at", {}))
    return EmbedServer(**{"served": "tiny", "server": at, "width": 24, "count": 3, "quality": 100} | changes)


def told(said):
    return Clip(duration=1.0, columns={"": {"": said}})


def prepared(stage, films):
    return [stage.prepare(clip_of(path, stage.asks())) for path in films]


@pytest.mark.parametrize("form", ["messages", "together", "items"])
def test_vectors_are_those_of_the_servers_model(server, films, tiny, form):
    """In each form; texts have vectors beside them. Jpegs are all that lies between."""
    server.tell()
    stage = stage_of(server, form=form)
    model, here = stage.load(), CLIP(model=str(tiny("clip")), count=3, device="cpu")
    network = here.load()
    rows = stage.run(prepared(stage, films), model)
    wanted = here.run([clip_of(path, here.asks()) for path in films], network)
    for row, other in zip(rows, wanted, strict=True):
        assert row[""].dtype == np.float32
        assert np.linalg.norm(row[""]) == pytest.approx(1, abs=1e-6)
        assert row[""] @ other[""] > 0.999
    seen = server.seen()
    assert len(seen) == {"messages": 9, "together": 3, "items": 3}[form]
    assert {one["path"] for one in seen} == {"/v1/embeddings"}
    words = ["a red car", "night"]
    assert np.abs(stage.embed_text(words, model) - here.embed_text(words, network)).max() < 1e-5


def test_a_request_is_written_as_the_protocol_has_it(rule, films):
    """Pictures before what the model is told; a length where it is asked for; and nothing else."""
    rule.tell()
    stage = stage_of(rule, form="together", instruction="Represent it.", width=4, shorten=True)
    list(stage.run(prepared(stage, films[:1]), stage.load()))
    (one,) = rule.seen()
    (message,) = one["body"].pop("messages")
    assert one["body"] == {"model": "tiny", "dimensions": 4}
    assert [part["type"] for part in message["content"]] == ["image_url"] * 3 + ["text"]
    assert message["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert message["content"][-1]["text"] == "Represent it."
    rule.tell()
    told_so = {"instruction": "passage: ", "query": "query: {}"}
    stage = stage_of(rule, payload="text", width=8, at={"concurrency": 1}, **told_so)
    model = stage.load()
    list(stage.run([told([Window("a", enhanced="b"), Window(None), Window("c")]), told("d")], model))
    stage.embed_text(["e", "f"], model)
    assert [one["body"] for one in rule.seen()] == [
        {"model": "tiny", "input": ["passage: b", "passage: c"]},
        {"model": "tiny", "input": ["passage: d"]},
        {"model": "tiny", "input": ["query: e", "query: f"]},
    ]


def test_neither_the_batch_nor_what_lacks_matters(server, films):
    """One, three or eight at once, in the order of the clips; None without a frame or a word."""
    server.tell()
    stage = stage_of(server)
    many = prepared(stage, films)
    many += [stage.prepare(with_frames(clip_of(films[0], stage.asks()), n)) for n in (1, 2, 0)]
    model = stage.load()
    alone = [row[""] for clip in many for row in stage.run([clip], model)]
    assert alone[-1] is None
    for batch in (3, 8):
        found = [row[""] for n in range(0, 6, batch) for row in stage.run(many[n : n + batch], model)]
        assert all(np.array_equal(one, other) for one, other in zip(found[:5], alone[:5], strict=True))
    texts = stage_of(server, payload="text")
    rows = texts.run([told(None), told([]), told([Window(None)]), told("dog"), told("")], texts.load())
    assert [row[""] is None for row in rows] == [True, True, True, False, True]


def test_many_texts_are_several_requests(rule):
    """In order, though a server answers in another."""
    rule.tell()
    stage = stage_of(rule, width=8, at={"concurrency": 1})
    model = stage.load()
    words = [f"text {n}" for n in range(70)]
    found = stage.embed_text(words, model)
    assert [len(one["body"]["input"]) for one in rule.seen()] == [64, 6]
    assert np.array_equal(found[[3, 69]], stage.embed_text([words[3], words[69]], model))
    assert stage.embed_text([], model).shape == (0, 8)


def test_what_fails_is_the_clips_or_the_servers(rule, films):
    """A clip of which one picture gets no vector has none; a dead server fails no clip; garbage is no vector."""
    stage = stage_of(rule, width=8, at={"concurrency": 1})
    clips = prepared(stage, films)
    rule.tell("ok", "400", "ok")
    found = list(stage.run(clips, stage.load()))
    assert [kind_of(one) if isinstance(one, Exception) else "vector" for one in found] == ["item", "vector", "vector"]
    rule.tell("429", "500", "ok")
    patient = stage_of(rule, width=8, at={"attempts": 3, "concurrency": 1})
    (row,) = patient.run(clips[:1], patient.load())
    assert row[""].shape == (8,)
    rule.tell("*401")
    assert {type(one) for one in stage.run(clips, stage.load())} == {PlaceError}
    rule.tell("*other")
    assert isinstance(next(iter(stage.run(clips[:1], stage.load()))), NoAnswerError)
    rule.tell("*401")
    with pytest.raises(PlaceError):
        stage.embed_text(["dog"], stage.load())


def test_another_width_is_refused_with_the_right_one(rule, films):
    """It would be so of all clips."""
    rule.tell()
    stage = stage_of(rule, width=7)
    with pytest.raises(UsageError, match="width=7: tiny has vectors of 8 numbers; say so"):
        list(stage.run(prepared(stage, films[:1]), stage.load()))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_build_embeds_clips_and_captions(tmp_path, server, films, workers):
    """Pictures in one column, what was said of them in another; nothing runs twice."""
    server.tell()
    stages = {
        "look": stage_of(server),
        "said": Caption(model=None, served="tiny", server=Server(base_url=server.url)),
        "words": stage_of(server, payload="text", of="said"),
    }
    one = Project(tmp_path, stages)
    one.local = Local(workers=workers)
    for path in films:
        one.put(path.name, path)
    report = one.build()
    assert not report.failures
    assert {name: n for name, n in ran(report).items() if name in stages} == {"look": 3, "said": 3, "words": 3}
    for row in one.rows().values():
        assert np.linalg.norm(row["look"]) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(row["words"]) == pytest.approx(1, abs=1e-6)
    assert ran(one.again()) == {}


def test_what_is_keyed_is_what_is_sent(rule):
    """Where the server is, and how texts are searched for, are in no key; of a text nothing of pictures is."""
    stage = stage_of(rule)
    same = stage_of(rule, at={"concurrency": 2}, query="query: {}", batch=3)
    assert recipe(stage).id == recipe(same).id
    assert recipe(stage).id != recipe(stage_of(rule, form="together")).id
    words = stage_of(rule, payload="text")
    assert recipe(words).id == recipe(stage_of(rule, payload="text", count=5, quality=3, form="together")).id
    assert recipe(words).id != recipe(stage_of(rule, payload="text", instruction="passage: ")).id


@pytest.mark.parametrize("wrong", [{"width": 0}, {"count": 0}, {"fps": -1.0}, {"quality": 101}, {"query": "?"}])
def test_what_cannot_be_asked_is_refused(wrong):
    """By the name of the key."""
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))}="):
        EmbedServer(**wrong)


def test_a_key_that_lacks_is_missed_before_a_build(monkeypatch):
    """By the path of the key."""
    at = Server(base_url="http://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY")
    with pytest.raises(UsageError, match=r"server\.api_key_env=NO_SUCH_KEY"):
        EmbedServer(server=at).check()
