"""The only place that imports av: probe, passes, encode, preview."""
