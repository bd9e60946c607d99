"""What a build has to do: the order of stages and decisions, keys, hits and misses with their reasons."""
