/** Composer: the field for the next message, Send or Stop, and how full the context is. */

import { textOf } from '../model/conversation.js';
import { html, useApplication, useLayoutEffect, useProgress, useRef, useState, useValue } from './framework.js';
import { IconButton } from './icons.js';
import { fit, isSendKey } from './turn.js';

/** What a person types into. */
export function Composer({ conversation, path, run }) {
  const { replies, runs, screen, catalogue } = useApplication();
  const [text, setText] = useState('');
  const field = useRef(null);
  useValue(catalogue.models);
  const model = catalogue.modelOf(conversation);

  useLayoutEffect(() => {
    screen.composer.value = field.current;
    if (matchMedia('(pointer: fine)').matches) field.current.focus({ preventScroll: true });
    return () => { screen.composer.value = null; };
  }, []);
  useLayoutEffect(() => fit(field.current), [text]);

  const send = () => {
    if (run || !text.trim()) return;
    setText('');
    replies.send(conversation, text);
  };
  const key = (event) => {
    if (isSendKey(event)) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && text === '') {
      const last = path.findLast((message) => message.role === 'user');
      const button = last && document.querySelector(`[data-id="${last.id}"] [data-action="edit"]`);
      if (button && !button.disabled) {
        event.preventDefault();
        button.click();
      }
    }
  };
  return html`<form class="composer" id="composer" aria-label="Message" onSubmit=${(event) => {
    event.preventDefault();
    send();
  }}>
    <div class="composer-box">
      <textarea ref=${field} rows="1" value=${text} aria-label=${`Message to ${model?.id ?? 'the model'}`}
        placeholder=${`Message ${model?.id ?? 'the model'}`} onInput=${(event) => setText(event.target.value)}
        onKeyDown=${key} enterkeyhint="send"></textarea>
      <${ContextMeter} path=${path} run=${run} model=${model} />
      ${run
        ? html`<${IconButton} icon="stop" label="Stop" class="round stop" onClick=${() => runs.stop(conversation)} />`
        : html`<${IconButton} icon="send" label="Send" class="round send" disabled=${!text.trim()} onClick=${send} />`}
    </div>
  </form>`;
}

/** How much of the model's context the conversation takes, as far as the server has told. */
export function ContextMeter({ path, run, model }) {
  const ring = useRef(null);
  useProgress(run);
  const length = model?.max_model_len;
  const used = usedBy(path.findLast((message) => message.role === 'assistant' && message.usage));
  const share = length && used ? Math.min(1, used / length) : 0;
  useLayoutEffect(() => ring.current?.style.setProperty('--share', String(share)), [share, length, used]);
  if (!length || !used) return null;
  const words = `${used} of ${length} tokens of context`;
  const kind = `meter ${share > 0.85 ? 'full' : ''}`;
  return html`<span class=${kind} ref=${ring} role="img" aria-label=${words} title=${words}>
    <svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7.5" />
      <circle class="meter-share" cx="10" cy="10" r="7.5" pathLength="1" /></svg>
    <span>${Math.round(share * 100)} %</span></span>`;
}

/** Prompt and answer of the last run; a continued answer is in the prompt already. */
function usedBy(message) {
  if (!message) return 0;
  const { tokens, given = 0, usage } = message;
  return usage.prompt + (tokens.length ? tokens.length - given : Math.ceil(textOf(message).length / 4));
}
