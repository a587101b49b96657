/** TokenText: an answer as its tokens, coloured by probability; pointer, finger and keyboard can look at each. */

import {
  BAND_COUNT, TokenText as Joiner, band, isSpecial, isUnknown, nameOf, percent, probability,
} from '../model/tokens.js';
import { Fragment, html, useApplication, useRef, useState } from './framework.js';

const CLOSE_AFTER_MS = 160;

/**
 * The tokens of an answer.
 * @param {object} props
 * @param {import('../model/tokens.js').Token[]} props.tokens
 * @param {import('../model/conversation.js').Part[]} props.parts the answer's, for what its tools said
 * @param {string} props.owner
 * @param {((place: number, alternative: object) => void) | null} props.choose
 */
export function TokenText({ tokens, parts, owner, choose }) {
  const { screen } = useApplication();
  const [reached, reach] = useState(0);
  const closing = useRef(0);
  const pieces = tokenPieces(tokens, parts);
  const last = pieces.at(-1)?.place ?? 0;
  const current = Math.min(reached, last);

  const look = (element, pinned) => {
    const place = Number(element.dataset.place);
    clearTimeout(closing.current);
    if (tokens[place].logprob === null && !tokens[place].top.length) return;
    screen.card.value = {
      owner, place, pinned, anchor: element, token: tokens[place],
      choose: choose && ((alternative) => choose(place, alternative)),
    };
  };
  const at = (event) => event.target.closest?.('[data-place]');
  const over = (event) => {
    const element = at(event);
    const card = screen.card.peek();
    if (element && hasMoved(event) && !card?.pinned && card?.anchor !== element) look(element, false);
  };
  const out = () => {
    clearTimeout(closing.current);
    closing.current = setTimeout(() => {
      const card = screen.card.peek();
      if (card && !card.pinned && !card.held) screen.card.value = null;
    }, CLOSE_AFTER_MS);
  };
  const press = (event) => {
    if (!at(event) || !getSelection().isCollapsed) return;
    reach(Number(at(event).dataset.place));
    look(at(event), true);
  };
  const key = (event) => {
    const element = at(event);
    if (!element) return;
    const all = [...event.currentTarget.querySelectorAll('[data-place]')];
    const index = all.indexOf(element);
    const next = {
      ArrowRight: all[index + 1], ArrowLeft: all[index - 1], Home: all[0], End: all.at(-1),
    }[event.key];
    if (next) {
      event.preventDefault();
      event.stopPropagation();
      reach(Number(next.dataset.place));
      next.focus();
      look(next, false);
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      look(element, true);
    }
  };

  return html`<div class="token-text" role="group" aria-label="Tokens of the answer; arrow keys move, Enter looks"
      onPointerMove=${over} onPointerOut=${out} onClick=${press} onKeyDown=${key}>
    ${pieces.map((piece) => html`<${Fragment} key=${piece.place}>${piece.space}<span class=${piece.kind}
      data-place=${piece.place} role="button" tabindex=${piece.place === current ? 0 : -1}
      aria-label=${piece.label}>${piece.text}</span></${Fragment}>`)}
  </div>`;
}

/** What the colours mean. */
export function Legend() {
  const bands = Array.from({ length: BAND_COUNT }, (_, index) => `swatch band-${index}`);
  const swatches = bands.map((kind) => html`<span class=${kind}></span>`);
  return html`<span class="legend" aria-hidden="true">sure${swatches}surprised</span>`;
}

function tokenPieces(tokens, parts) {
  const joiner = new Joiner();
  const tools = parts.filter((part) => part.type === 'tool');
  const pieces = [];
  let told = 0; // tool blocks
  tokens.forEach((token, place) => {
    if (isUnknown(token)) {
      if (pieces.at(-1)?.unknown) return;
      const tool = tools[told++];
      const called = tokens[place - 1]?.text === '<|python_end|>';
      const text = called ? tool?.output ?? '…' : `${tool?.input ?? ''} → ${tool?.output ?? '…'}`;
      pieces.push({ place, unknown: true, space: '', text, kind: 'token forced', label: `${text}, a tool` });
      return;
    }
    const p = probability(token);
    const label = `${nameOf(token)}, ${p === null ? 'not sampled' : percent(p)}`;
    const special = isSpecial(token);
    const whole = special ? token.text.slice(2, -2) : shown(joiner.push(token), token);
    const [space, text] = spaceApart(whole);
    const kind = `token band-${Math.max(0, band(token))}${p === null ? ' unknown' : ''}${special ? ' special' : ''}`;
    pieces.push({ place, space, text, kind, label });
  });
  return pieces;
}

/** Whether a hand has moved the pointer, and not the text below it. */
export const hasMoved = (event) => event.pointerType !== 'touch' && (event.movementX !== 0 || event.movementY !== 0);

/** The space before a word stays without colour: at the end of a line it would stick out. */
export function spaceApart(text) {
  return /^ \S/.test(text) ? [' ', text.slice(1)] : ['', text];
}

function shown(text, token) {
  if (text === '') return token.bytes ? '▫' : '';
  return text.includes('\n') ? text.replaceAll('\n', '↵\n') : text;
}
