"""The backends: each is a `Runner`, and none knows the engine or another backend."""
