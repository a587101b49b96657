/** Transfer: conversations as a file, and out of one. Nothing of a foreign file is taken but what is checked here. */

import { freshId, newAnswer, newConversation, newTool, newUserMessage, pathOf, textOf } from './conversation.js';
import { checkedSampling } from './sampling.js';

const FORMAT = 'nanochat-conversations';
const EXPECTED = 'what “Export” or the terminal’s /save writes';
const LIMITS = { conversations: 5000, messages: 5000, text: 5_000_000, tokens: 200_000, alternatives: 64 };

/** What a person reads when a file is no conversations. */
export class TransferError extends Error {}

/**
 * The text of a file with these conversations. One alone can be opened by `/load` of `nanochat chat`, too.
 * @param {import('./conversation.js').Conversation[]} conversations
 */
export function fileOf(conversations) {
  const [first, ...others] = conversations;
  const alone = others.length || first?.kind !== 'chat' ? {} : terminalForm(first);
  return JSON.stringify({ format: FORMAT, version: 1, ...alone, conversations }, null, 1);
}

/**
 * The conversations in a file's text, under new names; raises `TransferError` where it holds none.
 * @returns {import('./conversation.js').Conversation[]}
 */
export function conversationsIn(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new TransferError(`This file is not JSON; expected ${EXPECTED}.`);
  }
  if (document?.format === FORMAT && Array.isArray(document.conversations)) {
    return document.conversations.slice(0, LIMITS.conversations).map(checkedConversation);
  }
  const messages = Array.isArray(document) ? document : document?.messages;
  if (Array.isArray(messages)) return [fromMessages(messages, document)];
  throw new TransferError(`This file holds no conversations; expected ${EXPECTED}.`);
}

/** A conversation as Markdown, the path that is shown. */
export function markdownOf(conversation) {
  if (conversation.kind === 'notebook') return conversation.text;
  const turns = pathOf(conversation).map((message) => `**${nameOf(message.role)}:** ${textOf(message)}`);
  return `# ${conversation.title}\n\n${turns.join('\n\n')}\n`;
}

/** A name for a file with this title in it. */
export function fileName(title) {
  const words = title.toLowerCase().normalize('NFKD').replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 40);
  return `${words || 'conversations'}.json`;
}

const nameOf = (role) => role === 'user' ? 'You' : 'Model';

function terminalForm(conversation) {
  const path = pathOf(conversation);
  const messages = path.map((message) => ({ role: message.role, content: nanochatContent(message) }));
  const answers = path.filter((message) => message.role === 'assistant');
  const ids = answers.map((message) => message.tokens.map((token) => token.id));
  const known = ids.every((some) => some.length && some.every((id) => id !== null));
  return { system: conversation.settings.system || null, messages, ...known ? { answers: ids } : {} };
}

function nanochatContent(message) {
  if (message.parts.every((part) => part.type === 'text')) return textOf(message);
  return message.parts.flatMap((part) => part.type === 'text' ? [part] : [
    { type: 'python', text: part.input },
    ...part.output === null ? [] : [{ type: 'python_output', text: part.output }],
  ]);
}

function checkedConversation(given) {
  const kind = given?.kind === 'notebook' ? 'notebook' : 'chat';
  const conversation = newConversation(kind, checkedSettings(given?.settings));
  conversation.title = string(given?.title).slice(0, 200);
  conversation.named = given?.named === true;
  conversation.created = time(given?.created);
  conversation.updated = time(given?.updated);
  if (kind === 'notebook') {
    const tokens = tokensOf(given.tokens);
    conversation.text = string(given.text);
    conversation.tokens = conversation.text.startsWith(tokens.map((token) => token.text).join('')) ? tokens : [];
    return conversation;
  }
  const names = new Map(); // an id in the file: the new one
  for (const message of list(given?.messages, LIMITS.messages)) {
    const parent = names.get(message?.parent) ?? null;
    const above = conversation.messages.find((other) => other.id === parent);
    const role = above?.role === 'user' ? 'assistant' : 'user';
    if (message?.role !== role || (message.parent ?? null) !== null && !above) continue;
    const checked = role === 'user' ? newUserMessage(parent, '') : checkedAnswer(parent, message);
    if (role === 'user') checked.parts = [{ type: 'text', text: list(message.parts, 100).map(partText).join('') }];
    checked.created = time(message.created);
    conversation.messages.push(checked);
    names.set(message.id, checked.id);
  }
  for (const [parent, child] of Object.entries(given?.chosen ?? {})) {
    const key = parent === 'root' ? 'root' : names.get(parent);
    if (key && names.has(child)) conversation.chosen[key] = names.get(child);
  }
  return conversation;
}

function checkedAnswer(parent, given) {
  const answer = newAnswer(parent, tokensOf(given.tokens), partsOf(given.parts));
  answer.finish = ['stop', 'length', 'tool_calls', 'stopped', 'edited', 'failed'].find((one) => one === given.finish)
    ?? 'stopped';
  if (typeof given.model === 'string') answer.model = given.model.slice(0, 200);
  const { timing, usage } = given;
  if (timing) {
    answer.timing = { first: number(timing.first), seconds: number(timing.seconds), tokens: number(timing.tokens) };
  }
  if (usage) answer.usage = { prompt: number(usage.prompt), cached: number(usage.cached) };
  answer.dropped = Number.isInteger(given.dropped) && given.dropped > 0 ? given.dropped : 0;
  return answer;
}

function fromMessages(messages, document) {
  const system = string(document?.system ?? (messages[0]?.role === 'system' ? messages[0].content : ''));
  const conversation = newConversation('chat', { system, sampling: {}, model: null });
  const answers = list(document?.answers, LIMITS.messages);
  let parent = null;
  let count = 0;
  for (const message of messages.slice(0, LIMITS.messages)) {
    if (message?.role === 'system' && parent === null) continue;
    const last = conversation.messages.at(-1);
    const expected = last?.role === 'user' ? 'assistant' : 'user';
    if (message?.role !== expected) throw new TransferError('In this file user and assistant do not take turns.');
    const made = expected === 'user' ? newUserMessage(parent, contentText(message.content)) : newAnswer(parent);
    if (expected === 'assistant') {
      made.parts = contentParts(message.content);
      made.tokens = list(answers[count], LIMITS.tokens).filter(Number.isInteger).map(
        (id) => ({ id, text: '', logprob: null, top: [] }));
      made.finish = 'stop';
      count += 1;
    }
    conversation.messages.push(made);
    parent = made.id;
  }
  if (!conversation.messages.length) throw new TransferError('This file holds no messages.');
  return conversation;
}

function contentParts(content) {
  if (typeof content === 'string') return content ? [{ type: 'text', text: string(content) }] : [];
  /** @type {import('./conversation.js').Part[]} */
  const parts = [];
  for (const part of list(content, 1000)) {
    const last = parts.at(-1);
    if (part?.type === 'python') {
      parts.push({ ...newTool(), call: freshId(), input: string(part.text) });
    } else if (part?.type === 'python_output' && last?.type === 'tool') {
      last.output = string(part.text);
    } else if (part?.type === 'text') {
      parts.push({ type: 'text', text: string(part.text) });
    }
  }
  return parts;
}

const contentText = (content) => contentParts(content).map(partText).join('');
const partText = (part) => part?.type === 'text' ? string(part.text) : '';

function partsOf(given) {
  /** @type {import('./conversation.js').Part[]} */
  const parts = [];
  for (const part of list(given, 1000)) {
    if (part?.type === 'text') parts.push({ type: 'text', text: string(part.text) });
    if (part?.type !== 'tool') continue;
    const output = part.output === null ? null : string(part.output);
    parts.push({ ...newTool(), call: string(part.call), name: string(part.name), input: string(part.input), output });
  }
  return parts;
}

function tokensOf(given) {
  return list(given, LIMITS.tokens).map((token) => ({
    ...tokenFields(token),
    logprob: Number.isFinite(token?.logprob) ? token.logprob : null,
    top: list(token?.top, LIMITS.alternatives).map((other) => ({
      ...tokenFields(other), logprob: Number.isFinite(other?.logprob) ? other.logprob : -1000 })),
  }));
}

function tokenFields(token) {
  const fields = { id: Number.isInteger(token?.id) && token.id >= 0 ? token.id : null, text: string(token?.text) };
  const bytes = list(token?.bytes, 1000).filter((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256);
  return bytes.length ? { ...fields, bytes } : fields;
}

function checkedSettings(given) {
  const model = typeof given?.model === 'string' ? given.model.slice(0, 200) : null;
  const calculator = given?.calculator !== false;
  return { system: string(given?.system), sampling: checkedSampling(given?.sampling), model, calculator };
}

const string = (value) => typeof value === 'string' ? value.slice(0, LIMITS.text) : '';
const list = (value, most) => Array.isArray(value) ? value.slice(0, most) : [];
const time = (value) => Number.isFinite(value) && value > 0 ? value : Date.now();
const number = (value) => Number.isFinite(value) ? value : 0;
