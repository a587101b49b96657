/** Application: the parts of the page, put together once. */

import { Api } from './model/api.js';
import { Catalogue } from './model/catalogue.js';
import { Database } from './model/database.js';
import { Notebook } from './model/notebook.js';
import { Preferences } from './model/preferences.js';
import { Replies } from './model/replies.js';
import { Runs } from './model/runs.js';
import { Screen } from './model/screen.js';
import { Workspace } from './model/workspace.js';

/** What the views act on. */
export class Application {
  /** @param {Database} database */
  constructor(database) {
    this.preferences = new Preferences();
    this.screen = new Screen();
    const keys = { key: () => this.preferences.key, askKey: (refused) => this.screen.askKey(refused) };
    this.api = new Api(keys);
    this.workspace = new Workspace(database, (message) => this.screen.say(message));
    this.catalogue = new Catalogue(this.api);
    this.runs = new Runs(this.api, this.workspace, (text) => this.screen.announce(text));
    this.replies = new Replies(this);
    this.notebook = new Notebook(this);
  }

  /** The page with what this browser has kept. */
  static async start() {
    const application = new Application(await Database.open());
    if (!application.workspace.database.lasting) {
      application.screen.say('This browser keeps nothing here: conversations are gone when the page is closed.');
    }
    await application.workspace.load();
    application.catalogue.load();
    await application.route();
    addEventListener('popstate', () => application.route());
    application.workspace.entries.subscribe(() => application.#address());
    return application;
  }

  /** Show what the address names; a new chat where it names nothing. */
  async route() {
    const id = location.hash.slice(1);
    if (id && id === this.workspace.current.peek()?.id) return;
    if (!id || !await this.workspace.open(id)) this.create('chat');
  }

  /** Open a conversation. */
  async open(id) {
    const conversation = await this.workspace.open(id);
    if (conversation) this.#show(conversation);
  }

  /** Begin a chat or a notebook, with the settings of the last one but its system prompt. */
  create(kind) {
    const settings = { ...this.preferences.get('settings'), system: '' };
    this.#show(this.workspace.start(kind, settings));
    this.screen.composer.peek()?.focus();
  }

  /** Change settings of the open conversation; new ones begin with them. */
  configure(change) {
    const conversation = this.workspace.current.peek();
    Object.assign(conversation.settings, change);
    this.preferences.set('settings', structuredClone(conversation.settings));
    this.workspace.changed(conversation);
    this.workspace.revision.value += 1;
  }

  /** Delete a conversation; a notice offers to undo it. */
  async remove(id) {
    const { workspace, screen } = this;
    this.runs.running.get(id)?.controller.abort();
    const entry = workspace.entries.peek().find((one) => one.id === id);
    const restore = await workspace.remove(id);
    if (workspace.current.peek()?.id === id) this.create('chat');
    screen.say(`“${entry?.title || 'Untitled'}” is deleted.`, 'Undo', () => {
      restore();
      this.open(id);
    });
  }

  #show(conversation) {
    this.screen.card.value = null;
    this.screen.drawer.value = null;
    const saved = this.workspace.entries.peek().some((entry) => entry.id === conversation.id);
    const address = saved ? `#${conversation.id}` : location.pathname + location.search;
    if (saved || location.hash) history.pushState(null, '', address);
  }

  /** Once the open conversation is kept it has an address, so that a reload finds it. */
  #address() {
    const id = this.workspace.current.peek()?.id;
    const kept = this.workspace.entries.peek().some((entry) => entry.id === id);
    if (kept && location.hash.slice(1) !== id) history.replaceState(null, '', `#${id}`);
  }
}
