/** Sidebar: the conversations of this browser, to find, name, keep and delete. */

import { TransferError, conversationsIn, fileName, fileOf } from '../model/transfer.js';
import { download } from './clipboard.js';
import { html, useApplication, useLayoutEffect, useRef, useState, useValue } from './framework.js';
import { Icon, IconButton, Mark } from './icons.js';

const DAY_MS = 86_400_000;
const EMPTY = 'Conversations appear here. They are kept in this browser alone.';

/** The list with its search. */
export function Sidebar({ hidden }) {
  const application = useApplication();
  const { workspace } = application;
  const entries = useValue(workspace.entries);
  const current = useValue(workspace.current);
  const [sought, seek] = useState('');
  const found = filtered(entries, sought);
  return html`<nav class="sidebar" id="sidebar" aria-label="Conversations" hidden=${hidden}>
    <div class="sidebar-head"><${Mark} /><span class="wordmark">nanochat</span></div>
    <div class="begin">
      <button type="button" class="begin-chat" onClick=${() => application.create('chat')}>
        <${Icon} name="plus" />New chat</button>
      <${IconButton} icon="book" label="New notebook" onClick=${() => application.create('notebook')} />
    </div>
    <label class="search"><${Icon} name="search" /><span class="outside">Search conversations</span>
      <input type="search" id="search" placeholder="Search" value=${sought}
        onInput=${(event) => seek(event.target.value)} onKeyDown=${(event) => {
          if (event.key === 'Escape' && sought) {
            event.stopPropagation();
            seek('');
          }
        }} /></label>
    <div class="list">
      ${groups(found).map(([name, members]) => html`<section key=${name}>
        <h2>${name}</h2>
        <ul>${members.map((entry) => html`<${Item} key=${entry.id} entry=${entry}
          open=${entry.id === current?.id} />`)}</ul>
      </section>`)}
      ${!found.length && html`<p class="nothing">${sought ? 'Nothing found.' : EMPTY}</p>`}
    </div>
    <${Files} />
  </nav>`;
}

function Item({ entry, open }) {
  const application = useApplication();
  const { workspace, runs } = application;
  useValue(runs.active);
  const [naming, name] = useState(false);
  const title = entry.title || 'Untitled';
  const keep = (text) => {
    name(false);
    if (text.trim() !== entry.title) workspace.rename(entry.id, text);
  };
  if (naming) {
    return html`<li class="item"><${NameField} title=${entry.title} keep=${keep} leave=${() => name(false)} /></li>`;
  }
  return html`<li class=${`item ${open ? 'open' : ''}`}>
    <button type="button" class="item-title" aria-current=${open ? 'true' : null} title=${title}
      onClick=${() => application.open(entry.id)} onDblClick=${() => name(true)}>
      <${Icon} name=${entry.kind === 'notebook' ? 'book' : 'chat'} /><span>${title}</span>
      ${runs.running.has(entry.id) && html`<span class="pulse" role="img" aria-label="answering"></span>`}
    </button>
    <span class="item-actions">
      <${IconButton} icon="edit" label=${`Rename ${title}`} onClick=${() => name(true)} />
      <${IconButton} icon="download" label=${`Export ${title}`} onClick=${() => exportSome(application, [entry])} />
      <${IconButton} icon="trash" label=${`Delete ${title}`} onClick=${() => application.remove(entry.id)} />
    </span>
  </li>`;
}

function NameField({ title, keep, leave }) {
  const field = useRef(null);
  const left = useRef(false);
  useLayoutEffect(() => {
    field.current.value = title;
    field.current.select();
  }, []);
  const finish = (act) => {
    if (!left.current) act();
    left.current = true;
  };
  const key = (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === 'Enter') finish(() => keep(event.target.value));
    if (event.key === 'Escape') finish(leave);
  };
  return html`<input class="name-field" ref=${field} aria-label="Name of the conversation" maxlength="200"
    onKeyDown=${key} onBlur=${(event) => finish(() => keep(event.target.value))} />`;
}

function Files() {
  const application = useApplication();
  const { workspace, screen } = application;
  const entries = useValue(workspace.entries);
  const field = useRef(null);
  const take = async () => {
    const files = [...field.current.files];
    field.current.value = '';
    try {
      const read = (await Promise.all(files.map((file) => file.text()))).flatMap(conversationsIn);
      for (const conversation of read) await workspace.adopt(conversation);
      screen.say(read.length === 1 ? '1 conversation is imported.' : `${read.length} conversations are imported.`);
      if (read.length) application.open(read[0].id);
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      screen.say(error.message);
    }
  };
  return html`<div class="files">
    <button type="button" class="quiet" onClick=${() => field.current.click()}><${Icon} name="upload" />Import</button>
    <button type="button" class="quiet" disabled=${!entries.length} onClick=${() => exportSome(application, entries)}>
      <${Icon} name="download" />Export all</button>
    <input class="outside" type="file" tabindex="-1" aria-label="Files to import" accept=".json,application/json"
      multiple ref=${field} onChange=${take} />
  </div>`;
}

async function exportSome({ workspace }, entries) {
  const conversations = (await Promise.all(entries.map((entry) => workspace.get(entry.id)))).filter(Boolean);
  download(fileName(entries.length === 1 ? entries[0].title : 'nanochat conversations'), fileOf(conversations));
}

function filtered(entries, sought) {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return entries;
  return entries.filter((entry) => {
    const text = `${entry.title}\n${entry.words}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function groups(entries) {
  const today = new Date().setHours(0, 0, 0, 0);
  const named = new Map();
  for (const entry of entries) {
    const days = Math.ceil((today - entry.updated) / DAY_MS);
    const name = days <= 0 ? 'Today' : days === 1 ? 'Yesterday' : days <= 7 ? 'Last 7 days' : 'Older';
    named.set(name, [...named.get(name) ?? [], entry]);
  }
  return [...named];
}
