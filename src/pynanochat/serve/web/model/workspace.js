/** Workspace: the conversations of this browser, which of them is open, and how they are kept. */

import { signal } from '../vendor/signals-core.js';
import { newConversation, textOf, titleFrom } from './conversation.js';

const SAVE_AFTER_MS = 150;
const WORDS_LENGTH = 20_000;

/** Everything that is kept goes through here; other tabs are told. */
export class Workspace {
  /**
   * @param {import('./database.js').Database} database
   * @param {(message: string) => void} complain where something cannot be kept
   */
  constructor(database, complain) {
    this.database = database;
    this.complain = complain;
    /** @type {{value: import('./database.js').Entry[], peek: Function, subscribe: Function}} */
    this.entries = signal([]);
    /** @type {{value: import('./conversation.js').Conversation | null, peek: Function, subscribe: Function}} */
    this.current = signal(null);
    this.revision = signal(0); // grows when what is open has changed inside
    this.busy = (id) => false; // whether something writes to a conversation right now; set by whoever does
    this.#open = new Map();
    this.#timers = new Map();
    this.#channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('nanochat') : null;
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#changedElsewhere(data);
    addEventListener('pagehide', () => this.flush());
    document.addEventListener('visibilitychange', () => document.hidden && this.flush());
  }

  #open; // by id: the one copy that this page has of a conversation
  #timers;
  #channel;

  /** Read the list. */
  async load() {
    this.entries.value = await this.database.list().catch(() => []);
  }

  /** Show a new conversation; it is kept once it has something in it. */
  start(kind, settings) {
    const conversation = newConversation(kind, settings);
    this.#open.set(conversation.id, conversation);
    this.current.value = conversation;
    return conversation;
  }

  /** Show a conversation; null where there is none of this id. */
  async open(id) {
    const conversation = await this.get(id);
    if (conversation) this.current.value = conversation;
    return conversation;
  }

  /** @returns {Promise<import('./conversation.js').Conversation | null>} */
  async get(id) {
    if (!this.#open.has(id)) {
      const read = await this.database.get(id).catch(() => null);
      if (read && !this.#open.has(id)) this.#open.set(id, read);
    }
    return this.#open.get(id) ?? null;
  }

  /** Say that a conversation has changed: the page shows it, and it is written soon. */
  changed(conversation) {
    if (this.current.peek() === conversation) this.revision.value += 1;
    if (!conversation.messages.length && !conversation.text && !this.#listed(conversation.id)) return;
    conversation.updated = Date.now();
    this.#list(conversation);
    if (!this.#timers.has(conversation.id)) {
      this.#timers.set(conversation.id, setTimeout(() => this.#write(conversation), SAVE_AFTER_MS));
    }
  }

  /** The same, and it is written now: a page that is closed at this moment may lose what waits. */
  keep(conversation) {
    this.changed(conversation);
    if (this.#timers.has(conversation.id)) this.#write(conversation);
  }

  /** Write what waits. */
  flush() {
    for (const id of [...this.#timers.keys()]) this.#write(this.#open.get(id));
  }

  /** Give a conversation a name; an empty one lets the page choose again. */
  async rename(id, title) {
    const conversation = await this.get(id);
    if (!conversation) return;
    conversation.named = title.trim() !== '';
    conversation.title = title.trim();
    this.changed(conversation);
  }

  /** Forget a conversation; what comes back puts it there again. */
  async remove(id) {
    const conversation = await this.get(id);
    const entry = this.#listed(id);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.entries.value = this.entries.peek().filter((other) => other.id !== id);
    this.#open.delete(id);
    await this.database.remove(id).catch(() => {});
    this.#channel?.postMessage({ id });
    return () => {
      if (conversation && entry) this.adopt(conversation);
    };
  }

  /** Take a whole conversation, as from a file. */
  adopt(conversation) {
    this.#open.set(conversation.id, conversation);
    this.#list(conversation);
    return this.#write(conversation);
  }

  #listed(id) {
    return this.entries.peek().find((entry) => entry.id === id);
  }

  #list(conversation) {
    const entry = entryOf(conversation);
    const others = this.entries.peek().filter((other) => other.id !== entry.id);
    this.entries.value = [entry, ...others].sort((a, b) => b.updated - a.updated);
  }

  async #write(conversation) {
    clearTimeout(this.#timers.get(conversation.id));
    this.#timers.delete(conversation.id);
    try {
      await this.database.put(entryOf(conversation), conversation);
      this.#channel?.postMessage({ id: conversation.id });
    } catch {
      this.complain('This browser has no room to keep the conversation. Export it, or delete others.');
    }
  }

  async #changedElsewhere({ id }) {
    await this.load();
    if (!this.#open.has(id) || this.busy(id) || this.#timers.has(id)) return;
    const read = await this.database.get(id).catch(() => null);
    if (!read) return;
    this.#open.set(id, read);
    if (this.current.peek()?.id === id) this.current.value = read;
  }
}

function entryOf(conversation) {
  const { id, kind, updated } = conversation;
  const texts = kind === 'notebook' ? [conversation.text] : conversation.messages.map(textOf);
  const title = conversation.named ? conversation.title : titleFrom(texts[0] ?? '');
  conversation.title = title;
  return { id, kind, title, updated, words: texts.join('\n').slice(0, WORDS_LENGTH) };
}
