"""Cosmos-Embed1 by the code of its own repository; this file stands alone, for another interpreter may run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

# No module of vbuild is imported here: the interpreter that runs this file may not have it.

VERSION = 1
"""How frames and words are put to the network, and what is taken of its answer."""

FRAMES = 8
"""Pictures of a clip."""


class Network:
    """A checkpoint on a device, ready to answer."""

    def __init__(
        self,
        *,
        model: str,
        loads: dict[str, Any],
        dtype: str,
        device: str,
        size: int,
        dim: int,
        attention: str = "auto",
        compiled: bool = False,
    ) -> None:
        """`loads`: what `from_pretrained` takes beside the model's name.

        Raises ValueError where the checkpoint's pictures or vectors are of another size, or torch cannot compile.
        """
        import torch
        from transformers import AutoModel, AutoProcessor

        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.device, self.dtype = found if device == "auto" else device, getattr(torch, dtype)
        self.processor: Any = AutoProcessor.from_pretrained(model, trust_remote_code=True, **loads)
        if not hasattr(self.processor, "num_video_frames"):
            name = type(self.processor).__name__
            raise ValueError(f"{model}: {name} is no processor of videos; its processor_config.json needs auto_map")
        loads = loads if attention == "auto" else {**loads, "attn_implementation": attention}
        network: Any
        network, told = AutoModel.from_pretrained(model, trust_remote_code=True, output_loading_info=True, **loads)
        if lacking := _made_up(network, told["missing_keys"]):
            raise ValueError(f"{model}: the checkpoint lacks {', '.join(lacking[:3])}; it is not whole")
        self.network = network.to(self.device, dtype=self.dtype).eval()
        side = self.processor.resolution
        side = side[0] if isinstance(side, (list, tuple)) and len(set(side)) == 1 else side
        says = (self.network.config.embed_dim, self.processor.num_video_frames, side)
        if says != (dim, FRAMES, size):
            raise ValueError(
                f"{model}: its code makes {says[0]} numbers of {says[1]} pictures of {says[2]} pixels a side, and its "
                f"configuration says {dim} of {FRAMES} of {size}"
            )
        seeing = self.network.get_video_embeddings
        self.seeing: Any = _compiled(seeing, self.device) if compiled else seeing

    def clips(self, frames: np.ndarray) -> np.ndarray:
        """Of clips, uint8 (n, 8, h, w, 3) in RGB, unit vectors: float32 (n, dim)."""
        import numpy as np
        import torch

        upright = np.ascontiguousarray(frames.transpose(0, 1, 4, 2, 3))
        made = [self.processor(videos=upright[n : n + 1], return_tensors="pt")["videos"] for n in range(len(upright))]
        with torch.inference_mode():
            videos = torch.cat(made).to(self.device, dtype=self.dtype)
            return _unit(self.seeing(videos=videos).visual_proj)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Of texts, unit vectors: float32 (n, dim)."""
        import torch

        tokens = self.processor(text=list(words), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            return _unit(self.network.get_text_embeddings(**tokens).text_proj)

    def scale(self) -> float:
        """What a cosine of a text and a clip is multiplied by, as the model was trained.

        Raises ValueError where the checkpoint does not say.
        """
        held = getattr(self.network, "logit_scale", None)
        if held is None:
            raise ValueError("the checkpoint has no logit_scale, by which cosines become probabilities")
        return float(held.detach().float().exp())


def _compiled(call: Any, device: str) -> Any:
    """A function as torch compiles it. Raises ValueError where it cannot, as without a compiler of C++ or Triton."""
    import torch

    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except (RuntimeError, OSError, ImportError) as error:
        raise ValueError(f"compile=true: torch cannot compile for {device} here ({error}); say false") from error
    return torch.compile(call)


def _made_up(network: Any, missing: Iterable[str]) -> list[str]:
    """Of the weights that a checkpoint lacks those that are random therefore: not others by another name."""
    state = network.state_dict()
    missing = {name for name in missing if name in state and state[name].is_floating_point()}
    there = {weight.data_ptr() for name, weight in state.items() if name not in missing}
    return sorted(name for name in missing if state[name].data_ptr() not in there)


def _unit(vectors: Any) -> np.ndarray:
    from torch.nn.functional import normalize

    unit: np.ndarray = normalize(vectors.float(), dim=-1).cpu().numpy()
    return unit
