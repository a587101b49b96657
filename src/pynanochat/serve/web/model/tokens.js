/**
 * Tokens: what the page keeps of each token, and what probabilities look like.
 *
 * @typedef {object} Alternative
 * @property {number | null} id
 * @property {string} text
 * @property {number} logprob
 *
 * @typedef {object} Token
 * @property {number | null} id null where the server does not tell ids
 * @property {string} text `''` where nothing is known of it, as for what a tool wrote
 * @property {number[]} [bytes] where they are no whole characters, so that `text` cannot say them
 * @property {number | null} logprob null where it was not sampled
 * @property {Alternative[]} top the most probable ones at this place, best first
 */

const SPECIAL = /^<\|[a-z_]+\|>$/;
const ENDS = new Set(['<|assistant_end|>', '<|bos|>']);
const BANDS = [0.9, 0.7, 0.5, 0.25, 0.1, 0.02]; // a probability's band is the number of bounds that it lies below

/** How many bands there are; band 0 is the surest. */
export const BAND_COUNT = BANDS.length + 1;

/** @returns {Token} a token of which only the id is known */
export const unknownToken = (id) => ({ id, text: '', logprob: null, top: [] });

/**
 * A token of a text that the model did not write.
 * @param {number} id
 * @param {string} name
 * @param {string | number[] | undefined} piece its text, or its bytes where they are no whole characters
 * @returns {Token}
 */
export function writtenToken(id, name, piece) {
  const token = { id, text: name, logprob: null, top: [] };
  return Array.isArray(piece) && piece.length ? { ...token, bytes: piece } : token;
}

/** Whether nothing but the id is known: the token belongs to a tool block. */
export const isUnknown = (token) => token.logprob === null && token.text === '' && !token.bytes;

/**
 * A token out of an item of `logprobs.content`.
 * @returns {Token}
 */
export function tokenOf(item) {
  const { text, bytes } = spelled(item);
  const token = { id: item.token_id ?? null, text, logprob: finite(item.logprob), top: alternativesOf(item) };
  if (bytes) token.bytes = bytes;
  return token;
}

/** The probability that the model gave this token, from 0 to 1; null where it was not sampled. */
export const probability = (token) => token.logprob === null ? null : Math.min(1, Math.exp(token.logprob));

/** 0 for a token that was nearly certain, up to `BAND_COUNT - 1` for one that was most surprising; -1 if unknown. */
export function band(token) {
  const p = probability(token);
  return p === null ? -1 : BANDS.filter((bound) => p < bound).length;
}

/** Whether a text is the name of a special token, as `<|python_start|>`. */
export const isSpecial = (token) => !token.bytes && SPECIAL.test(token.text);

/** Whether the answer would be over with this token. */
export const endsAnswer = (alternative) => ENDS.has(alternative.text);

/** A probability for people: 97 %, 4.2 %, 0.03 %. */
export function percent(p) {
  const value = p * 100;
  const digits = value >= 9.95 ? 0 : value >= 0.995 ? 1 : 2;
  if (value < 0.005) return '< 0.01 %';
  return `${p < 1 && value >= 99.5 ? '> 99' : value.toFixed(digits)} %`;
}

/** A token's text with its white space made visible; `''` for an empty one. */
export function visible(text) {
  return text.replaceAll(' ', '·').replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll('\r', '␍');
}

/** What to call a token that has to be told apart from its neighbours. */
export function nameOf(token) {
  if (token.bytes) return token.bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return visible(token.text) || '∅';
}

/** exp of the mean surprise of the sampled tokens; null where there are none. */
export function perplexity(tokens) {
  const known = tokens.filter((token) => token.logprob !== null);
  if (!known.length) return null;
  return Math.exp(-known.reduce((sum, token) => sum + token.logprob, 0) / known.length);
}

/** Joins the bytes of tokens into text: whole characters only, what is left of the last one stays inside. */
export class TokenText {
  #decoder = new TextDecoder();
  #encoder = new TextEncoder();

  /** @param {Token | Alternative & {bytes?: number[]}} token */
  push(token) {
    const bytes = token.bytes ? Uint8Array.from(token.bytes) : this.#encoder.encode(token.text);
    return this.#decoder.decode(bytes, { stream: true });
  }
}

function alternativesOf(item) {
  const top = Array.isArray(item.top_logprobs) ? item.top_logprobs : [];
  return top.map((other) => {
    const { text, bytes } = spelled(other);
    const alternative = { id: other.token_id ?? null, text, logprob: finite(other.logprob) ?? -1000 };
    return bytes ? { ...alternative, bytes } : alternative;
  }).sort((a, b) => b.logprob - a.logprob);
}

function spelled(item) {
  const said = typeof item.token === 'string' ? item.token : '';
  if (!Array.isArray(item.bytes) || SPECIAL.test(said)) return { text: said };
  const bytes = Uint8Array.from(item.bytes);
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { text: said, bytes: item.bytes };
  }
}

function finite(value) {
  return Number.isFinite(value) ? value : null;
}
