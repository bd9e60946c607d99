"""Where actions run; it holds the one broad except of the package."""
