"""Vision-language models of each type see what they were trained to see, whatever else is in the batch."""

from dataclasses import replace

import numpy as np
import pytest
import talkers
import torch

from vbuild.errors import UsageError
from vbuild.models.messages import Prompt, Sampling, Video, counted
from vbuild.models.vlm import Network, Question

TYPES = sorted(talkers.SEEING)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A tiny one of each type."""
    found = {}
    for name, make in talkers.SEEING.items():
        folder = make(tmp_path_factory.mktemp(name))
        found[name] = Network(str(folder), dtype="float32", device="cpu")
    return found


def video(seed, count=5, size=(70, 100), every=0.5):
    """Noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    return Video(pixels, np.arange(count) * every, count * every)


def prompts():
    """Three videos of one shape and one of another, with questions of all lengths."""
    some = [Prompt("what? " * (1 + 3 * n), video(n), system="be nice" if n == 1 else None) for n in range(3)]
    return [*some, Prompt("and this?", video(9, count=4, size=(60, 60)))]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=10),
        Sampling(max_tokens=10, temperature=1.0, top_p=0.9),
        Sampling(max_tokens=10, repetition_penalty=1.3),
    ],
    ids=["best", "drawn", "penalised"],
)
def test_an_answer_does_not_depend_on_the_batch(networks, name, sampling):
    """Alone, or beside others of its shape and of another: the same words."""
    net = networks[name]
    together = net.answers(prompts(), sampling)
    assert together == [net.answers([prompt], sampling)[0] for prompt in prompts()]
    assert len({answer.text for answer in together}) > 1
    assert {answer.tokens for answer in together} <= set(range(1, 11))


QUESTIONS = [
    Question("Is it day? Answer yes or no.", [("yes", "Yes"), ("no", "No")]),
    Question("Is it dark outside, or inside?", [("A",), ("B",), ("C",)]),
    Question("What?", [("yes",), ("no",)]),
    Question("Is it day? Answer yes.", [("yes", "Yes"), ("no", "No")]),
    Question("Are there many people who are walking to and fro?", [("yes", "Yes"), ("no", "No")]),
]


PICTURES = ("model.visual", "model.vision_model", "model.vision_tower")
"""Where the part of a model is that looks at pictures."""


def videos():
    """Three of one shape, of which two begin at other times, and one of another."""
    late = [replace(video(n), times=video(n).times + 100.0 * n) for n in range(3)]
    return [*late, video(9, count=4, size=(60, 60))]


def unshared(net, seen, question):
    """By one pass over all that the model is given, of one video, and nothing kept for later."""
    with torch.inference_mode():
        given = net.inputs([Prompt(question.text, seen, question.system)])
        logits = net.model(**given).logits[0, -1].float()
    return torch.stack(
        [logits[[*{net.tokenizer.encode(w)[0] for w in ways}]].logsumexp(-1) for ways in question.answers]
    )


@pytest.mark.parametrize("name", TYPES)
def test_how_likely_answers_are_is_what_one_pass_over_all_says(networks, name):
    """However many videos and questions there are together; those that are allowed make up 1."""
    net, seen = networks[name], videos()
    together = net.odds(seen, QUESTIONS)
    assert [odds.shape for odds in together] == [(4, 2), (4, 3), (4, 2), (4, 2), (4, 2)]
    for question, odds in zip(QUESTIONS, together, strict=True):
        wanted = torch.stack([unshared(net, one, question).softmax(-1) for one in seen])
        assert np.abs(odds - wanted.numpy()).max() < 1e-5
        assert np.abs(odds.sum(1) - 1).max() < 1e-6
    assert np.ptp(together[0][:, 0]) > 0.001
    assert np.abs(together[0] - together[3]).max() > 1e-4
    for many in (1, 2, 3):
        parts = [net.odds(seen[n : n + many], QUESTIONS) for n in range(0, 4, many)]
        found = [np.concatenate(part) for part in zip(*parts, strict=True)]
        assert max(np.abs(one - other).max() for one, other in zip(found, together, strict=True)) < 1e-5
    alone = [net.odds(seen, [question])[0] for question in QUESTIONS]
    assert max(np.abs(one - other).max() for one, other in zip(alone, together, strict=True)) < 1e-5


@pytest.mark.parametrize("name", TYPES)
def test_a_video_is_looked_at_once_whatever_is_asked_of_it(networks, name):
    """One pass of the pictures for all questions, and of the rest only what is each question's own."""
    net, seen = networks[name], [video(n) for n in range(3)]
    parts = dict(net.model.named_modules())
    pictures = next(parts[at] for at in PICTURES if at in parts)
    looked, lengths = [], []
    hooks = [
        pictures.register_forward_hook(lambda *_: looked.append(1)),
        net.model.get_input_embeddings().register_forward_hook(lambda _, given, __: lengths.append(given[0].shape[1])),
    ]
    try:
        net.odds(seen, QUESTIONS)
    finally:
        for hook in hooks:
            hook.remove()
    begun, *rest = lengths
    whole = [net.inputs([Prompt(one.text, seen[0])])["input_ids"].shape[1] for one in QUESTIONS]
    assert len(looked) == 1
    assert [begun + length for length in rest] == whole
    assert max(rest) <= 1.5 * max(len(one.text) for one in QUESTIONS)


def test_questions_that_stand_before_the_video_are_asked_each_by_itself(networks):
    """Where what the model is told before it differs, nothing that holds it is common."""
    net, seen = networks["qwen2_5_vl"], [video(n) for n in range(3)]
    told = [Question("What?", [("yes",), ("no",)], system) for system in ("be nice", "be short")]
    for odds, question in zip(net.odds(seen, told), told, strict=True):
        wanted = torch.stack([unshared(net, one, question).softmax(-1) for one in seen])
        assert np.abs(odds - wanted.numpy()).max() < 1e-5


FRAME = {
    "internvl": "<img><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT></img>",
    "smolvlm": "<fake_token_around_image><global-img><image><image><image><image><fake_token_around_image>",
}
PADS = "<|video_pad|>" * 8
SIZES = {"qwen2_5_vl": (56, 112), "qwen3_vl": (64, 128), "internvl": (56, 56), "smolvlm": (64, 64)}

WRITTEN = {
    "qwen2_5_vl": f"<|im_start|>user\n<|vision_start|>{PADS * 2}<|vision_end|>What?<|im_end|>\n<|im_start|>assistant\n",
    "qwen3_vl": "<|im_start|>user\n<0.2 seconds><|vision_start|>" + PADS + "<|vision_end|><1.2 seconds><|vision_start|>"
    + PADS + "<|vision_end|>What?<|im_end|>\n<|im_start|>assistant\n",
    "internvl": "<|im_start|>user\n" + "\n".join(f"Frame{n}: {FRAME['internvl']}" for n in (1, 2, 3, 4))
    + "\nWhat?<|im_end|>\n<|im_start|>assistant\n",
    "smolvlm": "<|im_start|>User: You are provided the following series of four frames from a 0:00:02 [H:MM:SS] "
    "video.\n" + "".join(f"\nFrame from 00:0{n // 2}:{FRAME['smolvlm']}" for n in range(4))
    + "\n\nWhat?<end_of_utterance>\nAssistant:",
}  # fmt: skip
"""What the processors of transformers 5.24 make of four frames, two a second, with torchvision, which is not needed
here; of Qwen3-VL as its authors' code and vLLM have it, where transformers repeats a bracket."""


@pytest.mark.parametrize("name", TYPES)
def test_a_question_is_written_as_the_model_was_trained_to_read_it(networks, name):
    """With the times and the number of the frames."""
    net = networks[name]
    inputs = net.inputs([Prompt("What?", video(1, count=4, size=SIZES[name]))])
    assert net.tokenizer.decode(inputs["input_ids"][0]) == WRITTEN[name]
    assert inputs["attention_mask"].all()


@pytest.mark.parametrize("name", TYPES)
def test_pixels_are_made_as_the_model_was_trained_to_see_them(networks, name):
    """Normalised; of Qwen's in patches of two frames, four of which that lie together make up one token."""
    net = networks[name]
    seen = video(1, count=4, size=SIZES[name])
    inputs = net.inputs([Prompt("What?", seen)])
    mean, deviation = (talkers.HALF, talkers.HALF) if name in ("qwen3_vl", "smolvlm") else (
        talkers.CLIP_MEAN, talkers.CLIP_STD)  # fmt: skip
    plain = ((seen.pixels / 255 - mean) / deviation).transpose(0, 3, 1, 2)
    if not name.startswith("qwen"):
        found = inputs["pixel_values"].reshape(4, 3, *SIZES[name]).numpy()
        assert np.abs(found - plain).max() < 1e-5
        return
    side = 14 if name == "qwen2_5_vl" else 16
    assert inputs["video_grid_thw"].tolist() == [[2, SIZES[name][0] // side, SIZES[name][1] // side]]
    patches = inputs["pixel_values_videos"].reshape(2, 2, 4, 2, 2, 3, 2, side, side).numpy()
    for moment, row, column, down, right in [(0, 0, 0, 0, 0), (1, 1, 3, 1, 0), (0, 0, 2, 1, 1)]:
        y, x = (2 * row + down) * side, (2 * column + right) * side
        expected = plain[2 * moment : 2 * moment + 2, :, y : y + side, x : x + side].transpose(1, 0, 2, 3)
        assert np.abs(patches[moment, row, column, down, right] - expected).max() < 1e-5
    if name == "qwen2_5_vl":
        assert inputs["second_per_grid_ts"] == [1.0]


@pytest.mark.parametrize("name", TYPES)
def test_other_sizes_come_to_those_of_the_model_and_a_last_frame_stands_in(networks, name):
    """An odd number of frames, and sides that are no multiple of a token's."""
    (answer,) = networks[name].answers([Prompt("What?", video(3, count=3, size=(75, 131)))], Sampling(max_tokens=3))
    assert answer.tokens


def test_an_answer_that_ends_is_no_longer_than_that_and_is_not_truncated(networks):
    """What the model ends with is not in its text."""
    net = networks["qwen2_5_vl"]
    prompt = Prompt("What?", video(1))
    (cut,) = net.answers([prompt], Sampling(max_tokens=6))
    assert (cut.status, cut.tokens) == ("truncated", 6)
    third = net.model.generate(**net.inputs([prompt]), max_new_tokens=3, do_sample=False)[0, -1].item()
    ends = net.model.generation_config.eos_token_id
    net.model.generation_config.eos_token_id = third
    (whole,) = net.answers([prompt], Sampling(max_tokens=6))
    net.model.generation_config.eos_token_id = ends
    assert whole.status == "success"
    assert whole.tokens <= 3


def test_draws_follow_from_their_seed(networks):
    """The same seed says the same, another something else, and hardly any heat says what none says."""
    net, prompt = networks["qwen3_vl"], Prompt("What?", video(1))

    def said(**sampling):
        return net.answers([prompt], Sampling(max_tokens=10, **sampling))[0].text

    assert said(temperature=1.0) == said(temperature=1.0) != said(temperature=1.0, seed=1)
    assert said(temperature=1e-4) == said() == said(temperature=2.0, top_p=1e-6)


def test_what_the_files_suggest_of_sampling_is_not_followed(tmp_path):
    """It is in no key."""
    folder = talkers.qwen2_5_vl(tmp_path)
    (folder / "generation_config.json").write_text(
        '{"do_sample": true, "temperature": 5.0, "repetition_penalty": 9.0, "eos_token_id": 258, "pad_token_id": 256}'
    )
    net = Network(str(folder), dtype="float32", device="cpu")
    prompt = Prompt("What?", video(1))
    assert net.answers([prompt], Sampling(max_tokens=8)) == net.answers([prompt], Sampling(max_tokens=8))
    assert net.model.generation_config.repetition_penalty in (None, 1.0)
    assert net.model.generation_config.eos_token_id == 258


def test_another_type_of_model_is_refused(tmp_path):
    """By what it is, with what can be done."""
    folder = talkers.qwen2(tmp_path)
    with pytest.raises(UsageError, match=r"of the type qwen2; .* ask others by a server"):
        Network(str(folder), dtype="float32", device="cpu")


@pytest.mark.parametrize(
    ("number", "words"),
    [(7, "seven"), (40, "forty"), (64, "sixty-four"), (100, "one hundred"), (256, "two hundred and fifty-six"),
     (1001, "one thousand and one"), (2340, "two thousand, three hundred and forty")],
)  # fmt: skip
def test_numbers_are_said_in_words(number, words):
    """As num2words says them."""
    assert counted(number) == words
