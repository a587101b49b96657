/** Answer: what the chunks of a stream add to a message, and how fast they came. */

import { newTool, partsOfTokens, textOf } from './conversation.js';
import { TokenText, isSpecial, isUnknown, tokenOf, unknownToken } from './tokens.js';

const FARTHEST = 1024; // tokens that a chunk may be ahead of what has come

/** Takes the chunks of one run into a message. */
export class AnswerTaker {
  #calls = new Map(); // index in this run: its part
  #base;
  #logged = 0;
  #started = performance.now();
  #first = 0;
  #last = 0;
  #begun; // a character that the tokens before this run began, until it is whole

  /** @param {import('./conversation.js').Message} message the tokens that it has already stay */
  constructor(message) {
    this.message = message;
    this.#base = message.tokens.length;
    message.given = this.#base;
    this.#begun = begunCharacter(message);
  }

  /** How many tokens this run has brought. */
  get count() {
    return this.message.tokens.length - this.#base;
  }

  /** Take a chunk of /v1/chat/completions or /v1/completions. */
  take(chunk) {
    const { message } = this;
    if (Array.isArray(chunk.prompt_token_ids)) message.usage = { prompt: chunk.prompt_token_ids.length, cached: 0 };
    if (chunk.usage) {
      const cached = chunk.usage.prompt_tokens_details?.cached_tokens ?? 0;
      message.usage = { prompt: chunk.usage.prompt_tokens ?? 0, cached };
    }
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const known = message.tokens.length;
    this.#takeTokens(choice);
    this.#takeText(this.#whole(message.tokens.slice(known), choice.delta?.content ?? choice.text ?? ''));
    for (const call of choice.delta?.tool_calls ?? []) this.#takeCall(call);
    for (const result of choice.delta?.tool_outputs ?? []) this.#takeOutput(result);
    if (choice.finish_reason) {
      message.finish = choice.finish_reason;
      putInOrder(message);
    }
    this.#time();
  }

  #takeTokens(choice) {
    const { tokens } = this.message;
    for (const id of choice.token_ids ?? []) tokens.push(unknownToken(id));
    for (const item of choice.logprobs?.content ?? []) {
      const at = this.#base + (item.position ?? this.#logged);
      if (!(at >= this.#base && at < tokens.length + FARTHEST)) continue;
      this.#logged = at - this.#base + 1;
      const token = tokenOf(item);
      while (tokens.length <= at) tokens.push(unknownToken(null));
      if (token.id === null) token.id = tokens[at].id;
      tokens[at] = token;
    }
  }

  /** The server cannot know how a character began that its answer only ends. */
  #whole(tokens, text) {
    if (!this.#begun) return text;
    let character = '';
    for (const token of tokens) {
      if (token.bytes) character += this.#begun.push(token);
      if (character || !token.bytes) {
        this.#begun = null;
        break;
      }
    }
    return character + text.replace(/^\ufffd+/, '');
  }

  #takeText(text) {
    if (!text) return;
    const { parts } = this.message;
    const last = parts.at(-1);
    if (last?.type === 'text') last.text += text;
    else parts.push({ type: 'text', text });
  }

  #takeCall(call) {
    const index = call.index ?? this.#calls.size;
    const held = this.#calls.get(index) ?? this.#beginCall(index);
    if (call.id) held.part.call = call.id;
    if (call.function?.name) held.part.name = call.function.name;
    held.arguments += call.function?.arguments ?? '';
    held.part.input = held.before + codeIn(held.arguments);
  }

  /** A call of its own, or more of the one in which the tokens before this run ended. */
  #beginCall(index) {
    const { parts } = this.message;
    const last = parts.at(-1);
    const goesOn = this.#calls.size === 0 && this.#base > 0 && last?.type === 'tool' && last.output === null;
    const part = goesOn ? last : newTool();
    if (!goesOn) parts.push(part);
    const held = { part, before: part.input, arguments: '' };
    this.#calls.set(index, held);
    return held;
  }

  #takeOutput(result) {
    const tools = this.message.parts.filter((part) => part.type === 'tool');
    const part = tools.find((tool) => tool.call && tool.call === result.tool_call_id) ?? tools.at(-1);
    if (part) part.output = `${part.output ?? ''}${result.output ?? ''}`;
  }

  #time() {
    const now = performance.now();
    const { count } = this;
    if (!count && !this.message.parts.length) return;
    this.#first ||= now;
    this.#last = now;
    const first = (this.#first - this.#started) / 1000;
    this.message.timing = { first, seconds: (this.#last - this.#started) / 1000, tokens: count };
  }
}

/** A chunk that tells text and tools at once does not tell their order; the tokens do. */
function putInOrder(message) {
  if (!message.parts.some((part) => part.type === 'tool')) return;
  const parts = partsOfTokens(message.tokens, message.tokens.length, message.parts);
  if (textOf({ parts }) === textOf(message)) message.parts = parts;
}

/** The beginning of a character at the end of a message, out of whose text it is taken; null where there is none. */
function begunCharacter(message) {
  const { tokens, parts } = message;
  if (!tokens.at(-1)?.bytes) return null;
  const start = tokens.findLastIndex((token) => isUnknown(token) || isSpecial(token)) + 1;
  const text = new TokenText();
  for (const token of tokens.slice(start)) text.push(token);
  const last = parts.at(-1);
  if (last?.type === 'text') last.text = last.text.replace(/\ufffd+$/, '');
  return text;
}

/**
 * Tokens per second after the first one, or since the request where all came in a few reads; null where there is
 * nothing to measure.
 */
export function speedOf(timing) {
  if (!timing || timing.tokens < 2) return null;
  const seconds = timing.seconds - timing.first;
  if (seconds > 0.05) return (timing.tokens - 1) / seconds;
  return timing.seconds > 0 ? timing.tokens / timing.seconds : null;
}

/** The code in a call's arguments, which are JSON, or its beginning while they stream. */
function codeIn(text) {
  try {
    const given = JSON.parse(text);
    return typeof given?.code === 'string' ? given.code : text;
  } catch {
    return text.replace(/^\s*\{\s*"code"\s*:\s*"/, '');
  }
}
