"""The engine: requests, pages, the scheduler and the step. It sees `Runner` only."""
