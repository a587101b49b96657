/** Panel: the settings of the open conversation, and of the page. */

import { wordsOn } from '../model/catalogue.js';
import { defaultOf, fieldsOf, typedOf, valueOf } from '../model/sampling.js';
import { html, useApplication, useId, useLayoutEffect, useRef, useValue } from './framework.js';
import { Icon, IconButton } from './icons.js';

const THEMES = [['system', 'half', 'System'], ['light', 'sun', 'Light'], ['dark', 'moon', 'Dark']];

/** System prompt, sampling, appearance. */
export function Panel({ conversation, hidden, close }) {
  const application = useApplication();
  const { workspace, catalogue, screen } = application;
  useValue(workspace.revision);
  useValue(catalogue.models);
  const model = catalogue.modelOf(conversation);
  const { system, sampling, calculator = true } = conversation.settings;
  const changed = Object.keys(sampling).length;
  const set = (name, value) => {
    const { [name]: _, ...others } = sampling;
    application.configure({ sampling: value === undefined ? others : { ...others, [name]: value } });
  };
  return html`<aside class="panel" id="panel" aria-label="Settings" hidden=${hidden}>
    <div class="panel-head"><h2>Settings</h2>
      <${IconButton} icon="close" label="Close settings" onClick=${close} /></div>
    ${model && html`<p class="facts"><strong>${model.id}</strong>${wordsOn(model)}</p>`}
    ${conversation.kind === 'chat' && html`<section>
      <h3><label for="system-prompt">System prompt</label></h3>
      <textarea id="system-prompt" rows="3" placeholder="None" value=${system}
        onInput=${(event) => application.configure({ system: event.target.value })}></textarea>
      <label class="switch"><input type="checkbox" checked=${calculator} aria-describedby="calculator-hint"
        onChange=${(event) => application.configure({ calculator: event.target.checked })} />Calculator</label>
      <p class="hint" id="calculator-hint">${calculator
        ? 'The model may use it in its answers.'
        : 'Off: the model has to calculate by itself.'}</p>
    </section>`}
    <section>
      <h3>Sampling ${changed > 0 && html`<button type="button" class="quiet reset"
        onClick=${() => application.configure({ sampling: {} })}>Reset all</button>`}</h3>
      ${fieldsOf(conversation.kind).map((field) => html`<${Setting} key=${`${conversation.id} ${field.name}`}
        field=${field} value=${sampling[field.name]} initial=${defaultOf(field, model)}
        set=${(value) => set(field.name, value)} />`)}
    </section>
    <${Appearance} />
    <p class="panel-foot"><button type="button" class="quiet"
      onClick=${() => { screen.dialog.value = { kind: 'key' }; }}><${Icon} name="key" />API key</button>
      <button type="button" class="quiet" onClick=${() => { screen.dialog.value = { kind: 'help' }; }}>
        <${Icon} name="help" />Keyboard</button></p>
  </aside>`;
}

/** One sampling setting; a mark and a button show that it differs from the server's. */
function Setting({ field, value, initial, set }) {
  const id = useId();
  const own = value !== undefined;
  const shown = own ? value : initial;
  const hint = `${id}-hint`;
  const typed = html`<${TypedField} id=${id} field=${field} value=${shown} set=${set} hint=${hint} />`;
  return html`<div class=${`setting ${own ? 'own' : ''}`}>
    <div class="setting-head">
      <label for=${id} title=${field.hint}>${field.label}</label>
      ${own && html`<${IconButton} icon="undo" label=${`Reset ${field.label}`} onClick=${() => set(undefined)} />`}
      ${field.kind !== 'lines' && typed}
    </div>
    ${field.kind === 'range' && html`<input type="range" tabindex="-1" aria-hidden="true" min=${field.least}
      max=${field.most} step=${field.step} value=${shown}
      onInput=${(event) => set(valueOf(field, event.target.value))} />`}
    ${field.kind === 'lines' && typed}
    <p class="hint" id=${hint}>${field.hint}</p>
  </div>`;
}

/** Takes what was typed when the field is left, so that nothing is corrected under the person's hands. */
function TypedField({ id, field, value, set, hint }) {
  const element = useRef(null);
  const typed = typedOf(field, value);
  useLayoutEffect(() => {
    if (document.activeElement !== element.current) element.current.value = typed;
  }, [typed]);
  const take = () => {
    const taken = valueOf(field, element.current.value);
    if (typedOf(field, taken) !== typed) set(taken);
    element.current.value = typedOf(field, taken ?? value);
  };
  const common = { id, ref: element, 'aria-describedby': hint, placeholder: field.empty, onChange: take };
  if (field.kind === 'lines') return html`<textarea rows="2" ...${common}></textarea>`;
  return html`<input type="text" inputmode="decimal" ...${common} />`;
}

function Appearance() {
  const { preferences } = useApplication();
  const theme = useValue(preferences.of('theme'));
  const letters = useValue(preferences.of('letters'));
  const choose = (name) => {
    preferences.set('theme', name);
    if (name === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  };
  return html`<section>
    <h3>Page</h3>
    <div class="themes" role="radiogroup" aria-label="Theme">
      ${THEMES.map(([name, icon, label]) => html`<label key=${name} class=${theme === name ? 'chosen' : ''}
        title=${label}><input type="radio" name="theme" class="outside" value=${name} checked=${theme === name}
          onChange=${() => choose(name)} /><${Icon} name=${icon} /><span>${label}</span></label>`)}
    </div>
    <label class="switch"><input type="checkbox" checked=${letters} aria-describedby="letters-hint"
      onChange=${(event) => preferences.set('letters', event.target.checked)} />Single-key shortcuts</label>
    <p class="hint" id="letters-hint">${letters
      ? 'Outside of a text field, letters are commands.'
      : 'Off: what you type outside of a text field goes into the message.'}</p>
  </section>`;
}
