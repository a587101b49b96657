/** Header: which conversation this is, which model answers, and what is shown of its tokens. */

import { wordsOn } from '../model/catalogue.js';
import { html, useApplication, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';

/** The bar above a conversation. */
export function Header({ conversation, togglePanel, toggleSidebar }) {
  const { workspace, preferences, screen } = useApplication();
  useValue(workspace.revision);
  useValue(workspace.entries);
  const coloured = useValue(preferences.of('colours'));
  const title = conversation.title || (conversation.kind === 'notebook' ? 'New notebook' : 'New chat');
  return html`<header class="header">
    <${IconButton} icon="menu" label="Conversations" aria-controls="sidebar" onClick=${toggleSidebar} />
    <h1 class="title" title=${title}>${title}</h1>
    <${ModelPicker} conversation=${conversation} />
    <button type="button" class="toggle" aria-pressed=${coloured} aria-label="Tokens"
      title="Colour tokens by their probability" onClick=${() => {
        screen.card.value = null;
        preferences.set('colours', !coloured);
      }}><${Icon} name="tokens" /><span>Tokens</span></button>
    <${IconButton} icon="sliders" label="Settings" aria-controls="panel" onClick=${togglePanel} />
  </header>`;
}

function ModelPicker({ conversation }) {
  const application = useApplication();
  const { catalogue } = application;
  const models = useValue(catalogue.models);
  const model = catalogue.modelOf(conversation);
  if (!models.length) return null;
  if (models.length === 1) return html`<span class="model" title=${wordsOn(model)}>${model.id}</span>`;
  return html`<label class="model"><span class="outside">Model</span>
    <select value=${model.id} title=${wordsOn(model)}
      onChange=${(event) => application.configure({ model: event.target.value })}>
      ${models.map((each) => html`<option key=${each.id} value=${each.id}>${each.id}</option>`)}
    </select></label>`;
}
