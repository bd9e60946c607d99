"""What was built, by key: actions, blobs, failures, files and stamps."""
