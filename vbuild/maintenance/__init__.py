"""Looks after a store and its datasets: what is kept, whether it is sound, and what was there before."""
