"""Tiny language models with random weights, of the types that caption, as folders that `from_pretrained` reads."""

import json

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'video' %}VIDEO{% elif c['type'] == 'text' %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
        "<|video_pad|>")  # fmt: skip
INTERN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
SMOL = ("<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>", "<image>",
        "<video>")  # fmt: skip


def tokenizer(folder, specials, end, template, **names):
    """One token a byte, and the specials behind them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(name, special=True) for name in specials])
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=end, pad_token="<|endoftext|>", extra_special_tokens=names or None
    )
    made.chat_template = template
    made.save_pretrained(folder)
    return {name: made.convert_tokens_to_ids(name) for name in specials}, len(made)


TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip


def save(folder, config, kind=AutoModelForImageTextToText):
    """Random weights that are not all alike, the same each time."""
    torch.manual_seed(0)
    model = kind.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
    model.save_pretrained(folder)
    return folder


def processor(folder, **data):
    """How pictures are made, as hubs keep it."""
    (folder / "preprocessor_config.json").write_text(json.dumps(data))


CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]


def qwen2_5_vl(folder):
    """Tokens of 28 pixels a side."""
    ids, size = tokenizer(
        folder, QWEN, "<|im_end|>", CHATML.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>")
    )
    processor(
        folder, image_processor_type="Qwen2VLImageProcessor", patch_size=14, merge_size=2, temporal_patch_size=2,
        image_mean=CLIP_MEAN, image_std=CLIP_STD, min_pixels=3136, max_pixels=1003520,
    )  # fmt: skip
    config = CONFIG_MAPPING["qwen2_5_vl"](
        text_config=dict(TEXT, vocab_size=size, rope_parameters={"rope_type": "default", "rope_theta": 1e4,
                         "mrope_section": [2, 1, 1]}, eos_token_id=ids["<|im_end|>"],
                         pad_token_id=ids["<|endoftext|>"]),
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
                       "out_hidden_size": 32, "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56},
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return save(folder, config)


def qwen3_vl(folder):
    """Tokens of 32 pixels a side."""
    ids, size = tokenizer(
        folder, QWEN, "<|im_end|>", CHATML.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>")
    )
    processor(
        folder, image_processor_type="Qwen2VLImageProcessor", patch_size=16, merge_size=2, temporal_patch_size=2,
        image_mean=HALF, image_std=HALF, size={"shortest_edge": 65536, "longest_edge": 16777216},
    )  # fmt: skip
    config = CONFIG_MAPPING["qwen3_vl"](
        text_config=dict(TEXT, vocab_size=size, head_dim=8, rope_parameters={"rope_type": "default", "rope_theta": 1e4,
                         "mrope_section": [2, 1, 1], "mrope_interleaved": True}, eos_token_id=ids["<|im_end|>"],
                         pad_token_id=ids["<|endoftext|>"]),
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
                       "out_hidden_size": 32, "patch_size": 16, "num_position_embeddings": 64,
                       "deepstack_visual_indexes": [0]},
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return save(folder, config)


def internvl(folder):
    """Frames of 56 pixels a side, of 4 tokens."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
                 "video_token": "<video>"}  # fmt: skip
    ids, size = tokenizer(folder, INTERN, "<|im_end|>", CHATML.replace("VIDEO", "<video>\n"), **names)
    processor(
        folder, image_processor_type="GotOcr2ImageProcessor", size={"height": 56, "width": 56},
        image_mean=CLIP_MEAN, image_std=CLIP_STD,
    )  # fmt: skip
    config = CONFIG_MAPPING["internvl"](
        text_config=dict(TEXT, model_type="qwen2", vocab_size=size, eos_token_id=ids["<|im_end|>"],
                         pad_token_id=ids["<|endoftext|>"]),
        vision_config={"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                           "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=ids["<IMG_CONTEXT>"], image_seq_length=4,
    )  # fmt: skip
    return save(folder, config)


def smolvlm(folder):
    """Frames of 64 pixels a side, of 4 tokens."""
    names = {"fake_image_token": "<fake_token_around_image>", "global_image_token": "<global-img>",
             "image_token": "<image>", "video_token": "<video>",
             "end_of_utterance_token": "<end_of_utterance>"}  # fmt: skip
    ids, size = tokenizer(folder, SMOL, "<end_of_utterance>", CHATML, **names)
    processor(
        folder, image_processor_type="SmolVLMImageProcessor", size={"longest_edge": 128},
        max_image_size={"longest_edge": 64}, image_mean=HALF, image_std=HALF,
    )  # fmt: skip
    config = CONFIG_MAPPING["smolvlm"](
        text_config=dict(TEXT, model_type="llama", vocab_size=size, eos_token_id=ids["<end_of_utterance>"],
                         pad_token_id=ids["<|endoftext|>"]),
        vision_config={"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                           "image_size": 64, "patch_size": 16},
        image_token_id=ids["<image>"], scale_factor=2, pad_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<end_of_utterance>"],
    )  # fmt: skip
    return save(folder, config)


def qwen2(folder):
    """Words alone."""
    ids, size = tokenizer(folder, QWEN[:3], "<|im_end|>", CHATML)
    config = Qwen2Config(
        **TEXT, vocab_size=size, eos_token_id=ids["<|im_end|>"], bos_token_id=None, pad_token_id=ids["<|endoftext|>"]
    )
    return save(folder, config, AutoModelForCausalLM)


SEEING = {"qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl, "internvl": internvl, "smolvlm": smolvlm}
