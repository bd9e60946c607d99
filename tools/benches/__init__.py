"""Benchmarks: each module has `measures()`, which yields what it measured."""
