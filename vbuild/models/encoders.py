"""Networks of transformers that make vectors of pictures, of videos and of words, by the type of their checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.models import devices, identity
from vbuild.models.checkpoints import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from vbuild.models.checkpoints import Pictures

VERSION = 1
"""How pictures and words are put to networks, and what is taken of their answers."""

AT_ONCE = 256
"""Pictures that go through a network together, at most, however many clips they are of."""


def _pooled(found: Any) -> Any:
    """The vectors of an answer; what transformers gave before version 5 is the vectors."""
    return found.pooler_output if hasattr(found, "pooler_output") else found


def _vjepa2(model: Any, pixels: Any) -> Any:
    return model(pixel_values_videos=pixels, skip_predictor=True).last_hidden_state.mean(1)


def _videoprism(model: Any, pixels: Any) -> Any:
    return _pooled(model.get_video_features(pixel_values_videos=pixels)).squeeze(1)


def _naflex(model: Any, pixels: Any) -> Any:
    """Pictures of one shape as rows of patches, of which none fills up."""
    import torch

    side = model.config.vision_config.patch_size
    count, _, height, width = pixels.shape
    shape = height // side, width // side
    cut = pixels.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 3, 5, 1)
    flat = cut.reshape(count, shape[0] * shape[1], -1)
    return _pooled(
        model.get_image_features(
            pixel_values=flat,
            pixel_attention_mask=torch.ones(flat.shape[:2], dtype=torch.int32, device=flat.device),
            spatial_shapes=torch.tensor([shape], device=flat.device).expand(count, 2),
        )
    )


IMAGES: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("clip", "siglip"), lambda model, x: _pooled(model.get_image_features(pixel_values=x))),
    "siglip2": _naflex,
    **dict.fromkeys(("dinov2", "dinov3_vit", "dinov3_convnext"), lambda model, x: model(pixel_values=x).pooler_output),
}
"""Type → vectors of pictures, float (n, 3, h, w)."""

VIDEOS: Mapping[str, Callable[[Any, Any], Any]] = {
    "xclip": lambda model, x: _pooled(model.get_video_features(pixel_values=x)),
    "vjepa2": _vjepa2,
    "videoprism": _videoprism,
}
"""Type → vectors of videos, float (n, frames, 3, h, w)."""

TEXTS: Mapping[str, tuple[int, bool]] = {
    "clip": (77, True), "siglip": (64, False), "siglip2": (64, False), "xclip": (77, True), "videoprism": (64, True),
}  # fmt: skip
"""Types with a tower for words: tokens of a text where its configuration is silent, and whether it is told which of
them are padding."""


SIGLIPS = frozenset(("siglip", "siglip2"))
"""Types that were trained on small letters, and to say of each text by itself whether it fits."""


def worded(model: str, kind: str, known: str = f"those of type {', '.join(TEXTS)}") -> tuple[int, bool]:
    """What `TEXTS` says of a type. Raises UsageError, of the model, for one without a tower for words."""
    if kind not in TEXTS:
        raise UsageError(f"model={model}: a model of type {kind} knows no words here; {known} do")
    return TEXTS[kind]


def network(auto: str, model: str, revision: str | None, *, dtype: str, device: str, attention: str) -> Any:
    """A network of transformers on a device, by the name of the class that chooses its own: all its weights loaded.

    Raises UsageError for files that lack weights, which transformers would make up.
    """
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    source, arguments = identity.pretrained(model, revision)
    chosen_so = {} if attention == "auto" else {"attn_implementation": attention}
    made, info = getattr(transformers, auto).from_pretrained(
        source, **arguments, **chosen_so, dtype=getattr(torch, dtype), output_loading_info=True
    )
    if lacking := sorted(info["missing_keys"]):
        raise UsageError(f"model={model}: its files lack {len(lacking)} weights, such as {lacking[0]}; fetch them anew")
    return made.to(device).eval()


class Encoder:
    """A network on its device, ready to answer."""

    auto: ClassVar[str] = "AutoModel"

    def __init__(
        self, model: str, revision: str | None, *, dtype: str, device: str, attention: str, compiled: bool = False
    ) -> None:
        import torch

        self.named = model, revision
        self.checkpoint = checkpoint(model, revision)
        self.device, self.dtype = devices.chosen(device), getattr(torch, dtype)
        self.model = network(self.auto, model, revision, dtype=dtype, device=self.device, attention=attention)
        answer = self._answer()
        self.answer: Any = devices.compiled(answer, self.device) if compiled else answer
        self.tokenizer: Any = None

    def _answer(self) -> Callable[[Any, Any], Any]:
        """What the network is asked: unit vectors."""
        import torch

        features = {**IMAGES, **VIDEOS}[self.checkpoint.type]
        return lambda model, pixels: torch.nn.functional.normalize(features(model, pixels).float(), dim=-1)

    @property
    def scale(self) -> tuple[float, float]:
        """What a cosine of a text and a picture is multiplied by, and what is added then, as the model was trained."""
        scale, shift = (getattr(self.model, f"logit_{name}", None) for name in ("scale", "bias"))
        return 1.0 if scale is None else float(scale.detach().exp()), 0.0 if shift is None else float(shift.detach())

    def images(self, pixels: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 (n, width), of one or more pictures, uint8 (n, h, w, 3)."""
        return self._vectors(pixels, AT_ONCE)

    def videos(self, pixels: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 (n, width), of one or more videos, uint8 (n, frames, h, w, 3)."""
        return self._vectors(pixels, max(1, AT_ONCE // pixels.shape[1]))

    def _vectors(self, pixels: np.ndarray, at_once: int) -> np.ndarray:
        import numpy as np
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(pixels), at_once):
                part = put(pixels[start : start + at_once], self.checkpoint.pictures, self.device).to(self.dtype)
                found.append(self.answer(self.model, part).cpu().numpy())
        return np.concatenate(found)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 (n, width), of texts, each cut to as many tokens as the model knows.

        Raises UsageError where the model has no tower for words.
        """
        import numpy as np
        from transformers import AutoTokenizer

        worded(self.named[0], self.checkpoint.type)
        if self.tokenizer is None:
            source, arguments = identity.pretrained(*self.named)
            self.tokenizer = AutoTokenizer.from_pretrained(source, **arguments)
        parts = [self._of_words(words[n : n + AT_ONCE]) for n in range(0, len(words), AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, self.checkpoint.width), np.float32)

    def _of_words(self, words: Sequence[str]) -> np.ndarray:
        """The vectors of texts that go through the tower together."""
        import torch

        kind = self.checkpoint.type
        length, masked = TEXTS[kind]
        length = int(self.checkpoint.config.get("text_config", {}).get("max_position_embeddings", length))
        said = [text.lower() for text in words] if kind in SIGLIPS else [*words]
        tokens = self.tokenizer(
            said, padding="max_length", max_length=min(length, 512), truncation=True, return_tensors="pt"
        ).to(self.device)
        given = {"input_ids": tokens["input_ids"]} | ({"attention_mask": tokens["attention_mask"]} if masked else {})
        with torch.inference_mode():
            return units(_pooled(self.model.get_text_features(**given)))


class Classifying(Encoder):
    """A classifier of pictures, whose answers are probabilities of its labels."""

    auto: ClassVar[str] = "AutoModelForImageClassification"

    def _answer(self) -> Callable[[Any, Any], Any]:
        """Those of one label each where it was trained so, else of all together, where they come to 1."""
        single = self.checkpoint.config.get("problem_type") == "multi_label_classification"

        def probabilities(model: Any, pixels: Any) -> Any:
            logits = model(pixel_values=pixels).logits.float()
            return logits.sigmoid() if single else logits.softmax(-1)

        return probabilities


def put(pixels: np.ndarray, pictures: Pictures, device: str) -> Any:
    """Pictures, uint8 (…, h, w, 3), as a network takes them: float32 (…, 3, h, w) on its device."""
    import numpy as np
    import torch

    found = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    found = (found.flip(-1) if pictures.flipped else found).movedim(-1, -3).contiguous().float()
    colours = pictures.mean, pictures.deviation
    mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in colours)
    return found.mul_(pictures.scale).sub_(mean).div_(deviation)


def units(vectors: Any) -> np.ndarray:
    """Vectors on a device as unit vectors, float32 (n, width)."""
    import torch

    found: np.ndarray = torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return found


def mean(vectors: np.ndarray) -> np.ndarray | None:
    """The unit vector, float32 (width,), in the middle of unit vectors (n, width); None of none."""
    import numpy as np

    if not len(vectors):
        return None
    middle = vectors.astype(np.float64).mean(0)
    found: np.ndarray = (middle / max(float(np.linalg.norm(middle)), 1e-12)).astype(np.float32)
    return found
