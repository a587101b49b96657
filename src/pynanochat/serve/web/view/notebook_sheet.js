/**
 * Sheet: the text of a notebook. The field to type into lies exactly above a copy of its text, as one piece, so that
 * both break their lines alike; marks between them carry the colours of the tokens. Which token is looked at is where
 * the caret or the pointer is.
 */

import { piecesOf } from '../model/notebook.js';
import { band } from '../model/tokens.js';
import { html, useApplication, useLayoutEffect, useRef, useState, useValue } from './framework.js';
import { hasMoved, spaceApart } from './token_text.js';

/** A notebook's text, to read, to change and to look into. */
export function Sheet({ conversation, run, field, proceed }) {
  const { notebook, preferences, screen } = useApplication();
  const coloured = useValue(preferences.of('colours'));
  const marks = useRef(null);
  const { text } = conversation;
  useLayoutEffect(() => {
    if (field.current.value !== text) field.current.value = text;
  }, [text]);

  const key = (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.isComposing) return;
    if (event.key === 'Enter') {
      event.preventDefault();
      proceed();
    } else if (event.key === '.') {
      event.preventDefault();
      lookAtCaret();
    }
  };
  const lookAtCaret = () => {
    let end = 0;
    const place = piecesOf(conversation.tokens).findIndex((piece) => {
      end += piece.length;
      return piece !== '' && end >= field.current.selectionStart;
    });
    const element = marks.current.querySelector(`[data-place="${place}"]`);
    if (element) look(element, true);
  };
  const look = (element, pinned) => {
    const place = Number(element.dataset.place);
    const token = conversation.tokens[place];
    if (!token?.top.length) return;
    screen.card.value = {
      owner: conversation.id, place, pinned, anchor: element, token, byText: true,
      choose: run ? null : (alternative) => notebook.branch(conversation, place, alternative),
      cut: run ? null : () => notebook.cutAfter(conversation, place),
    };
  };
  const under = (event) => document.elementsFromPoint(event.clientX, event.clientY)
    .find((element) => element.dataset?.place !== undefined && marks.current.contains(element));
  const move = (event) => {
    if (!coloured || !hasMoved(event) || screen.card.peek()?.pinned) return;
    const element = under(event);
    if (element) look(element, false);
    else if (screen.card.peek() && !screen.card.peek().held) screen.card.value = null;
  };
  const press = (event) => {
    const element = coloured && field.current.selectionStart === field.current.selectionEnd ? under(event) : null;
    if (element) look(element, true);
  };
  return html`<div class="sheet">
    <div class="backdrop" aria-hidden="true">${`${text}\n`}</div>
    <${Marks} tokens=${conversation.tokens} text=${text} coloured=${coloured} marks=${marks} />
    <textarea class="sheet-field backdrop-text" ref=${field} aria-label="Text" spellcheck="false"
      readonly=${run !== null} placeholder="Write the beginning; the model goes on from the end."
      onKeyDown=${key} onPointerMove=${move} onClick=${press} onInput=${(event) => {
        screen.card.value = null;
        notebook.edit(conversation, event.target.value);
      }}></textarea>
  </div>`;
}

/** Marks where the tokens of the copy are, drawn again when text or room change. */
function Marks({ tokens, text, coloured, marks }) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setWidth(marks.current?.clientWidth ?? 0));
    watch.observe(marks.current);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    const copy = marks.current.previousElementSibling;
    marks.current.replaceChildren(...coloured ? markedTokens(copy, piecesOf(tokens), tokens) : []);
  }, [tokens, tokens.length, text, coloured, width]);
  return html`<div class="marks" ref=${marks} aria-hidden="true"></div>`;
}

function markedTokens(copy, pieces, tokens) {
  const origin = copy.getBoundingClientRect();
  const range = document.createRange();
  const made = [];
  let end = 0;
  pieces.forEach((piece, place) => {
    const [space] = spaceApart(piece);
    const start = end + space.length;
    end += piece.length;
    if (start === end) return;
    range.setStart(copy.firstChild, start);
    range.setEnd(copy.firstChild, end);
    const kind = `token band-${Math.max(0, band(tokens[place]))}`;
    for (const box of range.getClientRects()) if (box.width > 0) made.push(mark(box, origin, place, kind));
  });
  return made;
}

function mark(box, origin, place, kind) {
  const element = document.createElement('span');
  element.className = kind;
  element.dataset.place = place;
  element.style.left = `${box.left - origin.left}px`;
  element.style.top = `${box.top - origin.top}px`;
  element.style.width = `${box.width}px`;
  element.style.height = `${box.height}px`;
  return element;
}
