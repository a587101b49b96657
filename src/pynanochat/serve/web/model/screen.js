/** Screen: what is open on the page besides the conversation, and what it says to a person. */

import { signal } from '../vendor/signals-core.js';
import { freshId } from './conversation.js';

const TOAST_MS = 6000;

/** Dialogs, notices, drawers. */
export class Screen {
  constructor() {
    this.dialog = signal(null); // { kind: 'help' | 'key', ... }
    this.toasts = signal([]); // { id, text, action, act }
    this.spoken = signal(''); // for screen readers
    this.drawer = signal(null); // on narrow screens: 'sidebar' or 'panel', above the page
    this.card = signal(null); // the token that is looked at: { owner, place, anchor, pinned }
    this.composer = signal(null); // the text field to type into, while there is one
  }

  /**
   * Show a notice for a while.
   * @param {string} text
   * @param {string} [action] what its button says
   * @param {() => void} [act]
   */
  say(text, action = '', act = () => {}) {
    const toast = { id: freshId(), text, action, act };
    this.toasts.value = [...this.toasts.peek().slice(-2), toast];
    setTimeout(() => this.hush(toast.id), TOAST_MS);
    this.announce(text);
  }

  /** Take a notice away. */
  hush(id) {
    this.toasts.value = this.toasts.peek().filter((toast) => toast.id !== id);
  }

  /** Say something to those who listen. */
  announce(text) {
    this.spoken.value = text;
  }

  /**
   * Ask for an API key; resolves to whether there is one now.
   * @param {boolean} refused whether the server did not accept the one that there was
   */
  askKey(refused) {
    const open = this.dialog.peek();
    if (open?.kind === 'key') return open.answered;
    let answer;
    const answered = new Promise((resolve) => { answer = resolve; });
    this.dialog.value = { kind: 'key', wanted: true, refused, answered, answer };
    return answered;
  }

  /** Close whatever dialog is open. */
  close() {
    const open = this.dialog.peek();
    this.dialog.value = null;
    open?.answer?.(false);
  }
}
