"""Captions of windows, by models in this process and by a server, in whole builds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import talkers
from films import filmed
from project import Project, ran
from serving import served

from vbuild.config import FailurePolicy
from vbuild.errors import AnswerError, UsageError
from vbuild.executor.config import Local
from vbuild.models.messages import Answer, Sampling
from vbuild.models.server import Server
from vbuild.recipes import recipe
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Sampled, Stretch, Windows
from vbuild.stages.caption import Caption
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode

WINDOWS = Windows(frames=24, remainder=8, min=4)
"""Of films of 56 frames, 7 s: two whole ones, and one of a second."""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return filmed(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def server():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return {name: str(make(tmp_path_factory.mktemp(name))) for name, make in talkers.SEEING.items()}


def project(root, films, stages, workers=0):
    """All of a video is one clip."""
    made = Project(root, stages, split=FixedStride(length=60.0, min=0.5))
    for path in films:
        made.put(path.name, path)
    made.local = Local(workers=workers)
    return made


def local(model, **changes):
    plain = {"dtype": "float32", "device": "cpu", "sampling": Sampling(max_tokens=6), "windows": WINDOWS}
    return Caption(model=model, **plain | {"short_side": 48} | changes)


def remote(server, breaker=8, **changes):
    at = Server(base_url=server.url, backoff=0.01, attempts=2, concurrency=4, breaker=breaker)
    return Caption(model=None, served="tiny", server=at, **{"windows": WINDOWS} | changes)


def captions(one):
    """The rows of the table, by clip and window."""
    rows = sorted(one.rows("captions").values(), key=lambda row: (row["clip_id"], row["window"]))
    return [(row["text"], row["status"], row["start_s"], row["end_s"], row["tokens"]) for row in rows]


@pytest.mark.parametrize("name", sorted(talkers.SEEING))
def test_a_build_with_each_type_of_model(tmp_path, films, tiny, name):
    """Each window has a caption, and the same one whatever the batch and wherever the model runs."""
    found = []
    for n, (workers, batch) in enumerate([(0, 1), (1, 4)]):
        one = project(tmp_path / str(n), films, {"said": local(tiny[name], batch=batch)}, workers)
        report = one.build()
        assert not report.failures
        assert not report.wrong
        assert ran(report)["said"] == 3
        found.append(captions(one))
    assert found[0] == found[1]
    assert [row[2:4] for row in found[0][:3]] == [(0.0, 3.0), (3.0, 6.0), (6.0, 7.0)]
    assert {row[1] for row in found[0]} <= {"success", "truncated"}
    assert len(found[0]) == 9
    assert len({row[0] for row in found[0]}) > 1


def test_a_build_with_a_server_whose_model_sees_what_is_sent(tmp_path, films, tiny):
    """The frames arrive as pictures, and a tiny model at the other end speaks of them."""
    with served(tiny["smolvlm"]) as server:
        one = project(tmp_path, films, {"said": remote(server, sampling=Sampling(max_tokens=5))}, 1)
        report = one.build()
        assert not report.failures
        assert [len([p for p in r["body"]["messages"][0]["content"] if p["type"] == "image_url"])
                for r in server.seen()].count(6) == 6  # fmt: skip
    assert len(captions(one)) == 9
    assert len({row[0] for row in captions(one)}) > 1


def test_windows_that_fail_are_kept_recorded_and_tried_again(tmp_path, films, server):
    """Of one clip one window is refused, one cut short, one blocked; the rest of the build is whole."""
    server.tell("400", "length", "filter", "ok")
    one = project(tmp_path, films, {"said": remote(server, batch=1)})
    report = one.build()
    statuses = [row[1] for row in captions(one)]
    assert {status: statuses.count(status) for status in set(statuses)} == {
        "error": 1, "truncated": 1, "blocked": 1, "success": 6,
    }  # fmt: skip
    assert [row[0] for row in captions(one) if row[1] in ("error", "blocked")] == [None, None]
    assert report.failures == 1
    (failed,) = one.rows("failures").values()
    assert failed["error"] == "RefusedError"
    assert one.again().failures == 1
    again = one.build(failures=FailurePolicy(retry="always"))
    assert ran(again) == {"said": 1}
    assert not again.failures
    assert {row[1] for row in captions(one)} == {"success"}


def test_a_dead_server_stops_the_stage_and_blames_no_clip(tmp_path, films, server):
    """The other stages go on, and the next build asks again."""
    server.tell("*503")
    one = project(tmp_path, films, {"said": remote(server, breaker=2), "quality": Quality()}, 1)
    report = one.build()
    assert not one.rows("failures")
    assert any("said stopped" in line and "503" in line for line in report.wrong)
    assert ran(report)["quality"] == 3
    server.tell()
    assert not one.build().wrong
    assert len(captions(one)) == 9


def test_a_server_and_its_key_are_in_no_key(server, tiny):
    """The model's name there is, and how it is asked; of a model that is loaded here its weights are."""

    def made(stage):
        return recipe(stage).id

    here = remote(server)
    there = replace(here, server=Server(base_url="https://elsewhere/v1", api_key_env="K", concurrency=2), batch=3)
    assert made(here) == made(there) == made(replace(here, dtype="float16"))
    changes = [{}, {"served": "other"}, {"quality": 50}, {"prompt": "av"}, {"sampling": Sampling(max_tokens=9)}]
    assert len({made(replace(here, **change)) for change in changes}) == 5
    loaded = local(tiny["smolvlm"])
    assert made(loaded) == made(replace(loaded, device="cuda", attention="eager", batch=2, quality=50))
    assert made(loaded) != made(replace(loaded, dtype="bfloat16"))
    assert made(loaded) != made(local(tiny["internvl"]))
    spelled = replace(here, prompt="Elaborate on the visual and narrative elements of the video in detail.")
    assert made(here) == made(spelled)


def test_the_clips_own_columns_stand_in_the_prompt(tmp_path, films, server):
    """And a caption is made anew where they change, and where a column is not there the dataset is refused."""
    server.tell()
    prompt = "Its sharpness is {quality_sharpness}, its file {probe_codec}, and {this} is no column. What is seen?"
    with pytest.raises(UsageError, match=r"stages.said: it names the column 'this'"):
        project(tmp_path, films, {"said": remote(server, prompt=prompt), "quality": Quality()}).build()
    prompt = prompt.replace("{this}", "that")
    one = project(tmp_path, films, {"said": remote(server, prompt=prompt), "quality": Quality()})
    one.build()
    texts = {request["body"]["messages"][0]["content"][-1]["text"] for request in server.seen()}
    values = {f"{row['quality_sharpness']:.4g}" for row in one.rows().values()}
    assert texts == {
        f"Its sharpness is {value}, its file h264, and that is no column. What is seen?" for value in values
    }
    one.stages["quality"] = Quality(short_side=24)
    assert ran(one.build()) == {"quality": 3, "said": 3}


def test_structured_captions_become_columns(tmp_path, films, server):
    """Each key is one, with what was said of all windows; an answer that is no JSON is a window that failed."""
    server.tell("say none of it", 'say {"caption": "A car.", "mood": "calm"\n"camera": "still"}')
    stage = remote(server, structure={"mood": "one word", "camera": "how it moves"}, batch=1)
    one = project(tmp_path, films[:1], {"said": stage})
    report = one.build()
    assert report.failures == 1
    (row,) = one.rows().values()
    assert (row["said_mood"], row["said_camera"]) == ("calm\nsome mood", "still\nsome camera")
    assert row["said"] == "A car.\nsome caption"
    assert [found[1] for found in captions(one)] == ["error", "success", "success"]
    body = server.seen()[0]["body"]
    assert "- mood: one word" in body["messages"][0]["content"][-1]["text"]
    wanted = body["response_format"]["json_schema"]["schema"]
    assert list(wanted["properties"]) == wanted["required"] == ["caption", "mood", "camera"]


def test_the_file_of_a_clip_is_sent_where_that_is_asked_for(tmp_path, films, server):
    """One request a clip, with the file that another stage wrote."""
    server.tell()
    stage = remote(server, payload="clip", windows=Windows(frames=None), of="media")
    one = project(tmp_path, films, {"said": stage, "media": Transcode()}, 1)
    report = one.build()
    assert not report.failures
    assert not report.wrong
    assert sorted(text[:21] for text, *_ in captions(one)) == ["0 pictures, 1 videos,"] * 3
    urls = [request["body"]["messages"][0]["content"][0]["video_url"]["url"] for request in server.seen()]
    assert all(url.startswith("data:video/mp4;base64,") for url in urls)
    assert [row[2:4] for row in captions(one)] == [(0.0, 7.0)] * 3


class Saying:
    """A model that says what it is told, and keeps what it was asked."""

    def __init__(self, *rounds):
        self.rounds, self.asked = list(rounds), []

    def answers(self, prompts, sampling):
        self.asked.append([prompt.text for prompt in prompts])
        return self.rounds.pop(0)


def windows(count):
    pixels, times = np.zeros((4, 48, 64, 3), np.uint8), np.arange(4) / 2
    stretches = [Stretch(n, n * 3.0, n * 3.0 + 3.0) for n in range(count)]
    return [Clip(duration=9.0, frames=Sampled(pixels, w.start + times), window=w) for w in stretches]


def test_a_second_look_is_at_what_was_said_first():
    """Of windows of which something was said; what counts is the second answer, with the tokens of both."""
    model = Saying(
        [Answer("A car.", "success", 3), Answer("", "blocked", 1), AnswerError("no")],
        [Answer("A red car.", "truncated", 4)],
    )
    stage = local("org/none", refine="default")
    red, blocked, failed = stage.run(windows(3), model)
    assert model.asked[1][0].startswith("This was said of the video: A car.\n")
    assert (red[""].text, red[""].status, red[""].tokens) == ("A red car.", "truncated", 7)
    assert (blocked[""].text, blocked[""].status) == (None, "blocked")
    assert isinstance(failed, AnswerError)
    joined = stage.join({"windows": [w.window for w in windows(3)]}, [red, blocked, None])
    assert [(w.text, w.status, w.start) for w in joined[""]] == [
        ("A red car.", "truncated", 0.0), (None, "blocked", 3.0), (None, "error", 6.0),
    ]  # fmt: skip


def test_times_are_from_the_windows_start(tiny):
    """A model is told when a frame is by the video that it sees."""
    seen = []

    class Looking(Saying):
        def answers(self, prompts, sampling):
            seen.extend(prompt.video for prompt in prompts)
            return [Answer("yes")] * len(prompts)

    list(local("org/none").run(windows(2), Looking()))
    assert [video.times.tolist() for video in seen] == [[0.0, 0.5, 1.0, 1.5]] * 2
    assert [video.duration for video in seen] == [3.0, 3.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "give either model"),
        ({"served": "x"}, "give either model"),
        ({"model": None, "served": "x"}, "needs a server"),
        ({"prompt": "defualt"}, "none of default, av, av-surveillance"),
        ({"refine": "look once more"}, r"no \{caption\}"),
        ({"size": (8, 8)}, "either size or short_side"),
        ({"payload": "clip"}, "it is for a server"),
        ({"structure": {"caption": "all"}}, "structure.caption"),
        ({"fps": 0}, "fps=0"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    """In one line, by the name of the key."""
    with pytest.raises(UsageError, match=said):
        Caption(**{"model": "a/b"} | changes)


def test_the_table_reads_as_json(tmp_path, films, server):
    """What a server says is kept as it is, signs and all."""
    server.tell('say "Ünï" \u2014 a \U0001f697')
    one = project(tmp_path, films[:1], {"said": remote(server, batch=1)})
    one.build()
    assert json.loads(json.dumps(captions(one)[0][0])) == '"Ünï" \u2014 a \U0001f697'


def test_another_server_is_asked_where_the_last_one_is_gone(tmp_path, films, server):
    """In one process too: where a server is is in no key, and all the same it is not the old one that is asked."""
    with served() as gone:
        gone.tell()
        assert not project(tmp_path / "a", films[:1], {"said": remote(gone)}).build().wrong
    server.tell()
    assert not project(tmp_path / "b", films[:1], {"said": remote(server)}).build().wrong
