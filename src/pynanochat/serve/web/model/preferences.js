/** Preferences: what a person has set for this browser. The API key is forgotten with the tab, unless asked. */

import { signal } from '../vendor/signals-core.js';

const STORED = 'nanochat.preferences';
const KEY = 'nanochat.key';

const INITIAL = {
  theme: 'system', // or light, dark
  colours: false, // tokens coloured by probability
  sidebar: true,
  panel: false,
  letters: false, // single keys are shortcuts, outside of text fields
  alternatives: 8, // asked for with each token
  settings: { system: '', sampling: {}, model: null, calculator: true }, // of the next new conversation
};

/** Signals, one for each preference. */
export class Preferences {
  constructor() {
    const stored = read(localStorage, STORED);
    this.signals = {};
    for (const [name, initial] of Object.entries(INITIAL)) {
      const value = stored && typeof stored[name] === typeof initial ? stored[name] : initial;
      this.signals[name] = signal(value);
    }
  }

  /** The signal of a preference. */
  of(name) {
    return this.signals[name];
  }

  /** The value of a preference. */
  get(name) {
    return this.signals[name].peek();
  }

  /** Change a preference and keep it. */
  set(name, value) {
    this.signals[name].value = value;
    const all = Object.fromEntries(Object.entries(this.signals).map(([each, held]) => [each, held.peek()]));
    write(localStorage, STORED, all);
  }

  /** The API key, `''` where there is none. */
  get key() {
    return read(sessionStorage, KEY) ?? read(localStorage, KEY) ?? '';
  }

  /** Keep the API key until the tab is closed, or longer where `remember` says so. */
  keep(key, remember) {
    write(sessionStorage, KEY, key || null);
    write(localStorage, KEY, remember && key ? key : null);
  }
}

function read(storage, name) {
  try {
    return JSON.parse(storage.getItem(name));
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    if (value === null) storage.removeItem(name);
    else storage.setItem(name, JSON.stringify(value));
  } catch { // nothing can be kept here; the page works all the same
  }
}
