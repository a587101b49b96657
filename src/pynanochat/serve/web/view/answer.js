/** AnswerTurn: what the model said, with its tools, its numbers, and what can be done with it. */

import { textOf } from '../model/conversation.js';
import { branchOf } from '../model/replies.js';
import { perplexity } from '../model/tokens.js';
import { copy } from './clipboard.js';
import { Figures, countFigure, perplexityFigure, timingFigures } from './figures.js';
import { html, useApplication, useEffect, useProgress, useState, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';
import { Prose } from './prose.js';
import { Legend, TokenText } from './token_text.js';
import { BranchSwitch, Editor } from './turn.js';

const ENDINGS = {
  length: 'Token limit reached',
  stopped: 'Stopped',
  tool_calls: 'Waiting for a tool',
  edited: 'Written by you',
};

/** One answer; while it comes in, only this is drawn again. */
export function AnswerTurn({ conversation, message, run, number }) {
  const application = useApplication();
  const { preferences, replies } = application;
  const coloured = useValue(preferences.of('colours'));
  const [editing, edit] = useState(false);
  const running = run !== null;
  useProgress(run);

  const choose = running ? null : (place, alternative) => replies.branch(conversation, message, place, alternative);
  const tokens = coloured && message.tokens.some((token) => token.text !== '' || token.bytes);
  const rewrite = (text) => {
    edit(false);
    replies.rewrite(conversation, message, text);
  };
  return html`<article class=${`turn answer ${running ? 'running' : ''}`} data-id=${message.id} aria-busy=${running}>
    <h2 class="outside">Answer ${number}</h2>
    <div class="body">
      ${editing ? html`<${Editor} text=${textOf(message)} label="Edit the answer" done=${rewrite}
          action="Save as a branch" cancel=${() => edit(false)} />`
      : tokens ? html`<${TokenText} tokens=${message.tokens} parts=${message.parts} owner=${message.id}
          choose=${choose} />`
      : message.parts.map((part, index) => part.type === 'text'
        ? html`<${Prose} key=${`text ${index}`} text=${part.text} />`
        : html`<${ToolBlock} key=${`tool ${index}`} part=${part} running=${running} />`)}
      ${running && !message.parts.length && html`<p class="waiting"><span></span><span></span><span></span>
        <span class="outside">The model is reading</span></p>`}
      ${message.problem && html`<${ProblemBox} conversation=${conversation} message=${message} />`}
    </div>
    <footer class="foot">
      <${Numbers} conversation=${conversation} message=${message} running=${running} coloured=${tokens} />
      ${!running && html`<${Actions} conversation=${conversation} message=${message} edit=${() => edit(true)} />`}
    </footer>
  </article>`;
}

/** A call of the model's tool with its result, in one line where it fits. */
export function ToolBlock({ part, running }) {
  const name = part.name === 'python' || !part.name ? 'calculator' : part.name;
  const waiting = running && part.output === null;
  return html`<div class="tool" role="group" aria-label=${`The model used its ${name}`}>
    <${Icon} name="tool" /><code class="tool-input">${part.input || '…'}</code>
    ${part.output !== null && html`<span class="tool-arrow" aria-label="gives">→</span>
      <code class="tool-output">${part.output}</code>`}
    ${waiting && html`<span class="tool-arrow">…</span>`}
  </div>`;
}

function Numbers({ conversation, message, running, coloured }) {
  return html`<${Figures} figures=${figuresOf(conversation, message, running, coloured)}>
    ${coloured && html`<${Legend} />`}</${Figures}>`;
}

function figuresOf(conversation, message, running, coloured) {
  const { tokens, usage, dropped, finish, problem, model } = message;
  const figures = timingFigures(message.timing);
  if (tokens.length) figures.push(countFigure(tokens.length, 'Tokens of this answer'));
  if (usage?.cached && !running) {
    const text = `${usage.cached} of ${usage.prompt} prompt tokens reused`;
    const meaning = `${usage.cached} of the prompt’s ${usage.prompt} tokens were still in the server’s memory`;
    figures.push({ text, meaning, kind: 'minor' });
  }
  if (dropped) {
    const text = `${dropped} oldest ${dropped === 1 ? 'turn' : 'turns'} left out`;
    figures.push({ text, meaning: 'The context was full; a line above shows where', kind: 'warm' });
  }
  const confused = coloured && !running ? perplexity(tokens) : null;
  if (confused !== null) figures.push(perplexityFigure(confused));
  const ending = running || problem ? null : endingOf(finish);
  if (ending) figures.push({ text: ending, meaning: 'Why the answer ends here' });
  const models = new Set(conversation.messages.map((each) => each.model).filter(Boolean));
  if (models.size > 1 && model) figures.push({ text: model, meaning: 'The model that answered' });
  return figures;
}

const endingOf = (finish) => finish === null ? 'Interrupted' : ENDINGS[finish] ?? null;

function Actions({ conversation, message, edit }) {
  const { replies, screen } = useApplication();
  const { count } = branchOf(conversation, message);
  const goesOn = ['length', 'stopped', 'edited', null].includes(message.finish) && message.parts.length > 0;
  return html`<div class="actions">
    ${count > 1 && html`<${BranchSwitch} conversation=${conversation} message=${message} />`}
    ${goesOn && html`<button type="button" class="quiet" data-action="continue"
      onClick=${() => replies.proceed(conversation, message)}><${Icon} name="forward" />Continue</button>`}
    ${message.parts.length > 0 && html`<${IconButton} icon="copy" label="Copy answer" onClick=${async () => screen.say(
      await copy(textOf(message)) ? 'Copied.' : 'This browser does not let the page copy.')} />`}
    <${IconButton} icon="edit" label="Edit answer" onClick=${edit} />
    <${IconButton} icon="retry" label="Regenerate" data-action="regenerate"
      onClick=${() => replies.regenerate(conversation, message)} />
  </div>`;
}

function ProblemBox({ conversation, message }) {
  const { replies, catalogue } = useApplication();
  const { kind, retryAfterSeconds } = message.problem;
  const [left, setLeft] = useState(kind === 'busy' ? Math.ceil(retryAfterSeconds || 1) : 0);
  useEffect(() => {
    if (left <= 0) return undefined;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  const again = async () => {
    if (!catalogue.models.peek().length) await catalogue.load();
    replies.retry(conversation, message);
  };
  const rewrite = () => document.querySelector(`[data-id="${message.parent}"] [data-action="edit"]`)?.click();
  return html`<div class="problem" role="alert"><${Icon} name="warning" /><p>${message.problem.message}</p>
    ${kind === 'context' && html`<button type="button" class="quiet" data-action="shorten" onClick=${rewrite}>
      Edit message</button>`}
    <button type="button" class="quiet" data-action="retry" onClick=${again}>
      ${left > 0 ? `Retry (better in ${left} s)` : message.parts.length ? 'Go on' : 'Retry'}</button></div>`;
}
