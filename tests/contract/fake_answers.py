"""What a good server answers, as Python values: documents, chunks and refusals."""

import itertools

from fake_model import SPECIAL, decode, encode, generate, scored

MODEL = {"id": "fake/one", "object": "model", "created": 1_700_000_000, "owned_by": "nobody",
         "max_model_len": 1000}
PER_CHUNK = 3  # tokens
NUMBER = (int, float)
FIELDS = {  # what a value must be, and its range
    "temperature": (NUMBER, 0, 2), "top_p": (NUMBER, 0, 1), "max_tokens": (int, 0, 4096), "n": (int, 1, 8),
    "max_completion_tokens": (int, 1, 4096), "seed": (int, None, None), "stop": ((str, list), None, None),
    "stream": (bool, None, None), "logit_bias": (dict, None, None), "top_logprobs": (int, 0, 20), "top_k": (int, 0, 99),
    "best_of": (int, 1, 8)}
counter = itertools.count()


class RefusalError(Exception):
    def __init__(self, status, message, param=None, code=None):
        super().__init__(message)
        self.status = status
        self.document = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def check(request):
    if not isinstance(request, dict):
        raise RefusalError(400, "the body is no object")
    if request.get("model") not in (MODEL["id"], "default"):
        raise RefusalError(404, "no such model", "model", "model_not_found")
    for name, (kind, least, most) in FIELDS.items():
        value = request.get(name)
        if value is None:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise RefusalError(400, f"{name} has the wrong type", name)
        if least is not None and not least <= value <= most:
            raise RefusalError(400, f"{name} is out of range", name)
    if request.get("response_format", {}).get("type", "text") not in ("text", "json_object", "json_schema"):
        raise RefusalError(400, "response_format is unknown", "response_format")
    if isinstance(request.get("logprobs"), (dict, list, str)):
        raise RefusalError(400, "logprobs has the wrong type", "logprobs")


def chat_prompt(messages):
    if not isinstance(messages, list) or not messages:
        raise RefusalError(400, "messages must be a list", "messages")
    lines = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RefusalError(400, "a message must have a role", "messages")
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        if not isinstance(content, str):
            raise RefusalError(400, "content must be a text", "messages")
        lines.append(f"{message['role']}: {content}\n")
    return encode("".join(lines), specials=False)


def usage(prompts, samples):
    prompt, completion = sum(map(len, prompts)), sum(len(sample.tokens) for sample in samples)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0}}


def head(kind, prefix):
    return {"id": f"{prefix}-{next(counter)}", "object": kind, "created": 1_700_000_000, "model": MODEL["id"],
            "system_fingerprint": "fake"}


def items(sample, request, span=slice(None)):
    if not request.get("logprobs"):
        return None
    top = request.get("top_logprobs", 0)
    content = []
    for token, (value, found) in list(zip(sample.tokens, sample.logprobs, strict=True))[span]:
        likely = [{"token": decode([one]), "logprob": other, "bytes": [one]} for one, other in found.items()]
        content.append({"token": decode([token]), "logprob": value, "bytes": [token], "top_logprobs": likely[:top]})
    return {"content": content, "refusal": None}


def chat(request):
    prompt = chat_prompt(request.get("messages"))
    samples = [generate(prompt, request, index) for index in range(request.get("n", 1))]
    choices = [{"index": index, "message": {"role": "assistant", "content": sample.text, "refusal": None},
                "logprobs": items(sample, request), "finish_reason": sample.finish_reason}
               for index, sample in enumerate(samples)]
    return head("chat.completion", "chatcmpl") | {"choices": choices, "usage": usage([prompt], samples)}


def chat_chunks(request):
    prompt = chat_prompt(request.get("messages"))
    first = head("chat.completion.chunk", "chatcmpl")
    options = request.get("stream_options") or {}
    samples = [generate(prompt, request, index) for index in range(request.get("n", 1))]
    so_far = 0

    def chunk(index, delta, reason=None, logprobs=None):
        told = {}
        if options.get("include_usage"):
            total = {"prompt_tokens": len(prompt), "completion_tokens": so_far, "total_tokens": len(prompt) + so_far}
            told = {"usage": total if options.get("continuous_usage_stats") else None}
        return first | {"choices": [{"index": index, "delta": delta, "logprobs": logprobs,
                                     "finish_reason": reason}]} | told

    for index, sample in enumerate(samples):
        yield chunk(index, {"role": "assistant", "content": ""})
        for start in range(0, len(sample.tokens), PER_CHUNK):
            span = slice(start, start + PER_CHUNK)
            so_far += len(sample.tokens[span])
            text = sample.text[start : start + PER_CHUNK]  # a byte is a letter here
            yield chunk(index, {"content": text}, logprobs=items(sample, request, span))
        yield chunk(index, {}, sample.finish_reason)
    if options.get("include_usage"):
        yield first | {"choices": [], "usage": usage([prompt], samples)}


def prompts_of(request):
    prompt = request.get("prompt")
    listed = isinstance(prompt, list) and prompt and isinstance(prompt[0], (str, list))
    return [encode(one) if isinstance(one, str) else one for one in (prompt if listed else [prompt])]


def completion(request, kind=None):
    if "suffix" in request:
        raise RefusalError(400, "suffix is not supported", "suffix")
    n = request.get("n", 1)
    if request.get("best_of", n) < n:
        raise RefusalError(400, "best_of is less than n", "best_of")
    prompts = prompts_of(request)
    if any(len(prompt) > MODEL["max_model_len"] for prompt in prompts):
        raise RefusalError(400, "the prompt is too long", "prompt", "context_length_exceeded")
    samples = [(prompt, generate(prompt, request, index)) for prompt in prompts for index in range(n)]
    choices = [choice(index, prompt, sample, request) for index, (prompt, sample) in enumerate(samples)]
    return head("text_completion", "cmpl") | {
        "choices": choices, "usage": usage(prompts, [sample for _, sample in samples])}


def choice(index, prompt, sample, request):
    echoed = prompt if request.get("echo") else []
    logprobs, top = None, request.get("logprobs")
    if top is not None:
        values = [*(scored(prompt) if echoed else []), *sample.logprobs]
        tokens = [decode([token]) for token in (*echoed, *sample.tokens)]
        logprobs = {"tokens": tokens, "token_logprobs": [value for value, _ in values],
                    "top_logprobs": [found and dict(list({decode([one]): value for one, value in found.items()}
                                                         .items())[:top]) for _, found in values],
                    "text_offset": [sum(map(len, tokens[:place])) for place in range(len(tokens))]}
    return {"text": decode(echoed) + sample.text, "index": index, "logprobs": logprobs,
            "finish_reason": sample.finish_reason}


def completion_chunks(request):
    first = head("text_completion", "cmpl")
    prompts = prompts_of(request)
    sample = generate(prompts[0], request)
    for start in range(0, len(sample.text), PER_CHUNK):
        yield first | {"choices": [{"index": 0, "text": sample.text[start : start + PER_CHUNK], "logprobs": None,
                                    "finish_reason": None}]}
    yield first | {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": sample.finish_reason}]}
    if request.get("stream_options", {}).get("include_usage"):
        yield first | {"choices": [], "usage": usage(prompts, [sample])}


def response(request):
    if "previous_response_id" in request:
        raise RefusalError(404, "no such response", "previous_response_id")
    given = request.get("input")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    prompt = chat_prompt(messages)
    sample = generate(prompt, {**request, "max_tokens": request.get("max_output_tokens"),
                               "response_format": request.get("text", {}).get("format")})
    part = {"type": "output_text", "text": sample.text, "annotations": []}
    message = {"id": f"msg-{next(counter)}", "type": "message", "role": "assistant", "status": "incomplete",
               "content": [part]}
    counts = usage([prompt], [sample])
    return {"id": f"resp-{next(counter)}", "object": "response", "created_at": 1_700_000_000, "model": MODEL["id"],
            "status": "incomplete", "output": [message], "parallel_tool_calls": False, "tool_choice": "auto",
            "tools": [], "usage": {"input_tokens": counts["prompt_tokens"],
                                   "output_tokens": counts["completion_tokens"],
                                   "total_tokens": counts["total_tokens"]}}


def response_events(request):
    whole = response(request)
    message = whole["output"][0]
    part, text = message["content"][0], message["content"][0]["text"]
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    events = [
        ("created", {"response": {**whole, "output": [], "status": "in_progress"}}),
        ("output_item.added", {"output_index": 0, "item": {**message, "content": []}}),
        ("content_part.added", place | {"part": {**part, "text": ""}}),
        *(("output_text.delta", place | {"delta": text[start : start + PER_CHUNK]})
          for start in range(0, len(text), PER_CHUNK)),
        ("output_text.done", place | {"text": text}), ("content_part.done", place | {"part": part}),
        ("output_item.done", {"output_index": 0, "item": message}), ("incomplete", {"response": whole})]
    for number, (name, fields) in enumerate(events):
        yield {"type": f"response.{name}", "sequence_number": number, **fields}


def tokenize(request):
    return {"tokens": encode(request.get("prompt", request.get("content")))}


def detokenize(request):
    return {"prompt": decode(request["tokens"])}


TOKENIZER = {"bos_token": SPECIAL[256], "eos_token": SPECIAL[257], "chat_template": None}
