/** TokenCard: what the model thought at one place, and the other ways it could have gone. */

import { endsAnswer, isSpecial, nameOf, percent, probability } from '../model/tokens.js';
import { html, useApplication, useLayoutEffect, useRef, useValue } from './framework.js';
import { IconButton } from './icons.js';

const GAP = 8;

/** The card of the token that is looked at, if any. */
export function TokenCard() {
  const { screen } = useApplication();
  const card = useValue(screen.card);
  const box = useRef(null);

  useLayoutEffect(() => {
    if (!card) return undefined;
    place(box.current, card.anchor);
    card.anchor.classList.add('looked-at');
    const first = box.current.querySelector('.alternative:not(:disabled)') ?? box.current.querySelector('button');
    if (card.pinned) first?.focus({ preventScroll: true });
    return () => card.anchor.classList.remove('looked-at');
  }, [card]);

  useLayoutEffect(() => {
    if (!card) return undefined;
    const close = () => { screen.card.value = null; };
    const key = (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      close();
      if (card.pinned) card.anchor.focus?.({ preventScroll: true });
    };
    const press = (event) => {
      if (!event.target.closest?.('.token-card, [data-place], .backdrop-text')) close();
    };
    const scroll = (event) => {
      if (!event.target.closest || !event.target.closest('.token-card')) place(box.current, card.anchor);
    };
    addEventListener('keydown', key, true);
    addEventListener('pointerdown', press);
    addEventListener('scroll', scroll, true);
    addEventListener('resize', close);
    return () => {
      removeEventListener('keydown', key, true);
      removeEventListener('pointerdown', press);
      removeEventListener('scroll', scroll, true);
      removeEventListener('resize', close);
    };
  }, [card]);

  if (!card) return null;
  const { token } = card;
  const p = probability(token);
  const hold = (held) => () => {
    card.held = held;
    if (!held && !card.pinned) screen.card.value = null;
  };
  const choose = (alternative) => {
    screen.card.value = null;
    card.choose(alternative);
  };
  return html`<div class="token-card" ref=${box} role="dialog" aria-label=${`Token ${nameOf(token)}`}
      onPointerEnter=${hold(true)} onPointerLeave=${hold(false)}>
    <div class="token-head">
      <code class="token-name">${nameOf(token)}</code>
      <span class="token-probability">${p === null ? 'not sampled' : percent(p)}</span>
      ${card.pinned && html`<${IconButton} icon="close" label="Close"
        onClick=${() => { screen.card.value = null; }} />`}
    </div>
    <p class="token-facts">${factsOn(token)}</p>
    <ol class="alternatives" aria-label="Most probable tokens here">
      ${token.top.map((alternative) => html`<li key=${alternative.id ?? alternative.text}>
        <${Alternative} alternative=${alternative} taken=${isSame(alternative, token)}
          choose=${card.choose && (alternative.id !== null || card.byText) && choose} />
      </li>`)}
    </ol>
    ${card.cut && html`<button type="button" class="quiet card-action" onClick=${() => {
      screen.card.value = null;
      card.cut();
    }}>Cut the text after this token</button>`}
    <p class="token-hint">${card.choose ? 'Choose one to branch from here.' : ''}</p>
  </div>`;
}

function Alternative({ alternative, taken, choose }) {
  const p = Math.exp(alternative.logprob);
  const bar = useRef(null);
  useLayoutEffect(() => bar.current.style.setProperty('--share', `${(p * 100).toFixed(2)}%`), [p]);
  const name = isSpecial(alternative) && endsAnswer(alternative) ? 'end of answer' : nameOf(alternative);
  const label = `${name} ${percent(p)}, ${taken ? 'taken' : 'continue with it'}`;
  return html`<button type="button" class=${`alternative ${taken ? 'taken' : ''}`} aria-label=${label}
      disabled=${taken || !choose} onClick=${() => choose(alternative)}>
    <span class="share" ref=${bar}></span>
    <code class=${isSpecial(alternative) ? 'special' : ''}>${name}</code><span class="percent">${percent(p)}</span>
  </button>`;
}

function factsOn(token) {
  if (token.logprob === null) return 'Written by a person or a tool; the model was not asked.';
  const rank = token.top.findIndex((alternative) => isSame(alternative, token)) + 1;
  const place = rank ? `choice ${rank}` : `not among the first ${token.top.length}`;
  const bits = -token.logprob / Math.LN2;
  const surprise = `${bits < 0.05 ? '0' : bits.toFixed(1)} bits of surprise`;
  return [place, surprise, ...token.id === null ? [] : [`id ${token.id}`]].join(' · ');
}

const isSame = (a, b) => a.id !== null && b.id !== null ? a.id === b.id : a.text === b.text;

/** Beside its token, inside the window; on a narrow screen the style sheet puts it at the bottom. */
function place(box, anchor) {
  if (!box) return;
  if (matchMedia('(max-width: 640px)').matches) {
    box.style.removeProperty('left');
    box.style.removeProperty('top');
    const hidden = anchor.getBoundingClientRect().bottom > box.getBoundingClientRect().top;
    if (hidden) anchor.scrollIntoView({ block: 'center' });
    return;
  }
  const token = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const left = Math.max(GAP, Math.min(token.left - GAP, innerWidth - width - GAP));
  const below = token.bottom + GAP / 2;
  const top = below + height + GAP <= innerHeight ? below : Math.max(GAP, token.top - height - GAP / 2);
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}
