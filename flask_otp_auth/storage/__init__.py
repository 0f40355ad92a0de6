"""Storage: the four verbs of the store, and one file for each backend."""
