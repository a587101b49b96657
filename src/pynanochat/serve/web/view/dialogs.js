/** Dialogs: the key for the server, and what the keyboard does. */

import { html, useApplication, useLayoutEffect, useRef, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';
import { SHORTCUTS } from './shortcuts.js';

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
  return html`<${Dialog} title="Keyboard">
    <dl class="shortcuts">${SHORTCUTS.map(({ keys, words }) => html`<div key=${words}>
      <dt>${words}</dt><dd>${keys.map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dd></div>`)}</dl>
  </${Dialog}>`;
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
      ${open.reason && html`<p class="reason"><${Icon} name="key" />${open.reason}</p>`}
      <label for="api-key">Key</label>
      <input id="api-key" type="password" autocomplete="off" spellcheck="false" ref=${field} />
      <label class="switch"><input type="checkbox" ref=${remember} />Remember it in this browser</label>
      <div class="editor-actions"><button type="button" class="quiet" onClick=${() => screen.close()}>Cancel</button>
        <button type="submit" class="strong">Use this key</button></div>
    </form>
  </${Dialog}>`;
}
