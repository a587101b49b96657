"""The API's handlers by method and path; a path may end in a {name} that takes the rest, slashes included."""

from __future__ import annotations

from pynanochat.serve import chat_completions, completions, models, responses, tokens
from pynanochat.serve.app import Routes

ROUTES: Routes = {
    ("POST", "/v1/chat/completions"): chat_completions.handle,
    ("POST", "/v1/completions"): completions.handle,
    ("POST", "/v1/responses"): responses.handle,
    ("GET", "/v1/models"): models.handle_list,
    ("GET", "/v1/models/{model}"): models.handle_one,
    ("POST", "/tokenize"): tokens.handle_tokenize,
    ("POST", "/detokenize"): tokens.handle_detokenize,
    ("GET", "/tokenizer_info"): tokens.handle_info,
}
