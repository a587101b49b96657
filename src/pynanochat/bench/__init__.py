"""How fast a model runs here, and how near that is to what the memory allows: what `nanochat bench` measures."""
