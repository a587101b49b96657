"""Grammar: what an answer may be, compiled for one tokenizer. GrammarConstraint: one answer on its way through it.

V is the size of the tokenizer's vocabulary, special tokens included.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import RequestError
from pynanochat.grammar import rules, schema
from pynanochat.grammar.bounds import MOST_EXPRESSION, bounded
from pynanochat.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

MOST_ROW_ITEMS = 300  # places in the grammar where an answer may be at once; ambiguity costs their square
MOST_JSON_ROW_ITEMS = 2_500  # JSON is hardly ambiguous, and an object takes four for each property that may be left out

# What one grammar may cost: the time of compiling, of a step, and the memory of its states, 2 kB each.
_LIMITS = {"initial_lexer_fuel": 300_000, "step_lexer_fuel": 50_000, "step_max_items": 10_000,
           "max_lexer_states": 20_000, "max_grammar_size": 100_000, "verbose_errors": False}
# As json.dumps writes it. Space that may be anywhere is space without end where a model does not know how to go on.
_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_MEANINGS = {  # of llguidance's errors
    ("panic", "fuel", "too big", "schema too large", "too many expressions", "too many states"):
        "it is larger than can be matched within bounds",
    ("Current row has", "Too many items"): "it leaves too many ways to go on at one place",
    ("NoExtension",): "it allows nothing to come next",
}
_END = b"<|end of the answer|>"  # stands for whatever ends it
_MERGED = 128  # bytes ahead that decide which token comes


class Grammar:
    """What answers may be; one may serve many requests, one after another and together.

    Compiling takes milliseconds mostly, a second at most, and holds no lock of Python's meanwhile. The first grammar of
    a tokenizer takes half a second more for 65,536 tokens. Every constructor raises `RequestError` for what is wrong,
    cannot be met by any answer, or is larger than can be compiled within bounds.
    """

    def __init__(self, tokenizer: Tokenizer, kind: str, source: str, *, most_row_items: int = MOST_ROW_ITEMS) -> None:
        self._tokenizer = tokenizer
        self._kind = kind
        self._source = source
        self._most_row_items = most_row_items
        self._start: LLMatcher | None = self._compiled()

    @classmethod
    def json(cls, tokenizer: Tokenizer, json_schema: Mapping[str, Any] | str) -> Grammar:
        """JSON that a JSON Schema allows, laid out as Python's json.dumps does; {"type": "object"} is any object.

        Properties come in the order in which the schema names them. Keywords that cannot be kept to are refused; what
        $ref names is inside the schema.
        """
        document = _parsed(json_schema)
        schema.check(document)
        whole = {"grammars": [{"json_schema": {**document, "x-guidance": _JSON}}]}
        return cls(tokenizer, "JSON schema", json.dumps(whole, ensure_ascii=False), most_row_items=MOST_JSON_ROW_ITEMS)

    @classmethod
    def regex(cls, tokenizer: Tokenizer, pattern: str) -> Grammar:
        """Texts that a regular expression matches as a whole, in the syntax of Rust's regex crate: no look-around."""
        return cls(tokenizer, "regular expression", _source(bounded(pattern, "regular expression", MOST_EXPRESSION)))

    @classmethod
    def choice(cls, tokenizer: Tokenizer, texts: Iterable[str]) -> Grammar:
        """One of these texts."""
        options = [texts] if isinstance(texts, str) else list(texts)
        if not options or not all(isinstance(text, str) for text in options):
            raise RequestError("a choice is between texts, at least one")
        bounded("".join(options), "choice")
        return cls(tokenizer, "choice", _source("|".join(map(_literal, options))))

    @classmethod
    def lark(cls, tokenizer: Tokenizer, text: str) -> Grammar:
        """Texts that rules allow, in llguidance's variant of Lark's notation, or in llama.cpp's GBNF (`root ::= ...`).

        The operators & and ~, whose cost nothing bounds, are refused.
        """
        _llguidance()
        source = rules.checked(bounded(text, "grammar"), _JSON)
        return cls(tokenizer, "grammar", json.dumps({"grammars": [{"lark_grammar": source}]}, ensure_ascii=False))

    def __repr__(self) -> str:
        return f"Grammar({self._kind}, {len(self._source):,} characters)"

    def constraint(self, end_tokens: Iterable[int]) -> GrammarConstraint:
        """What holds an answer to the grammar; these tokens may come where it may end, and only these at its end."""
        ends = np.array(sorted(set(end_tokens)), np.intp)
        if not len(ends) or ends[0] < 0 or ends[-1] >= self._tokenizer.vocab_size:
            raise RequestError("an answer with a grammar needs a token that ends it; give end tokens of the vocabulary")
        if self._start is None:
            self._start = self._compiled()
        return GrammarConstraint(self, self._start.deep_copy(), ends)

    def discard(self) -> None:
        """Forget what answers have made of it, which all of them share: a matcher beyond its limits stays so."""
        self._start = None

    def _compiled(self) -> LLMatcher:
        llguidance = _llguidance()
        limits = llguidance.LLParserLimits(max_items_in_row=self._most_row_items, **_LIMITS)
        vocabulary = _vocabulary(self._tokenizer)
        matcher: LLMatcher = llguidance.LLMatcher(vocabulary, self._source, log_level=0, limits=limits)
        self._try(matcher.deep_copy())
        checked = matcher.deep_copy()  # an error of the lexer, which copies share, may show in the next one only
        checked.compute_bitmask()
        if checked.is_error():
            raise self._unusable(checked)
        return matcher

    def _try(self, matcher: LLMatcher) -> None:
        """Go the first step, which is where most limits are met, and most of the work is that copies then share."""
        end = len(self._tokenizer.ranks)
        allowed = _bits(matcher, end + 1)
        if allowed[:end].any():
            matcher.consume_token(int(np.argmax(allowed)))
            matcher.compute_bitmask()
        elif not matcher.is_accepting() and (not matcher.is_error() or "NoExtension" in matcher.get_error()[:40]):
            raise RequestError(f"no text can match the {self._kind}")
        if matcher.is_error():
            raise self._unusable(matcher)

    def _unusable(self, matcher: LLMatcher) -> RequestError:
        return RequestError(f"the {self._kind} cannot be used: {_reason(matcher.get_error())}")


class GrammarConstraint:
    """Where in a grammar one answer is: the engine's `Constraint`."""

    def __init__(self, grammar: Grammar, matcher: LLMatcher, end_tokens: NDArray[np.intp]) -> None:
        self._grammar = grammar
        self._matcher = matcher
        self._end_tokens = end_tokens
        self._vocab_size = grammar._tokenizer.vocab_size
        self._end = len(grammar._tokenizer.ranks)  # the matcher's one special token

    def mask(self) -> NDArray[np.bool_]:
        """(V,) which tokens may come now. Raises `RequestError` where none can, or finding out costs too much."""
        whole = _bits(self._matcher, max(self._vocab_size, self._end + 1))
        if self._matcher.is_error():
            raise self._failed()
        may_end = whole[self._end] and self._matcher.is_accepting()
        mask = whole[: self._vocab_size]
        mask[self._end :] = False
        if may_end:
            mask[self._end_tokens] = True
        elif not mask.any():
            raise RequestError("the answer has come to a place where its grammar allows nothing; see to it that every "
                               "rule can be completed")
        return mask

    def push(self, token: int) -> None:
        """Take the token that came. Raises `RequestError` for one that the grammar does not allow."""
        if token >= self._end:
            raise RequestError(f"token {token} came inside an answer with a grammar, which has no special tokens; "
                               "the request has to end at its end tokens")
        if not self._matcher.consume_token(token):
            raise self._failed()

    def copy(self) -> GrammarConstraint:
        """The same place, for an answer that goes on independently."""
        return GrammarConstraint(self._grammar, self._matcher.deep_copy(), self._end_tokens)

    def _failed(self) -> RequestError:
        self._grammar.discard()
        return RequestError(f"the answer cannot be held to its {self._grammar._kind} any longer: "
                            f"{_reason(self._matcher.get_error())}")


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError:
        raise RequestError("grammars need llguidance; install it with: pip install 'pynanochat[serve]'") from None
    return llguidance


def _vocabulary(tokenizer: Tokenizer) -> LLTokenizer:
    """What llguidance makes of the tokenizer's text tokens, built once; it lives as long as the tokenizer.

    Of special tokens it knows one, the end: what it does not know it cannot allow.
    """
    made: LLTokenizer | None = vars(tokenizer).get("_llguidance")
    if made is None:
        llguidance = _llguidance()
        made = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_TextTokens(tokenizer)))
        vars(tokenizer)["_llguidance"] = made
    return made


class _TextTokens:
    """A tokenizer in the shape in which llguidance asks for it."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.eos_token_id = len(tokenizer.ranks)
        self.special_token_ids = [self.eos_token_id]
        self.tokens = [*tokenizer.ranks, _END]
        self._tokenizer = weakref.ref(tokenizer)  # which holds the matcher's vocabulary, which holds this
        self._bytes = [tokenizer.ranks[bytes([byte])] for byte in range(256)]

    def __call__(self, text: bytes) -> list[int]:
        """Tokens of what the grammar leaves no choice about: of them only the first may come.

        Only the start is merged: merging one long piece takes time that grows with its square.
        """
        tokenizer, head = self._tokenizer(), text[:_MERGED]
        try:
            start = head.decode("utf-8")
        except UnicodeDecodeError as error:
            head = head[: error.start]
            start = head.decode("utf-8")
        tokens = tokenizer.encode(start) if tokenizer else [self._bytes[byte] for byte in head]
        return tokens + [self._bytes[byte] for byte in text[len(head) :]]


def _bits(matcher: LLMatcher, count: int) -> NDArray[np.bool_]:
    """(count,) which of the matcher's tokens may come; False beyond them."""
    packed = np.frombuffer(matcher.compute_bitmask(), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").view(np.bool_)


def _parsed(json_schema: Mapping[str, Any] | str) -> Any:
    try:
        if isinstance(json_schema, str):
            document = json.loads(bounded(json_schema, "schema"))
        else:
            document = json_schema
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    except RequestError:
        raise
    except RecursionError:
        raise schema.too_deep() from None
    except (ValueError, TypeError) as error:
        raise RequestError(f"the schema is no JSON: {error!s:.200}") from None
    return json.loads(bounded(text, "schema"))


def _source(pattern: str) -> str:
    source: str = _llguidance().LLMatcher.grammar_from_regex(pattern)
    return source


def _literal(text: str) -> str:
    """A regular expression that matches this text only."""
    return "".join(c if c.isalnum() or ord(c) > 0x7F else f"\\x{ord(c):02x}" for c in text)


def _reason(error: str) -> str:
    """What an error of llguidance says, in one line: its last "error: ..." or else the line that it starts with."""
    for signs, meaning in _MEANINGS.items():
        if any(sign in error[:400] for sign in signs):
            return meaning
    said = error.rfind("\nerror: ")
    lines = (error[said + len("\nerror: ") :] if said >= 0 else error)[:300].splitlines()
    return lines[0].strip() if lines else "it gives no reason"
