"""Servers are asked as they wish to be, and what goes wrong is told apart: of a clip, or of the server."""

import time

import pytest
from serving import served

from vbuild import secrets
from vbuild.errors import AnswerError, NoAnswerError, PlaceError, UsageError, kind_of
from vbuild.models.chat import Chat
from vbuild.models.messages import Answer, Files, Prompt, Sampling
from vbuild.models.server import Budget, Server


@pytest.fixture(scope="module")
def server():
    with served() as found:
        yield found


def ask(server, *told, prompts=1, **changes):
    """What comes of some prompts, where the server behaves as told."""
    server.tell(*told)
    chat = Chat(Server(base_url=server.url, **{"backoff": 0.01, "concurrency": 4} | changes), "tiny")
    return chat.answers([Prompt(f"question {n}") for n in range(prompts)], Sampling())


def test_answers_come_in_the_order_of_the_questions(server):
    """However many are asked at once, and no more than may be."""
    found = ask(server, *(["slow 0.2", "ok"] * 5), prompts=10)
    alone = [ask(server, prompts=10)[n].text for n in range(10)]
    assert [answer.text for answer in found] == alone
    assert len(set(alone)) == 10
    ask(server, "*slow 0.1", prompts=10, concurrency=3)
    assert max(one["open"] for one in server.seen()) == 3


def test_a_question_is_written_as_the_protocol_has_it(server):
    """Words alone, pictures before them, a system's word before all, JSON by its schema, and only what is asked for."""
    chat = Chat(Server(base_url=server.url), "tiny")
    server.tell()
    pictures = Files((b"one", b"two"), "image/jpeg", (0.0, 0.5))
    schema = {"type": "object", "properties": {"mood": {"type": "string"}}}
    chat.answers([Prompt("what?", pictures, "be short", schema)], Sampling(max_tokens=7))
    (seen,) = server.seen()
    body = seen["body"]
    system, user = body.pop("messages")
    assert system == {"role": "system", "content": "be short"}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url", "text"]
    assert "0.0, 0.5 seconds" in user["content"][0]["text"]
    assert user["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,b25l"
    assert body.pop("response_format")["json_schema"]["schema"] == schema
    assert body == {"model": "tiny", "max_tokens": 7, "temperature": 0.0}
    server.tell()
    chat.answers([Prompt("and?")], Sampling(temperature=0.5, seed=3, repetition_penalty=1.05))
    body = server.seen()[0]["body"]
    assert body["messages"] == [{"role": "user", "content": "and?"}]
    assert (body["temperature"], body["seed"], body["repetition_penalty"]) == (0.5, 3, 1.05)


@pytest.mark.parametrize("trouble", ["429", "500", "503", "408", "409", "drop", "garbage", "other", "slow 3"])
def test_what_may_pass_is_tried_again(server, trouble):
    """Each such trouble, twice, and then the answer."""
    (found,) = ask(server, trouble, trouble, timeout=1.0)
    assert isinstance(found, Answer)
    assert len(server.seen()) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_server_does_not_take_fails_at_once_and_alone(server, status):
    """It is the clip's, and it is not asked for again."""
    found = ask(server, "ok", str(status), "ok", prompts=3, concurrency=1)
    assert [type(one).__name__ for one in found] == ["Answer", "RefusedError", "Answer"]
    assert kind_of(found[1]) == "item"
    assert len(server.seen()) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_is_of_the_place(server, status):
    """After one request, and not of any clip."""
    found = ask(server, f"*{status}", prompts=20, concurrency=1)
    assert {kind_of(one) for one in found} == {"place"}
    assert len(server.seen()) == 1


def test_a_clip_that_always_fails_fails_alone_and_may_pass(server):
    """Others are answered meanwhile."""
    server.tell()
    chat = Chat(Server(base_url=server.url, attempts=3, backoff=0.01), "tiny")
    found = chat.answers([Prompt("POISON"), Prompt("a"), Prompt("b")], Sampling())
    assert [type(one) for one in found] == [NoAnswerError, Answer, Answer]
    assert kind_of(found[0]) == "item"
    assert "3 attempts" in str(found[0])


def test_a_dead_server_is_found_out(server):
    """After some failures in a row it is asked no more, and no clip is to blame."""
    found = ask(server, "*500", prompts=50, breaker=10)
    assert {type(one) for one in found} == {PlaceError}
    assert 10 <= len(server.seen()) <= 13
    chat = Chat(Server(base_url="http://127.0.0.1:9/v1", backoff=0.01), "tiny")
    (gone,) = chat.answers([Prompt("?")], Sampling())
    assert isinstance(gone, NoAnswerError)
    many = chat.answers([Prompt("?")] * 50, Sampling())
    assert {type(one) for one in many} == {PlaceError}


def test_a_dead_server_is_found_out_by_few_at_a_time_too(server):
    """Failures in a row are counted over all calls, until there is an answer."""
    chat = Chat(Server(base_url=server.url, backoff=0.01, attempts=2, breaker=6), "tiny")

    def asked(*told):
        server.tell(*told)
        (found,) = chat.answers([Prompt("?")], Sampling())
        return type(found).__name__

    assert [asked("*500") for _ in range(3)] == ["NoAnswerError", "NoAnswerError", "PlaceError"]
    assert [asked("ok"), asked("*500"), asked("*500")] == ["Answer", "NoAnswerError", "NoAnswerError"]
    assert asked("ok") == "Answer"


def test_a_server_that_takes_nothing_at_all_is_of_the_place(server):
    """A parameter that it does not know is no clip's fault; once it has answered, what it refuses is."""
    found = ask(server, "*400", prompts=40, breaker=10, concurrency=1)
    assert [type(one).__name__ for one in found] == ["RefusedError"] * 9 + ["PlaceError"] * 31
    found = ask(server, "ok", "*400", prompts=40, breaker=10, concurrency=1)
    assert [type(one).__name__ for one in found] == ["Answer"] + ["RefusedError"] * 39


def test_all_requests_wait_as_long_as_the_server_asks(server):
    """Retry-After holds for all that are to come, and of many refusals at once one counts as a failure."""
    ask(server, *["429 1"] * 4, prompts=8, breaker=3)
    seen = [one["at"] for one in server.seen()]
    assert len(seen) == 12
    assert seen[4] - seen[0] >= 0.99
    (found,) = ask(server, "429 9999")
    assert isinstance(found, PlaceError)
    assert "9999 s" in str(found)


def test_limits_a_minute_are_kept():
    """No minute, wherever it begins, holds more than may be spent."""
    budget, now, spent = Budget(3), 0.0, []
    while len(spent) < 10:
        if (wait := budget.wait(now)) <= 0:
            budget.spend(now, 1)
            spent.append(now)
        now += max(wait, 7.0)
    assert all(sum(start <= one < start + 60 for one in spent) <= 3 for start in spent)
    assert spent[-1] < 60 * 4


def test_requests_and_tokens_wait_for_their_budgets(server):
    """By the server's own count of tokens."""
    began = time.monotonic()
    chat = Chat(Server(base_url=server.url, requests_per_minute=2, concurrency=8), "tiny")
    chat.client.requests.per = 0.5
    chat.answers([Prompt("?")] * 5, Sampling())
    assert time.monotonic() - began >= 1.0
    began = time.monotonic()
    chat = Chat(Server(base_url=server.url, tokens_per_minute=20, concurrency=1), "tiny")
    chat.client.tokens.per = 0.5
    chat.answers([Prompt("?")] * 3, Sampling())
    assert time.monotonic() - began >= 0.5


def test_how_an_answer_ended_is_kept(server):
    """Cut short; refused in the middle, or before anything was said; or whole."""
    found = ask(server, "length", "filter", "filtered", "ok", prompts=4, concurrency=1)
    assert [one.status for one in found] == ["truncated", "blocked", "blocked", "success"]
    assert [bool(one.text) for one in found] == [True, False, False, True]
    assert found[3].tokens == len(found[3].text.split())
    assert isinstance(ask(server, "say ")[0], AnswerError)


def test_the_key_comes_of_the_environment_and_is_shown_nowhere(server, monkeypatch):
    """It is sent, masked in whatever is said, and missed before a build starts."""
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    monkeypatch.setattr(secrets, "_HELD", [])
    ask(server, api_key_env="SOME_KEY")
    assert server.seen()[0]["auth"] == "Bearer sk-very-secret"
    (found,) = ask(server, "say sk-very-secret", api_key_env="SOME_KEY")
    assert "secret" not in secrets.masked(found.text)
    with pytest.raises(UsageError, match="NO_KEY"):
        Server(base_url=server.url, api_key_env="NO_KEY").check()


@pytest.mark.parametrize("wrong", [{"base_url": "here"}, {"concurrency": 0}, {"timeout": 0}, {"breaker": 0}])
def test_what_cannot_be_asked_with_is_refused(wrong):
    """By the name of the key."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Server(**{"base_url": "http://x/v1"} | wrong)
