"""How a video is cut into clips: one file a splitter."""
