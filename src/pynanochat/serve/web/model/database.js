/** Database: conversations in the browser's IndexedDB, or in memory alone where it has none. */

/**
 * @typedef {object} Entry what the list shows of a conversation
 * @property {string} id
 * @property {'chat' | 'notebook'} kind
 * @property {string} title
 * @property {number} updated milliseconds
 * @property {string} words all of its text, for the search
 */

const NAME = 'nanochat';
const VERSION = 1;

/** Two stores: `entries` is small and read whole, `conversations` holds one record each. */
export class Database {
  /** @param {IDBDatabase | null} connection null: in memory */
  constructor(connection) {
    this.connection = connection;
    this.entries = new Map();
    this.conversations = new Map();
  }

  /** Whether what is put here is still there tomorrow. */
  get lasting() {
    return this.connection !== null;
  }

  /** @returns {Promise<Database>} */
  static async open() {
    try {
      return new Database(await connect());
    } catch {
      return new Database(null);
    }
  }

  /** @returns {Promise<Entry[]>} latest first */
  async list() {
    const entries = this.connection
      ? await asked(this.#store('entries').getAll())
      : [...this.entries.values()];
    return entries.sort((a, b) => b.updated - a.updated);
  }

  /** @returns {Promise<import('./conversation.js').Conversation | null>} */
  async get(id) {
    if (!this.connection) return structuredClone(this.conversations.get(id) ?? null);
    return await asked(this.#store('conversations').get(id)) ?? null;
  }

  /**
   * @param {Entry} entry
   * @param {import('./conversation.js').Conversation} conversation
   */
  async put(entry, conversation) {
    if (!this.connection) {
      this.entries.set(entry.id, entry);
      this.conversations.set(entry.id, structuredClone(conversation));
      return;
    }
    const transaction = this.connection.transaction(['entries', 'conversations'], 'readwrite');
    transaction.objectStore('entries').put(entry);
    transaction.objectStore('conversations').put(conversation);
    transaction.commit(); // now, so that it holds even if the page is closed at this moment
    await finished(transaction);
  }

  /** Forget a conversation. */
  async remove(id) {
    this.entries.delete(id);
    this.conversations.delete(id);
    if (!this.connection) return;
    const transaction = this.connection.transaction(['entries', 'conversations'], 'readwrite');
    transaction.objectStore('entries').delete(id);
    transaction.objectStore('conversations').delete(id);
    await finished(transaction);
  }

  #store(name) {
    return this.connection.transaction(name).objectStore(name);
  }
}

function connect() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('entries', { keyPath: 'id' });
      request.result.createObjectStore('conversations', { keyPath: 'id' });
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('another tab holds an older version open'));
  });
}

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser gave no room'));
  });
}
