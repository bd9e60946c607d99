import torch
from torch.nn.functional import interpolate
from transformers import ProcessorMixin
from transformers.feature_extraction_utils import BatchFeature


class TinyProcessor(ProcessorMixin):
    """Videos, uint8 (n, frames, 3, h, w), as the published processor puts them: 0 to 1, (n, 3, frames, side, side)."""

    attributes = ["tokenizer"]  # noqa: RUF012
    tokenizer_class = ("BertTokenizer", "BertTokenizerFast")

    def __init__(self, tokenizer=None, resolution=32, num_video_frames=8, max_txt_len=128, **kwargs):
        self.resolution, self.num_video_frames, self.max_txt_len = resolution, num_video_frames, max_txt_len
        super().__init__(tokenizer)

    def __call__(self, text=None, videos=None, return_tensors="pt"):
        found = {}
        if videos is not None:
            videos = torch.as_tensor(videos)
            n, frames, _, _, _ = videos.shape
            assert frames == self.num_video_frames
            flat = videos.flatten(0, 1).float() / 255
            side = (self.resolution, self.resolution)
            if flat.shape[2:] != side:
                flat = interpolate(flat, side, mode="bicubic", antialias=True)
            found["videos"] = flat.unflatten(0, (n, frames)).transpose(1, 2)
        if text is not None:
            kept = {"padding": "max_length", "truncation": True, "max_length": self.max_txt_len}
            words = self.tokenizer(text, return_tensors=return_tensors, return_token_type_ids=False, **kept)
            found |= dict(words)
        return BatchFeature(found)
