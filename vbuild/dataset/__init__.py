"""The LanceDB database that a build leaves, and how it is queried."""
