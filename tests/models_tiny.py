"""Tiny models of random weights, made of configurations and saved as a hub's folders are, to be loaded as those are."""

import json
from pathlib import Path

import torch

SIDE = 32
"""Pixels a side of what they look at."""

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "a", "photo", "of", "red", "green", "blue", "car", "dog", "night", "video"]

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}

OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def _words(**more):
    return {**TOWER, "vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **more}


def _clip():
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(
        text_config=_words(max_position_embeddings=16),
        vision_config={**TOWER, "image_size": SIDE, "patch_size": 8},
        projection_dim=24,
    )
    return CLIPModel(config), _cropped("CLIPImageProcessor", SIDE, 3, OPENAI)


def _siglip():
    from transformers import SiglipConfig, SiglipModel

    config = SiglipConfig(
        text_config=_words(max_position_embeddings=16),
        vision_config={**TOWER, "image_size": SIDE, "patch_size": 8},
    )
    return SiglipModel(config), _squeezed("SiglipImageProcessor", SIDE, 3, HALF)


def _naflex():
    from transformers import Siglip2Config, Siglip2Model

    config = Siglip2Config(
        text_config=_words(max_position_embeddings=16, projection_size=32),
        vision_config={**TOWER, "patch_size": 8, "num_patches": 16},
    )
    return Siglip2Model(config), {
        "image_processor_type": "Siglip2ImageProcessor", "do_resize": True, "resample": 2, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, **HALF, "patch_size": 8, "max_num_patches": 20,
    }  # fmt: skip


def _dinov2():
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(**{**TOWER, "image_size": SIDE, "patch_size": 8})
    return Dinov2Model(config), _cropped("BitImageProcessor", 36, 3, IMAGENET)


def _dinov3():
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(**TOWER, image_size=SIDE, patch_size=8)
    return DINOv3ViTModel(config), _squeezed("DINOv3ViTImageProcessorFast", SIDE, 2, IMAGENET)


def _xclip():
    from transformers import XCLIPConfig, XCLIPModel

    config = XCLIPConfig(
        text_config=_words(max_position_embeddings=16, projection_dim=32),
        vision_config={
            **TOWER, "image_size": SIDE, "patch_size": 8, "num_frames": 4, "mit_hidden_size": 32,
            "mit_intermediate_size": 64, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2,
        },
        projection_dim=32,
    )  # fmt: skip
    return XCLIPModel(config), _cropped("VideoMAEImageProcessor", SIDE, 2, IMAGENET)


def _vjepa2():
    from transformers import VJEPA2Config, VJEPA2Model

    config = VJEPA2Config(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=2, crop_size=SIDE, patch_size=8, frames_per_clip=8,
        tubelet_size=2, mlp_ratio=2.0, pred_hidden_size=48, pred_num_attention_heads=2, pred_num_hidden_layers=1,
    )  # fmt: skip
    said = _cropped("VJEPA2VideoProcessor", int(SIDE * 256 / 224), 2, IMAGENET)
    return VJEPA2Model(config), said


def _videoprism():
    from transformers import VideoPrismClipModel, VideoPrismConfig

    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = VideoPrismConfig(
        vision_config={
            **tower, "image_size": SIDE, "num_frames": 4, "tubelet_size": [1, 8, 8], "num_spatial_layers": 1,
            "num_temporal_layers": 1, "num_auxiliary_layers": 1,
        },
        text_config={**tower, "num_hidden_layers": 1, "vocab_size": len(WORDS), "max_position_embeddings": 16},
    )  # fmt: skip
    said = {**_squeezed("LlavaOnevisionVideoProcessor", SIDE, 3, OPENAI), "do_normalize": False}
    return VideoPrismClipModel(config), said


def _classifier():
    from transformers import ViTConfig, ViTForImageClassification

    names = {0: "indoor", 1: "Out door", 2: "studio"}
    config = ViTConfig(
        **TOWER, image_size=SIDE, patch_size=8, id2label=names, label2id={v: k for k, v in names.items()}
    )
    return ViTForImageClassification(config), _squeezed("ViTImageProcessor", SIDE, 2, HALF)


def _t5():
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), None


def _cropped(kind, short, kernel, colours):
    name = "video_processor_type" if "Video" in kind and "VideoMAE" not in kind else "image_processor_type"
    return {
        name: kind, "do_resize": True, "size": {"shortest_edge": short}, "resample": kernel, "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, **colours,
    }  # fmt: skip


def _squeezed(kind, side, kernel, colours):
    found = {**_cropped(kind, side, kernel, colours), "do_center_crop": False, "size": {"height": side, "width": side}}
    del found["crop_size"]
    return found


MODELS = {
    "clip": _clip, "siglip": _siglip, "naflex": _naflex, "dinov2": _dinov2, "dinov3": _dinov3,
    "xclip": _xclip, "vjepa2": _vjepa2, "videoprism": _videoprism, "classifier": _classifier, "t5": _t5,
}  # fmt: skip
"""By the stage that takes them."""


def make(folder: Path, kind: str, seed: int = 0) -> Path:
    """A model of a kind, in a folder that is new."""
    torch.manual_seed(seed)
    network, pictures = MODELS[kind]()
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim > 1:  # as they begin, nearly all pictures are one to them
                weights.normal_(0, 0.15)
    network.eval().save_pretrained(folder)
    if pictures is not None:
        video = "video_processor_type" in pictures
        name = "video_preprocessor_config.json" if video else "preprocessor_config.json"
        (folder / name).write_text(json.dumps(pictures))
    if pictures is None or hasattr(network, "get_text_features"):
        _tokenizer().save_pretrained(folder)
    return folder


def predictor(folder: Path, width: int = 24) -> Path:
    """An aesthetic predictor of vectors of a width, as the hub has it, in a folder that is new."""
    from safetensors.torch import save_file

    torch.manual_seed(1)
    sizes = (width, 16, 12, 8, 4, 1)
    held = {}
    for layer, wide, narrow in zip((0, 2, 4, 6, 7), sizes, sizes[1:], strict=False):
        held |= {f"layers.{layer}.weight": torch.randn(narrow, wide), f"layers.{layer}.bias": torch.randn(narrow)}
    folder.mkdir()
    save_file(held, folder / "model.safetensors")
    return folder


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
