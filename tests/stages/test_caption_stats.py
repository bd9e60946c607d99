"""Captions are measured without a model."""

import pytest

from vbuild.errors import UsageError
from vbuild.stage import Clip, Window
from vbuild.stages.caption_stats import CaptionStats


def measured(*windows, **changes):
    """The measures of one clip's windows."""
    clip = Clip(duration=1.0, columns={"": {"": list(windows)}})
    (row,) = CaptionStats(of="said", **changes).run([clip], None)
    return row


def test_words_are_counted_over_all_windows():
    """Of the enhanced text where there is one; marks are no words, and what is joined by a hyphen is one."""
    row = measured(Window("A red-haired man's dog — runs!"), Window("short", enhanced="Much longer than that."))
    assert row["words"] == 5 + 4


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("one two three four five six seven", 0.0),
        ("the car turns left the car turns left", 0.2),
        ("a a a a a a a a a a a a a", 0.9),
        ("too short", None),
    ],
)
def test_repetition_is_the_share_of_runs_that_stood_before(text, share):
    """A model that does not find its end repeats itself."""
    found = measured(Window(text))["repetition"]
    assert found == (share if share is None else pytest.approx(share))


def test_the_worst_window_counts():
    """One that goes in a circle is enough."""
    row = measured(Window("one two three four five"), Window("a a a a a a"))
    assert row["repetition"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m unable to view the video.",
        "As a language model I have no eyes.",
        "No video was provided.",
        "I cannot describe the person shown.",
        "Unable to view the clip.",
    ],
)
def test_refusals_are_found(text):
    """In the words in which models refuse."""
    assert measured(Window(text))["refusal"] is True


@pytest.mark.parametrize(
    "text", ["A man says sorry to a woman.", "The driver cannot see the sign.", "He is unable to see her."]
)
def test_descriptions_are_no_refusals(text):
    """Though their words are alike: what somebody in the picture cannot do is said too."""
    assert measured(Window(text))["refusal"] is False


def test_windows_that_failed_or_were_cut_short_are_shares():
    """Of all windows; a clip without one has no measures."""
    row = measured(Window(None, status="error"), Window("a", status="truncated"), Window("b"), Window("c"))
    assert (row["failed"], row["truncated"]) == (0.25, 0.25)
    assert set(measured().values()) == {None}


def test_runs_of_nothing_are_refused():
    """A run has a word at least."""
    with pytest.raises(UsageError, match="run_length=0"):
        CaptionStats(of="said", run_length=0)
    assert measured(Window("a b a b"), run_length=2)["repetition"] == pytest.approx(1 / 3)
