/** NotebookPage: one text that person and model write together. */

import { perplexity } from '../model/tokens.js';
import { ContextMeter } from './composer.js';
import { Figures, countFigure, perplexityFigure, timingFigures } from './figures.js';
import { html, useApplication, useLayoutEffect, useProgress, useRef, useState, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';
import { Sheet } from './notebook_sheet.js';
import { Scroller } from './scroller.js';
import { Legend } from './token_text.js';

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
      ${message.problem.kind !== 'context' && html`<button type="button" class="quiet" data-action="retry"
        onClick=${proceed}>Retry</button>`}</div>`}
    <div class="bar-row">
      ${run
        ? html`<button type="button" class="strong" onClick=${() => runs.stop(conversation)}>
            <${Icon} name="stop" />Stop</button>`
        : html`<button type="button" class="strong" onClick=${proceed}><${Icon} name="forward" />Continue</button>`}
      <${IconButton} icon="undo" label="Undo the last run" disabled=${!undo || run}
        onClick=${() => notebook.undo(conversation)} />
      <${IconButton} icon="redo" label="Redo" disabled=${!redo || run} onClick=${() => notebook.redo(conversation)} />
      <button type="button" class="quiet" disabled=${run || scoring || !conversation.text} onClick=${score}
        aria-label="Score the text" title="Ask how probable each token of the text is, yours included">
        <${Icon} name="tokens" />Score<span class="wide">the text</span></button>
      <${ContextMeter} path=${used} run=${run} model=${catalogue.modelOf(conversation)} />
    </div>
    <${Figures} figures=${figuresOf(message, conversation, coloured)}>
      ${coloured && conversation.tokens.length > 0 && html`<${Legend} />`}</${Figures}>
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
