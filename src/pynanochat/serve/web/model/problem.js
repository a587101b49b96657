/** Problem: what went wrong between page and server, in words for a person. */

/** @typedef {'network' | 'key' | 'busy' | 'context' | 'request' | 'missing' | 'server' | 'broken'} Kind */

/** An error that a person can read; `kind` tells the page what to offer. */
export class Problem extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {number} [retryAfterSeconds]
   */
  constructor(kind, message, retryAfterSeconds = 0) {
    super(message);
    this.name = 'Problem';
    this.kind = kind;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The connection ended before the answer did. */
export const broken = () => new Problem('broken', 'The connection ended before the answer was complete.');

/** The server answers only to those who have its key; `tried` says that one was sent. */
export const keyProblem = (tried) => new Problem('key', tried
  ? 'The server did not accept this API key.'
  : 'This server wants an API key.');

/** Nothing answers at the server's address. */
export const unreachable = () =>
  new Problem('network', 'The server cannot be reached. Is “nanochat serve” still running?');

/**
 * What a refused request means; takes the server's own words where it gives some.
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  const said = saidBy(await response.text().catch(() => ''));
  const wait = Number(response.headers.get('retry-after')) || 0;
  return problemFrom(response.status, said, wait);
}

/**
 * The same for an error that comes inside a stream.
 * @param {number} status
 * @param {{message: string, code: string}} said
 * @param {number} [wait] seconds
 */
export function problemFrom(status, said, wait = 0) {
  const because = said.message ? ` ${said.message}` : '';
  if (status === 401 || status === 403 && said.code === 'invalid_api_key') {
    return keyProblem(false);
  }
  if (said.code === 'context_length_exceeded') {
    return new Problem('context', `This no longer fits the model’s context.${because}`);
  }
  if (status === 429) return new Problem('busy', `The server is busy.${because}`, wait || 1);
  if (status === 503) return new Problem('busy', `The server is starting or shutting down.${because}`, wait || 2);
  if (status === 404) return new Problem('missing', said.message || 'The server does not know this address.');
  if (status === 413) return new Problem('request', `This is more than the server takes at once.${because}`);
  if (status >= 500) return new Problem('server', `The server failed.${because}`);
  return new Problem('request', said.message || `The server refused the request (${status}).`);
}

/** @param {any} error the `error` object of OpenAI's error shape */
export function saidIn(error) {
  return {
    message: typeof error?.message === 'string' ? error.message.slice(0, 2000) : '',
    code: typeof error?.code === 'string' ? error.code : '',
  };
}

function saidBy(text) {
  try {
    return saidIn(JSON.parse(text).error);
  } catch {
    return { message: '', code: '' };
  }
}
