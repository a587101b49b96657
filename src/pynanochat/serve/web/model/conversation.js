/**
 * Conversation: a tree of messages, of which one path is shown. Editing and regenerating add branches, nothing is lost.
 *
 * @typedef {import('./tokens.js').Token} Token
 *
 * @typedef {{type: 'text', text: string}} TextPart
 * @typedef {{type: 'tool', call: string, name: string, input: string, output: string | null}} ToolPart
 * @typedef {TextPart | ToolPart} Part
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string | null} parent
 * @property {'user' | 'assistant'} role
 * @property {number} created milliseconds
 * @property {Part[]} parts
 * @property {Token[]} [tokens] of an answer; empty where the server told none
 * @property {number} [given] how many of the tokens were there before this answer's last run
 * @property {string | null} [finish] null while it runs; else stop, length, tool_calls, stopped, edited or failed
 * @property {{kind: string, message: string} | null} [problem]
 * @property {string} [model]
 * @property {{first: number, seconds: number, tokens: number} | null} [timing] of the last run; first in seconds
 * @property {{prompt: number, cached: number} | null} [usage] tokens
 * @property {number} [dropped] oldest turns that the last run left out of the prompt
 *
 * @typedef {object} Settings
 * @property {string} system
 * @property {Record<string, any>} sampling only what differs from the server's own settings
 * @property {string | null} model null: the server's first
 * @property {boolean} [calculator] false: the model may not use it
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {'chat' | 'notebook'} kind
 * @property {string} title
 * @property {boolean} named by the person, not by the page
 * @property {number} created
 * @property {number} updated
 * @property {Settings} settings
 * @property {Message[]} messages
 * @property {Record<string, string>} chosen for a message's id, or `root`: which of its children is shown
 * @property {string} [text] of a notebook
 * @property {Token[]} [tokens] of a notebook: the tokens of the beginning of its text
 * @property {any} [last] of a notebook: what is known of its last run
 */

import { TokenText, isSpecial, isUnknown } from './tokens.js';

const TITLE_LENGTH = 60;

/** A name that no other thing has; works on pages without https, too. */
export function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @returns {Conversation} */
export function newConversation(kind, settings) {
  const now = Date.now();
  const notebook = kind === 'notebook' ? { text: '', tokens: [], last: null } : {};
  return {
    id: freshId(), kind, title: '', named: false, created: now, updated: now,
    settings: structuredClone(settings), messages: [], chosen: {}, ...notebook,
  };
}

/** @returns {Message} */
export function newUserMessage(parent, text) {
  return { id: freshId(), parent, role: 'user', created: Date.now(), parts: [{ type: 'text', text }] };
}

/** An answer that has not begun; `tokens` and `parts` are what is given of it. @returns {Message} */
export function newAnswer(parent, tokens = [], parts = []) {
  return {
    id: freshId(), parent, role: 'assistant', created: Date.now(), parts, tokens, given: tokens.length, finish: null,
    problem: null, timing: null, usage: null, dropped: 0,
  };
}

/** Put a message into the tree and show it. */
export function add(conversation, message) {
  conversation.messages.push(message);
  conversation.chosen[message.parent ?? 'root'] = message.id;
  conversation.updated = Date.now();
}

/** The messages that follow a message, or begin the conversation; oldest first. */
export const childrenOf = (conversation, id) => conversation.messages.filter((message) => message.parent === id);

/** The messages that are shown, in their order. @returns {Message[]} */
export function pathOf(conversation) {
  const path = [];
  let id = null;
  for (;;) {
    const children = childrenOf(conversation, id);
    if (!children.length) return path;
    const chosen = conversation.chosen[id ?? 'root'];
    const next = children.find((message) => message.id === chosen) ?? children.at(-1);
    path.push(next);
    id = next.id;
  }
}

/** Show another branch: the one `step` places further among the message's siblings. */
export function turnTo(conversation, message, step) {
  const siblings = childrenOf(conversation, message.parent);
  const next = siblings[siblings.indexOf(message) + step];
  if (next) conversation.chosen[message.parent ?? 'root'] = next.id;
  return next;
}

/** What a person reads of a message, without tool blocks. */
export function textOf(message) {
  return message.parts.map((part) => part.type === 'text' ? part.text : '').join('');
}

/** What to call a conversation that nobody has named. */
export function titleFrom(text) {
  const line = text.trim().split('\n', 1)[0];
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).trimEnd()}…` : line;
}

/**
 * The messages of a request for this answer: what is above it and, where it is to be continued, what it has.
 * Answers go back as the very tokens that they are.
 */
export function requestMessages(conversation, answer) {
  const path = pathOf(conversation);
  const above = path.slice(0, path.indexOf(answer));
  const system = conversation.settings.system.trim();
  const messages = above.map(requestMessage);
  if (system) messages.unshift({ role: 'system', content: system });
  return answer.given || textOf(answer) ? [...messages, requestMessage(answer)] : messages;
}

function requestMessage(message) {
  const content = textOf(message);
  const ids = (message.tokens ?? []).map((token) => token.id);
  const exact = message.role === 'assistant' && ids.length && ids.every((id) => id !== null);
  return exact ? { role: message.role, content, token_ids: ids } : { role: message.role, content };
}

/**
 * The parts that the first `count` tokens of an answer make, its tool blocks included.
 * @param {Token[]} tokens
 * @param {number} count
 * @param {Part[]} parts what the whole answer has; what the tokens do not tell of a tool is taken from there
 * @returns {Part[]}
 */
export function partsOfTokens(tokens, count, parts) {
  const known = parts.filter(isTool);
  /** @type {Part[]} */
  const made = [];
  let text = new TokenText();
  let tool = null; // the block that is open
  let hidden = false; // inside tokens of which nothing is known
  for (const token of tokens.slice(0, count)) {
    const at = made.filter(isTool).length;
    if (isUnknown(token)) {
      const last = made.at(-1);
      if (!hidden && last?.type === 'tool') last.output = known[at - 1]?.output ?? null;
      else if (!hidden) made.push(known[at] ?? newTool());
      hidden = true;
      continue;
    }
    hidden = false;
    if (isSpecial(token)) {
      tool = token.text === '<|python_start|>' ? newTool() : null;
      if (tool) made.push(tool);
      text = new TokenText();
    } else if (tool) {
      tool.input += text.push(token);
    } else {
      const piece = text.push(token);
      const last = made.at(-1);
      if (last?.type === 'text') last.text += piece;
      else made.push({ type: 'text', text: piece });
    }
  }
  return structuredClone(made);
}

/** @type {(part: Part) => part is ToolPart} */
const isTool = (part) => part.type === 'tool';

/** A call of a tool that has not answered. @returns {ToolPart} */
export const newTool = () => ({ type: 'tool', call: '', name: 'python', input: '', output: null });
