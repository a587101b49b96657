/**
 * NotebookPage: one text that person and model write together. The field to type into lies exactly above a copy of its
 * text that carries the colours; which token is looked at is where the caret or the pointer is.
 */

import { piecesOf } from '../model/notebook.js';
import { band, perplexity } from '../model/tokens.js';
import { ContextMeter } from './composer.js';
import { Figures, countFigure, perplexityFigure, timingFigures } from './figures.js';
import {
  Fragment, html, useApplication, useLayoutEffect, useMemo, useProgress, useRef, useState, useValue,
} from './framework.js';
import { Icon, IconButton } from './icons.js';
import { Scroller } from './scroller.js';
import { Legend, hasMoved, spaceApart } from './token_text.js';

const OPENINGS = ['Once upon a time', 'The little robot looked at the sea and', 'One day, a girl named'];

/** A notebook. */
export function NotebookPage({ conversation }) {
  const application = useApplication();
  const { workspace, runs, notebook, screen } = application;
  useValue(workspace.revision);
  useValue(runs.active);
  const run = runs.of(conversation) ?? null;
  useProgress(run);
  const field = useRef(null);

  useLayoutEffect(() => {
    screen.composer.value = field.current;
    if (matchMedia('(pointer: fine)').matches) field.current.focus({ preventScroll: true });
    return () => { screen.composer.value = null; };
  }, []);
  const proceed = () => {
    screen.card.value = null;
    notebook.proceed(conversation);
  };
  const open = (text) => {
    notebook.edit(conversation, text);
    proceed();
  };
  return html`
    <${Scroller} key=${conversation.id} mark=${conversation.id}>
      <div class="notebook">
        <${Sheet} conversation=${conversation} run=${run} field=${field} proceed=${proceed} />
        ${!conversation.text && html`<ul class="openings">${OPENINGS.map((text) => html`<li key=${text}>
          <button type="button" class="opening" onClick=${() => open(text)}>${text} …</button></li>`)}</ul>`}
      </div>
    </${Scroller}>
    <${Bar} conversation=${conversation} run=${run} proceed=${proceed} />`;
}

function Sheet({ conversation, run, field, proceed }) {
  const { notebook, preferences, screen } = useApplication();
  const coloured = useValue(preferences.of('colours'));
  const back = useRef(null);
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
    const element = back.current.querySelector(`[data-place="${place}"]`);
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
    .find((element) => element.dataset?.place !== undefined && back.current.contains(element));
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
    <${Backdrop} tokens=${conversation.tokens} text=${text} coloured=${coloured} back=${back} />
    <textarea class="sheet-field backdrop-text" ref=${field} aria-label="Text" spellcheck="false"
      readonly=${run !== null} placeholder="Write the beginning; the model goes on from the end."
      onKeyDown=${key} onPointerMove=${move} onClick=${press} onInput=${(event) => {
        screen.card.value = null;
        notebook.edit(conversation, event.target.value);
      }}></textarea>
  </div>`;
}

/** The same text below the field, which sees through to its colours. */
function Backdrop({ tokens, text, coloured, back }) {
  const count = tokens.length;
  const spans = useMemo(() => {
    if (!coloured) return [text];
    const pieces = piecesOf(tokens);
    const rest = text.slice(pieces.reduce((sum, piece) => sum + piece.length, 0));
    return [...pieces.map((piece, place) => {
      const [space, word] = spaceApart(piece);
      return piece === '' ? null : html`<${Fragment} key=${place}>${space}<span data-place=${place}
        class=${`token band-${Math.max(0, band(tokens[place]))}`}>${word}</span></${Fragment}>`;
    }), rest];
  }, [tokens, count, text, coloured]);
  return html`<div class="backdrop" ref=${back} aria-hidden="true">${spans}${'\n'}</div>`;
}

function Bar({ conversation, run, proceed }) {
  const { notebook, runs, screen, catalogue, preferences } = useApplication();
  const [scoring, setScoring] = useState(false);
  const coloured = useValue(preferences.of('colours'));
  useValue(catalogue.models);
  const message = run?.message ?? conversation.last;
  const { undo, redo } = notebook.history(conversation);
  const score = async () => {
    setScoring(true);
    try {
      await notebook.score(conversation);
      preferences.set('colours', true);
    } catch (problem) {
      screen.say(problem.message);
    }
    setScoring(false);
  };
  const used = [{ role: 'assistant', tokens: [], parts: [], usage: { prompt: conversation.tokens.length } }];
  return html`<div class="notebook-bar"><div class="composer" id="composer" role="toolbar" aria-label="Notebook">
    ${message?.problem && html`<div class="problem" role="alert">
      <${Icon} name="warning" /><p>${message.problem.message}</p>
      <button type="button" class="quiet" data-action="retry" onClick=${proceed}>Retry</button></div>`}
    <div class="bar-row">
      ${run
        ? html`<button type="button" class="strong" onClick=${() => runs.stop(conversation)}>
            <${Icon} name="stop" />Stop</button>`
        : html`<button type="button" class="strong" onClick=${proceed}><${Icon} name="forward" />Continue</button>`}
      <${IconButton} icon="undo" label="Undo the last run" disabled=${!undo || run}
        onClick=${() => notebook.undo(conversation)} />
      <${IconButton} icon="redo" label="Redo" disabled=${!redo || run} onClick=${() => notebook.redo(conversation)} />
      <button type="button" class="quiet" disabled=${run || scoring || !conversation.text} onClick=${score}
        title="Ask how probable each token of the text is, yours included">
        <${Icon} name="tokens" />Score the text</button>
      <${ContextMeter} path=${used} run=${run} model=${catalogue.modelOf(conversation)} />
    </div>
    <${Figures} figures=${figuresOf(message, conversation, coloured)}>${coloured && html`<${Legend} />`}</${Figures}>
  </div></div>`;
}

function figuresOf(message, notebook, coloured) {
  const figures = timingFigures(message?.timing);
  const { length } = notebook.tokens;
  if (length) figures.push(countFigure(length, 'Tokens of the text'));
  const confused = coloured ? perplexity(notebook.tokens) : null;
  if (confused !== null) figures.push(perplexityFigure(confused));
  if (message?.finish === 'length') figures.push({ text: 'token limit reached', meaning: 'Why the text ends here' });
  return figures;
}
