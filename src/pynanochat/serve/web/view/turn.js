/** Turn: what a person said, and what turns share: the editor and the switch between branches. */

import { textOf, turnTo } from '../model/conversation.js';
import { branchOf } from '../model/replies.js';
import { copy } from './clipboard.js';
import { html, useApplication, useLayoutEffect, useRef, useState } from './framework.js';
import { IconButton } from './icons.js';

/** A message of the person. */
export function UserTurn({ conversation, message, busy, number, forgotten }) {
  const { replies, screen } = useApplication();
  const [editing, edit] = useState(false);
  const { count } = branchOf(conversation, message);
  const send = (text) => {
    edit(false);
    replies.edit(conversation, message, text);
  };
  return html`<article class=${`turn user ${forgotten ? 'forgotten' : ''}`} data-id=${message.id}>
    <h2 class="outside">Message ${number}</h2>
    <div class="body">${editing
      ? html`<${Editor} text=${textOf(message)} label="Edit the message" action="Send" done=${send}
          cancel=${() => edit(false)} />`
      : html`<p class="said">${textOf(message)}</p>`}</div>
    ${!editing && html`<footer class="foot"><div class="actions">
      ${count > 1 && html`<${BranchSwitch} conversation=${conversation} message=${message} disabled=${busy} />`}
      <${IconButton} icon="copy" label="Copy message" onClick=${async () => screen.say(
        await copy(textOf(message)) ? 'Copied.' : 'This browser does not let the page copy.')} />
      <${IconButton} icon="edit" label="Edit message" disabled=${busy} data-action="edit" onClick=${() => edit(true)} />
    </div></footer>`}
  </article>`;
}

/** ‹ 2/3 › */
export function BranchSwitch({ conversation, message, disabled = false }) {
  const { workspace, screen } = useApplication();
  const { number, count } = branchOf(conversation, message);
  const turn = (step) => () => {
    turnTo(conversation, message, step);
    screen.card.value = null;
    workspace.keep(conversation);
    screen.announce(`Branch ${number + step} of ${count}`);
  };
  return html`<span class="branches" role="group" aria-label="Branches">
    <${IconButton} icon="left" label="Previous branch" disabled=${disabled || number === 1} onClick=${turn(-1)} />
    <span class="branch-number">${number}/${count}</span>
    <${IconButton} icon="right" label="Next branch" disabled=${disabled || number === count} onClick=${turn(1)} />
  </span>`;
}

/** A field for a text that is changed in its place. */
export function Editor({ text, label, action, done, cancel }) {
  const field = useRef(null);
  useLayoutEffect(() => {
    field.current.value = text;
    field.current.focus();
    field.current.setSelectionRange(text.length, text.length);
    fit(field.current);
  }, []);
  const save = () => {
    if (field.current.value.trim()) done(field.current.value);
  };
  const key = (event) => {
    event.stopPropagation();
    if (event.key === 'Escape') cancel();
    if (isSendKey(event)) {
      event.preventDefault();
      save();
    }
  };
  return html`<div class="editor">
    <textarea ref=${field} aria-label=${label} rows="1" onKeyDown=${key} onInput=${() => fit(field.current)}></textarea>
    <div class="editor-actions">
      <button type="button" class="quiet" onClick=${cancel}>Cancel</button>
      <button type="button" class="strong" onClick=${save}>${action}</button>
    </div>
  </div>`;
}

/** Whether a key press sends: Enter alone, and never the one that ends an input method's composition. */
export function isSendKey(event) {
  return event.key === 'Enter' && !event.shiftKey && !event.altKey && !event.isComposing && event.keyCode !== 229;
}

/** As high as its text, where the browser does not do that by itself. */
export function fit(field) {
  if (CSS.supports('field-sizing', 'content')) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + 2}px`;
}
