/** Sampling: the settings of a request that a person can change, and their ranges. */

/**
 * @typedef {object} Field
 * @property {string} name of the request's field
 * @property {string} label
 * @property {string} hint
 * @property {'range' | 'count' | 'lines'} kind
 * @property {number} [least]
 * @property {number} [most]
 * @property {number} [step]
 * @property {number | null} neutral what it is where the server says nothing
 * @property {string} [empty] what an empty field means
 */

/** @type {Field[]} */
export const FIELDS = [
  { name: 'temperature', label: 'Temperature', kind: 'range', least: 0, most: 2, step: 0.05, neutral: 1,
    hint: '0 always takes the most probable token; higher is more varied.' },
  { name: 'top_k', label: 'Top-k', kind: 'range', least: 0, most: 200, step: 1, neutral: 0,
    hint: 'Only the k most probable tokens; 0 allows all.' },
  { name: 'top_p', label: 'Top-p', kind: 'range', least: 0.05, most: 1, step: 0.01, neutral: 1,
    hint: 'Only the fewest tokens that together have this probability.' },
  { name: 'min_p', label: 'Min-p', kind: 'range', least: 0, most: 1, step: 0.01, neutral: 0,
    hint: 'Only tokens with at least this share of the best one’s probability.' },
  { name: 'repetition_penalty', label: 'Repetition penalty', kind: 'range', least: 0.5, most: 2, step: 0.01, neutral: 1,
    hint: 'Above 1 makes tokens of the prompt and the answer less likely.' },
  { name: 'presence_penalty', label: 'Presence penalty', kind: 'range', least: -2, most: 2, step: 0.05, neutral: 0,
    hint: 'Above 0 makes tokens that the answer has already less likely.' },
  { name: 'frequency_penalty', label: 'Frequency penalty', kind: 'range', least: -2, most: 2, step: 0.05, neutral: 0,
    hint: 'The same, once for each time that the token came.' },
  { name: 'seed', label: 'Seed', kind: 'count', least: 0, most: Number.MAX_SAFE_INTEGER, neutral: null, empty: 'random',
    hint: 'The same seed gives the same answer, also when you regenerate.' },
  { name: 'max_tokens', label: 'Longest answer', kind: 'count', least: 1, most: 1_000_000, neutral: null,
    empty: 'no limit', hint: 'In tokens. Empty: until the model ends its answer or the context is full.' },
  { name: 'stop', label: 'Stop at', kind: 'lines', neutral: null, empty: 'nothing',
    hint: 'One text per line; the answer ends where one appears. \\n stands for a line break.' },
];

/** How many tokens a notebook asks for at once where the person has set nothing: the server would give 16. */
export const NOTEBOOK_TOKENS = 200;

/** The fields as they are meant in a chat or a notebook. */
export function fieldsOf(kind) {
  if (kind !== 'notebook') return FIELDS;
  const hint = `In tokens, for each Continue. Empty: ${NOTEBOOK_TOKENS}, or fewer to where the model ends the text.`;
  return FIELDS.map((field) => field.name === 'max_tokens' ? { ...field, empty: `${NOTEBOOK_TOKENS}`, hint } : field);
}

/** What the server does where a request says nothing of this field. */
export function defaultOf(field, model) {
  const given = model?.nanochat?.defaults?.[field.name];
  return given === undefined ? field.neutral : given;
}

/**
 * A value out of what a person typed; undefined where the field is left to the server.
 * @param {Field} field
 * @param {string} typed
 */
export function valueOf(field, typed) {
  if (field.kind === 'lines') {
    const lines = typed.split('\n').filter((line) => line !== '').slice(0, 16);
    return lines.length ? lines.map((line) => line.replaceAll('\\n', '\n').replaceAll('\\t', '\t')) : undefined;
  }
  const value = typed.trim() === '' ? NaN : Number(typed);
  if (!Number.isFinite(value)) return undefined;
  const bounded = Math.min(field.most, Math.max(field.least, value));
  return field.kind === 'count' || field.step === 1 ? Math.round(bounded) : bounded;
}

/** What a person would have typed for a value. */
export function typedOf(field, value) {
  if (value === undefined || value === null) return '';
  if (field.kind === 'lines') {
    return value.map((line) => line.replaceAll('\n', '\\n').replaceAll('\t', '\\t')).join('\n');
  }
  return String(value);
}

/** The known fields of settings that came from elsewhere, in their ranges. */
export function checkedSampling(given) {
  const sampling = {};
  for (const field of FIELDS) {
    const value = given?.[field.name];
    const typed = field.kind === 'lines'
      ? Array.isArray(value) ? typedOf(field, value.filter((line) => typeof line === 'string')) : ''
      : typeof value === 'number' ? String(value) : '';
    const checked = valueOf(field, typed);
    if (checked !== undefined) sampling[field.name] = checked;
  }
  return sampling;
}
