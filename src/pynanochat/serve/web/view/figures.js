/** Figures: what was measured of an answer, in words. */

import { speedOf } from '../model/answer.js';
import { html } from './framework.js';

/**
 * @typedef {object} Figure
 * @property {string} text
 * @property {string} meaning
 * @property {string} [kind] a class
 */

/**
 * Speed and time to the first token, as far as there is something to measure.
 * @param {{first: number, seconds: number, tokens: number} | null | undefined} timing
 * @returns {Figure[]}
 */
export function timingFigures(timing) {
  const figures = [];
  const speed = speedOf(timing);
  if (speed !== null) {
    const text = `${speed >= 100 ? speed.toFixed(0) : speed.toFixed(1)} tok/s`;
    figures.push({ text, meaning: 'Tokens per second' });
  }
  if (!timing) return figures;
  const text = `first ${duration(timing.first)}`;
  return [...figures, { text, meaning: 'Time from the request to the first token' }];
}

/** @returns {Figure} */
export const countFigure = (count, meaning) => ({ text: `${count} ${count === 1 ? 'token' : 'tokens'}`, meaning });

/** @returns {Figure} */
export const perplexityFigure = (perplexity) => ({
  text: `perplexity ${perplexity.toFixed(2)}`, meaning: 'exp of the mean surprise: among how many tokens it chose' });

/** A line of figures. */
export function Figures({ figures, children }) {
  return html`<p class="numbers">${figures.map(({ text, meaning, kind }) => html`<span key=${meaning} title=${meaning}
    class=${kind}>${text}</span>`)}${children}</p>`;
}

function duration(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}
