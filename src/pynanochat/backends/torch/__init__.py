"""The torch backend: eager, differentiable operations on CPU, CUDA and MPS. Only this folder imports torch."""
