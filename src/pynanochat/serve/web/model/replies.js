/** Replies: what a person can ask for in a chat. Everything that changes an earlier message makes a branch. */

import {
  add, childrenOf, newAnswer, newUserMessage, partsOfTokens, pathOf, requestMessages, textOf,
} from './conversation.js';
import { endsAnswer, isSpecial } from './tokens.js';

/** Requests of a chat. */
export class Replies {
  /** @param {import('../application.js').Application} application */
  constructor({ api, workspace, catalogue, runs, preferences }) {
    this.api = api;
    this.workspace = workspace;
    this.catalogue = catalogue;
    this.runs = runs;
    this.preferences = preferences;
  }

  /** Say something, get an answer. */
  send(conversation, text) {
    return this.#say(conversation, pathOf(conversation).at(-1)?.id ?? null, text);
  }

  /** Say something else instead of an earlier message; the old one stays as a branch. */
  edit(conversation, message, text) {
    return this.#say(conversation, message.parent, text);
  }

  /** Another answer to the same message. */
  regenerate(conversation, message) {
    return this.#answer(conversation, newAnswer(message.parent));
  }

  /** Ask once more for an answer that failed: it goes on from what it has. */
  retry(conversation, message) {
    return this.#run(conversation, message);
  }

  /** Go on with an answer that has ended. */
  proceed(conversation, message) {
    return this.#run(conversation, message);
  }

  /** Answer a message that has no answer. */
  answer(conversation, message) {
    return this.#answer(conversation, newAnswer(message.id));
  }

  /** A branch whose answer is this text; the model can go on from it. */
  async rewrite(conversation, message, text) {
    const answer = newAnswer(message.parent, [], [{ type: 'text', text }]);
    answer.finish = 'edited';
    answer.model = message.model;
    answer.usage = promptOf(message);
    add(conversation, answer);
    this.workspace.keep(conversation);
  }

  /**
   * A branch that takes another token at a place of an answer, and goes on from there.
   * @param {import('./conversation.js').Message} message
   * @param {number} place among the answer's tokens
   * @param {import('./tokens.js').Alternative} alternative
   */
  branch(conversation, message, place, alternative) {
    const taken = { ...alternative, top: message.tokens[place].top };
    const over = isSpecial(taken) && endsAnswer(taken);
    const tokens = structuredClone([...message.tokens.slice(0, place), ...over ? [] : [taken]]);
    const answer = newAnswer(message.parent, tokens, partsOfTokens(tokens, tokens.length, message.parts));
    if (!over) return this.#answer(conversation, answer);
    Object.assign(answer, { finish: 'stop', model: message.model, usage: promptOf(message) });
    add(conversation, answer);
    this.workspace.keep(conversation);
    return Promise.resolve();
  }

  #say(conversation, parent, text) {
    if (this.runs.of(conversation) || !text.trim()) return Promise.resolve();
    const message = newUserMessage(parent, text);
    add(conversation, message);
    return this.#answer(conversation, newAnswer(message.id));
  }

  #answer(conversation, answer) {
    if (this.runs.of(conversation)) return Promise.resolve();
    add(conversation, answer);
    return this.#run(conversation, answer);
  }

  #run(conversation, answer) {
    const model = this.catalogue.modelOf(conversation)?.id;
    answer.model = model;
    return this.runs.start(conversation, answer, 'v1/chat/completions', async () => {
      await this.#nameTokens(conversation, answer);
      answer.given = answer.tokens.length;
      const messages = requestMessages(conversation, answer);
      const continues = messages.at(-1)?.role === 'assistant';
      return {
        ...model ? { model } : {}, messages, ...continues ? { continue_final_message: true } : {},
        ...streamFields(this.preferences), ...conversation.settings.sampling,
        ...conversation.settings.calculator === false ? { tool_choice: 'none' } : {},
      };
    });
  }

  /** The tokens of a text that a person wrote as an answer, so that its branches have a beginning. */
  async #nameTokens(conversation, answer) {
    const text = textOf(answer);
    if (answer.tokens.length || !text) return;
    answer.tokens = await this.api.tokenize(answer.model, text, false).catch(() => []);
  }
}

/** What the prompt of an answer was, without what was given of the answer itself. */
function promptOf({ usage, given = 0 }) {
  return usage && { prompt: usage.prompt - given, cached: 0 };
}

/** What every streamed request of this page asks for. */
export function streamFields(preferences) {
  return {
    stream: true, stream_options: { include_usage: true }, return_token_ids: true,
    logprobs: true, top_logprobs: preferences.get('alternatives'),
  };
}

/** How many versions of a message there are, and which this is. */
export function branchOf(conversation, message) {
  const siblings = childrenOf(conversation, message.parent);
  return { number: siblings.indexOf(message) + 1, count: siblings.length };
}
