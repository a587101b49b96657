/** Api: the server's HTTP interface as this page uses it. */

import { Problem, broken, keyProblem, problemFrom, problemOf, saidIn, unreachable } from './problem.js';
import { eventsOf } from './sse.js';
import { writtenToken } from './tokens.js';

const END = '[DONE]';

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {number} [max_model_len]
 * @property {Record<string, any>} [nanochat] generation, parameters, backend, device, dtype, context_policy, defaults
 */

/** Requests to one server, with the API key where it wants one. */
export class Api {
  /**
   * @param {{key: () => string, askKey: (refused: boolean) => Promise<boolean>}} keys `askKey` asks the person for
   * a key, the last one being refused or not there, and says whether there is one now
   * @param {URL} [base] where the server is; its interface lies in `v1/` below it
   */
  constructor(keys, base = new URL('.', document.baseURI)) {
    this.keys = keys;
    this.base = base;
  }

  /** @returns {Promise<Model[]>} */
  async models() {
    const document = await this.#json('v1/models');
    return Array.isArray(document.data) ? document.data.filter((model) => typeof model?.id === 'string') : [];
  }

  /**
   * The token ids of a text, and each token's text.
   * @param {string} model
   * @param {string} text
   * @param {boolean} start whether the text begins a document: then the ids begin with the token that says so
   * @returns {Promise<import('./tokens.js').Token[]>}
   */
  async tokenize(model, text, start) {
    const asked = { add_special_tokens: start, parse_special: false, return_token_strs: true, with_pieces: true };
    const { tokens, token_strs: names } = await this.#json('tokenize', { model, prompt: text, ...asked });
    return tokens.map((token, at) => writtenToken(token.id ?? token, names?.[at] ?? '', token.piece));
  }

  /** One answer that is not streamed. */
  complete(body) {
    return this.#json('v1/completions', body);
  }

  /**
   * The chunks of a streamed answer.
   * @param {string} path
   * @param {object} body
   * @param {AbortSignal} signal
   * @param {(headers: Headers) => void} onHeaders called before the first chunk
   */
  async* stream(path, body, signal, onHeaders) {
    const response = await this.#fetch(path, body, signal);
    onHeaders(response.headers);
    if (!response.body) throw broken();
    try {
      for await (const data of eventsOf(response.body, END)) {
        if (data === END) return;
        const chunk = parsed(data);
        if (chunk.error) throw problemFrom(Number(chunk.error.status) || 500, saidIn(chunk.error));
        yield chunk;
      }
    } catch (error) {
      if (error instanceof Problem || signal.aborted) throw error;
      throw broken();
    }
    throw broken();
  }

  async #json(path, body) {
    const response = await this.#fetch(path, body);
    try {
      return await response.json();
    } catch {
      throw new Problem('server', 'The server’s answer is not JSON.');
    }
  }

  async #fetch(path, body, signal) {
    for (;;) {
      const used = this.keys.key();
      const response = await this.#send(path, body, signal, used);
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (problem.kind !== 'key') throw problem;
      const refused = used !== '';
      if (this.keys.key() === used && !await this.keys.askKey(refused)) throw keyProblem(refused);
    }
  }

  async #send(path, body, signal, key) {
    const headers = new Headers();
    if (key) headers.set('authorization', `Bearer ${bytesOf(key)}`);
    if (body) headers.set('content-type', 'application/json');
    const options = { method: body ? 'POST' : 'GET', headers, signal, body: body && JSON.stringify(body) };
    try {
      return await fetch(new URL(path, this.base), options);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable();
    }
  }
}

/** A header holds bytes: a key of other letters is sent in UTF-8. */
const bytesOf = (key) => String.fromCharCode(...new TextEncoder().encode(key));

function parsed(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    throw new Problem('server', 'The server sent an event that is not JSON.');
  }
}
