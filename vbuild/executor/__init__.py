"""Where actions run; `boundary` holds the one broad except of the package."""
