"""Networks, their preprocessing and the identity of their weights; they know no stage."""
