"""Questions about clips, answered with probabilities by models in this process and by a server."""

import numpy as np
import pytest
import talkers
import yaml
from films import filmed
from project import Project, ran
from serving import served

from vbuild.declared import CONF
from vbuild.errors import AnswerError, UsageError
from vbuild.executor.config import Local
from vbuild.models.messages import Answer, Sampling
from vbuild.models.server import Server
from vbuild.recipes import recipe
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Sampled, Stretch, Windows
from vbuild.stages.ask import Ask

QUESTIONS = {"people": "Are there people?", "light": "What is the light?"}
CHOICES = {"light": ("day", "night", "inside a room")}
COLUMNS = ["people", "light_day", "light_night", "light_inside_a_room"]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return filmed(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def server():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return {name: str(talkers.SEEING[name](tmp_path_factory.mktemp(name))) for name in ("qwen2_5_vl", "smolvlm")}


def project(root, films, stage, workers=0):
    """All of a video is one clip of three windows."""
    made = Project(root, {"ask": stage}, split=FixedStride(length=60.0, min=0.5))
    for path in films:
        made.put(path.name, path)
    made.local = Local(workers=workers)
    return made


def asking(**changes):
    plain = {"questions": QUESTIONS, "choices": CHOICES, "windows": Windows(frames=24, remainder=8, min=4)}
    return Ask(**plain | changes)


def remote(server, **changes):
    at = Server(base_url=server.url, backoff=0.01, attempts=1)
    return asking(model=None, served="tiny", server=at, **changes)


def values(one):
    rows = one.rows()
    return {key: [rows[key][f"ask_{column}"] for column in COLUMNS] for key in sorted(rows)}


@pytest.mark.parametrize("name", ["qwen2_5_vl", "smolvlm"])
def test_a_model_here_says_how_likely_each_answer_is(tmp_path, films, tiny, name):
    """Those of a choice come to 1; the same whatever the batch and wherever it runs, to rounding."""
    found = []
    for n, (workers, batch) in enumerate([(0, 1), (1, 4)]):
        stage = asking(model=tiny[name], dtype="float32", device="cpu", short_side=48, batch=batch)
        one = project(tmp_path / str(n), films, stage, workers)
        report = one.build()
        assert not report.failures
        assert ran(report)["ask"] == 3
        found.append(np.array(list(values(one).values())))
    assert np.abs(found[0] - found[1]).max() < 1e-5
    assert np.abs(found[0][:, 1:].sum(1) - 1).max() < 1e-5
    assert ((found[0] > 0) & (found[0] < 1)).all()
    assert len(np.unique(found[0][:, 0])) > 1


def test_a_server_is_asked_all_at_once_and_its_windows_vote(tmp_path, films, server):
    """The share of windows that say so; what it may answer stands in the request."""
    server.tell(
        'say {"people": "Yes", "light": "day"}',
        'say Here it is: {"people": "no", "light": "Inside a room"}',
        'say {"people": "yes"\n"light": "day",}',
    )
    one = project(tmp_path, films[:1], remote(server, batch=1))
    report = one.build()
    assert not report.failures
    (found,) = values(one).values()
    assert found == pytest.approx([2 / 3, 2 / 3, 0.0, 1 / 3])
    body = server.seen()[0]["body"]
    assert len(server.seen()) == 3
    assert "- light: What is the light? (day | night | inside a room)" in body["messages"][0]["content"][-1]["text"]
    form = body["response_format"]["json_schema"]["schema"]["properties"]
    assert form["people"]["enum"] == ["yes", "no"]


def test_a_window_without_an_answer_has_no_vote(tmp_path, films, server):
    """It is recorded, and the others count; without any the clip has no value."""
    server.tell("say perhaps", "filter", '*say {"people": "no", "light": "night"}')
    one = project(tmp_path, films[:1], remote(server, batch=1))
    assert one.build().failures == 1
    assert list(values(one).values()) == [[0.0, 0.0, 1.0, 0.0]]
    server.tell('*say {"people": "perhaps", "light": "night"}')
    other = project(tmp_path / "none", films[:1], remote(server, batch=1))
    assert other.build().failures == 1
    assert list(values(other).values()) == [[None] * 4]
    (failed,) = other.rows("failures").values()
    assert "none of yes, no for people" in failed["message"]


class Weighing:
    """A model whose first answer is twice as likely as all others together."""

    def odds(self, videos, questions):
        self.asked = [(one.text, one.answers) for one in questions]
        rests = [1 / 3 / (len(one.answers) - 1) for one in questions]
        return [
            np.array([[2 / 3, *[rest] * (len(one.answers) - 1)]] * len(videos))
            for one, rest in zip(questions, rests, strict=True)
        ]


def test_what_a_model_here_is_asked():
    """Each question by itself, with the answers that are allowed and the ways in which they may be written."""
    window = Stretch(0, 0.0, 3.0)
    clip = Clip(duration=3.0, frames=Sampled(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2.0)), window=window)
    model, stage = Weighing(), asking()
    (row,) = stage.run([clip], model)
    assert row == pytest.approx(dict(zip(COLUMNS, [2 / 3, 2 / 3, 1 / 6, 1 / 6], strict=True)))
    (people, yes), (light, letters) = model.asked
    assert people == "Are there people?\nAnswer with one word, yes or no."
    assert [answers[0] for answers in yes] == ["Yes", "No"]
    assert light.splitlines()[1:] == ["A. day", "B. night", "C. inside a room", "Answer with one letter."]
    assert [answers[0] for answers in letters] == ["A", "B", "C"]
    joined = stage.join({}, [row, None, dict.fromkeys(COLUMNS, 0.0)])
    assert joined["people"] == pytest.approx(1 / 3)


def test_an_answer_that_is_refused_is_none():
    """A server that blocks has said neither yes nor no."""

    class Blocked:
        def answers(self, prompts, sampling):
            return [Answer("", "blocked")] * len(prompts)

    stage = asking(model=None, served="a", server=Server(base_url="http://127.0.0.1:1/v1"))
    clip = Clip(duration=3.0, frames=Sampled(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2.0)),
                window=Stretch(0, 0.0, 3.0))  # fmt: skip
    (row,) = stage.run([stage.prepare(clip)], Blocked())
    assert isinstance(row, AnswerError)


def test_what_is_asked_is_in_the_key():
    """Other words or answers are other results; where it runs is not."""
    here = asking(model=None, served="a", server=Server(base_url="http://127.0.0.1:1/v1"))
    there = asking(model=None, served="a", server=Server(base_url="http://127.0.0.1:2/v1"), batch=2)
    assert recipe(here).id == recipe(there).id
    changes = [{"questions": QUESTIONS | {"people": "Is anybody there?"}}, {"choices": {}}]
    changes.append({"sampling": Sampling(max_tokens=9)})
    others = [asking(model=None, served="a", server=here.server, **change) for change in changes]
    assert len({recipe(one).id for one in [here, *others]}) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"questions": {}}, "questions: there is none"),
        ({"questions": {"is it": "x"}, "choices": {}}, "questions.is it"),
        ({"choices": {"dark": ("a", "b")}}, "choices.dark: there is no question"),
        ({"choices": {"light": ("a",)}}, "choices.light: from 2 to 26"),
        ({"choices": {"light": ("a b", "A-B")}}, "two answers would be one column"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, said):
    """In one line, by the name of the key."""
    with pytest.raises(UsageError, match=said):
        asking(**changes)


@pytest.mark.parametrize(("name", "count"), [("semantic_filter", 13), ("type_classifier", 27), ("camera_motion", 1)])
def test_presets_ask_what_they_say(name, count):
    """As many questions as NeMo's Cosmos Curator has, each of which makes columns."""
    told = yaml.safe_load((CONF / "stage" / f"{name}.yaml").read_text(encoding="utf-8"))
    stage = Ask(questions=told["questions"], choices={k: tuple(v) for k, v in told.get("choices", {}).items()})
    assert len(told["questions"]) == count
    assert len(stage.writes) >= count
