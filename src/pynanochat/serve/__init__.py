"""nanochat serve: an OpenAI-compatible HTTP server and its page.

A request's way: `http` reads it within limits, `app` checks who asks (`guard`) and finds the handler, the handler reads
and answers it through an `Exchange`; `bridge` takes the work to the model's own thread. Nothing on the event loop waits
for a model, and no model for a reader.
"""
