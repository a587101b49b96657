/** Dialogs: the key for the server, and what the keyboard does. */

import { html, useApplication, useLayoutEffect, useRef, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';
import { LETTERS, SHORTCUTS } from './shortcuts.js';

/** Whatever dialog is open. */
export function Dialogs() {
  const { screen } = useApplication();
  const open = useValue(screen.dialog);
  if (open?.kind === 'help') return html`<${Help} />`;
  if (open?.kind === 'key') return html`<${KeyDialog} open=${open} />`;
  return null;
}

function Dialog({ title, children }) {
  const { screen } = useApplication();
  const box = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.({ preventScroll: true });
  }, []);
  const press = (event) => {
    if (event.target === box.current) screen.close();
  };
  return html`<dialog class="dialog" ref=${box} aria-labelledby="dialog-title" onClick=${press} onCancel=${(event) => {
    event.preventDefault();
    screen.close();
  }}>
    <div class="dialog-body"><div class="dialog-head"><h2 id="dialog-title">${title}</h2>
      <${IconButton} icon="close" label="Close" onClick=${() => screen.close()} /></div>${children}</div>
  </dialog>`;
}

function Help() {
  const { preferences } = useApplication();
  const letters = useValue(preferences.of('letters'));
  return html`<${Dialog} title="Keyboard">
    <${Keys} list=${SHORTCUTS} />
    <h3>Single keys, outside of a text field</h3>
    <p class="help-hint">${letters
      ? 'On; the settings have a switch for them.'
      : 'Off: what you type goes into the message. The settings have a switch for them.'}</p>
    <${Keys} list=${LETTERS} off=${!letters} />
  </${Dialog}>`;
}

function Keys({ list, off }) {
  return html`<dl class=${`shortcuts ${off ? 'off' : ''}`}>${list.map(({ keys, words }) => html`<div key=${words}>
    <dt>${words}</dt><dd>${keys.map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dd></div>`)}</dl>`;
}

function KeyDialog({ open }) {
  const { screen, preferences, catalogue } = useApplication();
  const field = useRef(null);
  const remember = useRef(null);
  useLayoutEffect(() => {
    field.current.value = preferences.key;
    field.current.select();
  }, []);
  const keep = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    preferences.keep(key, remember.current.checked);
    screen.dialog.value = null;
    open.answer?.(key !== '');
    if (!open.answer) catalogue.load();
  };
  return html`<${Dialog} title="API key">
    <form class="key-form" onSubmit=${keep}>
      <p class=${`reason ${open.refused ? 'refused' : ''}`} id="key-reason">
        <${Icon} name=${open.refused ? 'warning' : 'key'} /><span>${reasonOf(open)}</span></p>
      <label for="api-key">Key</label>
      <input id="api-key" type="password" autocomplete="off" spellcheck="false" ref=${field}
        aria-describedby="key-reason" aria-invalid=${open.refused ? 'true' : null} />
      <label class="switch"><input type="checkbox" ref=${remember} />Remember it in this browser</label>
      <div class="editor-actions"><button type="button" class="quiet" onClick=${() => screen.close()}>Cancel</button>
        <button type="submit" class="strong">Use this key</button></div>
    </form>
  </${Dialog}>`;
}

function reasonOf({ wanted, refused }) {
  if (refused) return 'The server did not accept this key. Look for a typing error, or ask whoever runs the server.';
  if (wanted) return 'This server only answers those who have its API key. Whoever runs it can give you one.';
  return 'Only needed where whoever runs the server has set one.';
}
