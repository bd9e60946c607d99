"""Where actions run; `boundary` holds the one broad except of the package, but for what runs in another interpreter."""
