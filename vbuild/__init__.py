"""vbuild: make for video datasets."""
