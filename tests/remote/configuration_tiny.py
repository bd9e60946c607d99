from transformers import PretrainedConfig


class TinyConfig(PretrainedConfig):
    """What the published configuration says of a checkpoint, at a tiny size."""

    model_type = "cosmos-embed1"

    def __init__(self, embed_dim=256, resolution=32, num_video_frames=8, max_txt_len=128, vocab_size=20, **kwargs):
        self.embed_dim, self.resolution, self.num_video_frames = embed_dim, resolution, num_video_frames
        self.max_txt_len, self.vocab_size = max_txt_len, vocab_size
        super().__init__(**kwargs)
