"""What was measured, in a sentence."""

import pytest

from vbuild.stage import Clip
from vbuild.stages.describe import Describe

PLAIN = {
    "sharpness": 300.0,
    "brightness": 0.4,
    "contrast": 0.2,
    "colorfulness": 0.1,
    "black": 0.0,
    "freeze": 0.1,
    "letterbox": 0.0,
    "pillarbox": 0.0,
}


def caption(motion=None, top=None, **quality):
    columns = {}
    if motion is not None:
        columns["motion"] = {"mean": motion, "top": 2 * motion if top is None else top}
    if quality:
        columns["quality"] = PLAIN | quality
    (row,) = Describe().run([Clip(duration=10.0, columns=columns)], None)
    (window,) = row[""]
    return window.text


def test_the_sentence_says_what_stands_out():
    """All that is unusual is named, in one sentence."""
    text = caption(0.0001, brightness=0.1, contrast=0.05, colorfulness=0.05, letterbox=0.25, freeze=0.95)
    assert text == ("A dark, still, low-contrast shot in muted colours with letterbox bars and hardly any change.")


def test_a_bright_fast_shot_in_colour():
    """The other ends of the scales have their words too."""
    text = caption(0.02, brightness=0.8, contrast=0.3, colorfulness=0.4, sharpness=900.0)
    assert text == "A bright, fast-moving, high-contrast, crisp shot in vivid colours."


def test_small_movers_in_a_wide_shot_are_not_still():
    """Where next to nothing moves in the mean and something in the fastest part, it is moving."""
    assert caption(0.00009, top=0.0008) == "A moving shot."
    assert caption(0.00009, top=0.0002) == "A still shot."


def test_the_middle_of_a_scale_is_not_spoken_of():
    """An ordinary clip is only said to move."""
    assert caption(0.003, brightness=0.4) == "A moving shot."


def test_black_footage_is_called_black_and_nothing_more_is_seen_in_it():
    """Of a black clip neither contrast nor colour is told; of one that is black for a while, that."""
    black = caption(0.0, brightness=0.0, contrast=0.0, colorfulness=0.0, sharpness=0.0, black=1.0, letterbox=None)
    assert black == "A black, dark, still shot."
    assert caption(0.003, black=0.3) == "A moving shot with black stretches."


@pytest.mark.parametrize("brightness", [None, 0.4])
def test_nulls_are_not_mentioned(brightness):
    """A null measure says no more than an ordinary one."""
    assert caption(brightness=brightness, letterbox=None) == "A shot."


def test_nothing_wired_still_gives_a_sentence():
    """Without any measure the sentence says just that there is a shot."""
    assert caption() == "A shot."
