/** Runs: the answers that come in right now, at most one for each conversation, whether it is shown or not. */

import { signal } from '../vendor/signals-core.js';
import { AnswerTaker } from './answer.js';
import { textOf } from './conversation.js';
import { Problem, broken } from './problem.js';

const KEEP_EVERY_MS = 1500;
const LEAVING_MS = 3000;

/**
 * @typedef {object} Run
 * @property {import('./conversation.js').Message} message
 * @property {AbortController} controller
 * @property {any} version a signal that grows with each drawn change
 */

/** Starts, follows and stops streams. */
export class Runs {
  /**
   * @param {import('./api.js').Api} api
   * @param {import('./workspace.js').Workspace} workspace
   * @param {(text: string) => void} announce for screen readers
   */
  constructor(api, workspace, announce) {
    this.api = api;
    this.workspace = workspace;
    this.announce = announce;
    /** @type {Map<string, Run>} */
    this.running = new Map();
    this.active = signal(0); // changes when a run begins or ends
    this.leaving = false; // the page goes away: its streams break for no fault of the server
    workspace.busy = (id) => this.running.has(id);
    addEventListener('beforeunload', () => {
      this.leaving = true;
      setTimeout(() => { this.leaving = false; }, LEAVING_MS); // should it stay after all
    });
  }

  /** @returns {Run | undefined} */
  of(conversation) {
    return this.running.get(conversation?.id);
  }

  /** End a conversation's run; what has come stays. */
  stop(conversation) {
    this.of(conversation)?.controller.abort();
  }

  /**
   * Stream a request's answer into a message.
   * @param {import('./conversation.js').Conversation} conversation
   * @param {import('./conversation.js').Message} message
   * @param {string} path
   * @param {(signal: AbortSignal) => Promise<object>} request makes the body
   * @param {() => void} [onChunk]
   */
  async start(conversation, message, path, request, onChunk = () => {}) {
    if (this.of(conversation)) return;
    const run = { message, controller: new AbortController(), version: signal(0) };
    const { signal: stopped } = run.controller;
    this.running.set(conversation.id, run);
    this.active.value += 1;
    Object.assign(message, { finish: null, problem: null, timing: null, dropped: 0 });
    this.workspace.keep(conversation);
    const keeping = setInterval(() => this.workspace.changed(conversation), KEEP_EVERY_MS);
    const draw = atNextFrame(() => { run.version.value += 1; });
    this.announce('The model is answering.');
    try {
      const body = await request(stopped);
      const taker = new AnswerTaker(message);
      const onHeaders = (headers) => { message.dropped = Number(headers.get('x-nanochat-dropped-turns')) || 0; };
      for await (const chunk of this.api.stream(path, body, stopped, onHeaders)) {
        taker.take(chunk);
        onChunk();
        draw();
      }
      if (!message.finish) throw broken();
    } catch (error) {
      if (stopped.aborted) message.finish = 'stopped';
      else if (!this.leaving) Object.assign(message, { finish: 'failed', problem: problemIn(error) });
    } finally {
      clearInterval(keeping);
      this.running.delete(conversation.id);
      this.active.value += 1;
      this.workspace.keep(conversation);
      this.announce(message.problem ? `Error: ${message.problem.message}` : `Answer: ${textOf(message)}`);
    }
  }
}

function problemIn(error) {
  if (error instanceof Problem) {
    return { kind: error.kind, message: error.message, retryAfterSeconds: error.retryAfterSeconds };
  }
  return { kind: 'server', message: `The page could not read the answer: ${error?.message ?? error}` };
}

/** Calls `draw` once for many calls: before the next frame, or soon where the page is hidden and has no frames. */
function atNextFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    const now = () => {
      waiting = false;
      draw();
    };
    if (document.hidden) setTimeout(now, 200);
    else requestAnimationFrame(now);
  };
}
