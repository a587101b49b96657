/** ChatPage: the path of a conversation that is shown, and the field to go on with it. */

import { pathOf } from '../model/conversation.js';
import { wordsOn } from '../model/catalogue.js';
import { AnswerTurn } from './answer.js';
import { Composer } from './composer.js';
import { html, useApplication, useValue } from './framework.js';
import { Icon, Mark } from './icons.js';
import { Scroller } from './scroller.js';
import { UserTurn } from './turn.js';

const OPENINGS = [
  'Tell me a story about a fox and a lost key.',
  'What is 123 times 45?',
  'How many r’s are in strawberry?',
  'Who are you?',
];

const NO_MODEL = 'The server has no model.';

/** A chat. */
export function ChatPage({ conversation }) {
  const { workspace, runs, replies } = useApplication();
  useValue(workspace.revision);
  useValue(runs.active);
  const run = runs.of(conversation) ?? null;
  const path = pathOf(conversation);
  const waits = !run && path.at(-1)?.role === 'user';
  return html`
    <${Scroller} key=${conversation.id} mark=${path.at(-1)?.id}>
      ${path.length === 0
        ? html`<${Welcome} conversation=${conversation} />`
        : html`<div class="transcript" role="log" aria-live="off" aria-label="Conversation" aria-busy=${run !== null}>
            <${SystemLine} conversation=${conversation} />
            ${turns(conversation, path, run)}
            ${waits && html`<button type="button" class="quiet"
              onClick=${() => replies.answer(conversation, path.at(-1))}><${Icon} name="retry" />Answer this</button>`}
          </div>`}
    </${Scroller}>
    <${Composer} key=${`composer ${conversation.id}`} conversation=${conversation} path=${path} run=${run} />`;
}

/** The messages, and a line below those that the last answer was written without. */
function turns(conversation, path, run) {
  const answers = path.filter((message) => message.role === 'assistant');
  const dropped = answers.findLast((answer) => answer.dropped || answer.parts.length)?.dropped ?? 0;
  const shown = [];
  path.forEach((message, index) => {
    const number = Math.floor(index / 2) + 1;
    if (dropped && index === 2 * dropped) shown.push(html`<${DroppedNotice} key="dropped" count=${dropped} />`);
    const rest = { key: message.id, conversation, message, number };
    if (message.role === 'user') {
      shown.push(html`<${UserTurn} ...${rest} busy=${run !== null} forgotten=${index < 2 * dropped} />`);
    } else {
      shown.push(html`<${AnswerTurn} ...${rest} run=${run?.message === message ? run : null} />`);
    }
  });
  return shown;
}

function DroppedNotice({ count }) {
  const what = count === 1 ? 'The oldest turn above was' : `The oldest ${count} turns above were`;
  return html`<div class="dropped" role="note"><span>
    ${what} left out: the context is full. The model no longer sees what stands above this line.</span></div>`;
}

function SystemLine({ conversation }) {
  const { preferences } = useApplication();
  const system = conversation.settings.system.trim();
  if (!system) return null;
  return html`<button type="button" class="system-line" title="Change the system prompt"
    onClick=${() => preferences.set('panel', true)}><span>System</span> ${system}</button>`;
}

function Welcome({ conversation }) {
  const application = useApplication();
  const { catalogue, replies } = application;
  useValue(catalogue.models);
  const problem = useValue(catalogue.problem);
  const loading = useValue(catalogue.loading);
  const model = catalogue.modelOf(conversation);
  return html`<div class="welcome">
    <${Mark} />
    <h2>${model?.id ?? (problem ? 'No model' : 'nanochat')}</h2>
    <p class="facts">${problem?.message ?? (model ? wordsOn(model) : loading ? 'Asking the server…' : NO_MODEL)}</p>
    ${problem && html`<button type="button" class="quiet" onClick=${() => catalogue.load()}>
      <${Icon} name="retry" />Try again</button>`}
    <ul class="openings">
      ${OPENINGS.map((text) => html`<li key=${text}><button type="button" class="opening"
        onClick=${() => replies.send(conversation, text)}>${text}</button></li>`)}
      <li><button type="button" class="opening other" onClick=${() => application.create('notebook')}>
        <${Icon} name="book" />Write with the model in a notebook</button></li>
    </ul>
  </div>`;
}
