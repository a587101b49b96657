/** Server-sent events out of a byte stream, however it is cut: inside a line, a character, or between CR and LF. */

/** Collects lines into events; `push` returns the data of the events that are complete now. */
export class EventParser {
  #decoder = new TextDecoder();
  #line = '';
  #data = [];
  #skipLineFeed = false;

  /**
   * @param {Uint8Array | undefined} bytes the next bytes, or nothing at the end of the stream
   * @returns {string[]}
   */
  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: bytes !== undefined });
    const complete = [];
    let start = 0;
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at];
      const skipped = this.#skipLineFeed && character === '\n';
      this.#skipLineFeed = false;
      if (skipped) {
        start = at + 1;
      } else if (character === '\n' || character === '\r') {
        this.#skipLineFeed = character === '\r';
        this.#endLine(this.#line + text.slice(start, at), complete);
        this.#line = '';
        start = at + 1;
      }
    }
    this.#line += text.slice(start);
    return complete;
  }

  #endLine(line, complete) {
    if (line === '') {
      if (this.#data.length) complete.push(this.#data.join('\n'));
      this.#data = [];
    } else if (line === 'data') {
      this.#data.push('');
    } else if (line.startsWith('data:')) {
      this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}

/**
 * The data of each event of a response's body, in their order.
 * @param {ReadableStream<Uint8Array>} body
 * @param {string} last the data of the event that ends it; what comes after is read and forgotten
 * @returns {AsyncGenerator<string>}
 */
export async function* eventsOf(body, last) {
  const reader = body.getReader();
  const parser = new EventParser();
  let rest = () => reader.cancel().catch(() => {});
  try {
    for (;;) {
      const { done, value } = await reader.read();
      for (const data of parser.push(done ? undefined : value)) {
        if (data === last) rest = () => drain(reader);
        yield data;
      }
      if (done) return;
    }
  } finally {
    rest();
  }
}

/** To the end, so that the connection ends as an answered one and not as a broken one. */
async function drain(reader) {
  try {
    while (!(await reader.read()).done);
  } catch { // the other side has left first
  }
}
