"""pynanochat: run, serve and train nanochat-family GPTs from Python, on any machine."""

__version__ = "0.1.0"
