from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_tiny import TinyConfig

WIDTH = 16


@dataclass
class VideoOutput(ModelOutput):
    visual_proj: torch.Tensor = None


@dataclass
class TextOutput(ModelOutput):
    text_proj: torch.Tensor = None


class TinyEmbed(PreTrainedModel):
    """Two towers with the published methods: patches and moments of a video, and words where they stand."""

    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.patches = nn.Conv3d(3, WIDTH, (1, 8, 8), stride=(1, 8, 8))
        self.moments = nn.Parameter(torch.zeros(config.num_video_frames, WIDTH))
        self.words = nn.Embedding(config.vocab_size, WIDTH)
        self.places = nn.Parameter(torch.zeros(config.max_txt_len, WIDTH))
        self.mixed = nn.Linear(WIDTH, WIDTH)
        self.projection = nn.Linear(WIDTH, config.embed_dim)
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.post_init()

    def _init_weights(self, module):
        pass

    def _projected(self, x, weights):
        x = (torch.tanh(self.mixed(x)) * weights.to(x.dtype)).sum(1)
        return normalize(self.projection(x), dim=-1)

    def get_video_embeddings(self, videos):
        seen = self.patches(videos).mean((3, 4)).transpose(1, 2)
        return VideoOutput(visual_proj=self._projected(seen * (1 + self.moments), torch.ones(1, 1, 1)))

    def get_text_embeddings(self, input_ids, attention_mask):
        said = self.words(input_ids) * (1 + self.places[: input_ids.shape[1]])
        return TextOutput(text_proj=self._projected(said, attention_mask[..., None]))
