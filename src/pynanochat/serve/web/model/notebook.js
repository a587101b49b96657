/** Notebook: one text that the model continues. The tokens of its beginning are kept until it is changed there. */

import { newAnswer, textOf } from './conversation.js';
import { TokenText, isSpecial } from './tokens.js';
import { streamFields } from './replies.js';
import { NOTEBOOK_TOKENS } from './sampling.js';

const UNDO_DEPTH = 50;

/** What a person can ask for in a notebook. */
export class Notebook {
  #histories = new Map(); // a notebook's id: { past, future } of { text, tokens }

  /** @param {import('../application.js').Application} application */
  constructor({ api, workspace, catalogue, runs, preferences }) {
    this.api = api;
    this.workspace = workspace;
    this.catalogue = catalogue;
    this.runs = runs;
    this.preferences = preferences;
  }

  /** The text is another one now; tokens before the change stay what they are. */
  edit(notebook, text) {
    if (text === notebook.text) return;
    notebook.tokens = tokensBefore(notebook.tokens, commonLength(notebook.text, text));
    notebook.text = text;
    this.workspace.changed(notebook);
  }

  /** Let the model go on from the end of the text. */
  proceed(notebook) {
    if (this.runs.of(notebook)) return Promise.resolve();
    this.#remember(notebook);
    return this.#run(notebook);
  }

  /** Take another token at a place, drop what follows, go on. */
  branch(notebook, place, alternative) {
    if (this.runs.of(notebook)) return Promise.resolve();
    this.#remember(notebook);
    const before = notebook.tokens.slice(0, place);
    const taken = { ...alternative, top: notebook.tokens[place].top };
    notebook.tokens = structuredClone(alternative.id === null ? before : [...before, taken]);
    notebook.text = piecesOf([...before, taken]).join('');
    return this.#run(notebook);
  }

  /** Drop what follows a token. */
  cutAfter(notebook, place) {
    this.#remember(notebook);
    notebook.tokens = notebook.tokens.slice(0, place + 1);
    notebook.text = piecesOf(notebook.tokens).join('');
    this.workspace.changed(notebook);
  }

  /** Ask how probable each token of the text is, without writing any. */
  async score(notebook) {
    const model = this.catalogue.modelOf(notebook)?.id;
    await this.#nameTokens(notebook, model);
    const { text, tokens } = notebook;
    const document = await this.api.complete({
      ...model ? { model } : {}, prompt: tokens.map((token) => token.id), max_tokens: 0, echo: true,
      logprobs: this.preferences.get('alternatives'),
    });
    const lists = document.choices?.[0]?.logprobs;
    if (notebook.text !== text || lists?.token_logprobs?.length !== tokens.length) return;
    notebook.tokens = tokens.map((token, at) => ({
      ...token, logprob: lists.token_logprobs[at],
      top: token.top.length ? token.top : topOf(lists.top_logprobs?.[at]),
    }));
    this.workspace.changed(notebook);
  }

  /** Whether there is something to undo or to redo. */
  history(notebook) {
    const { past = [], future = [] } = this.#histories.get(notebook.id) ?? {};
    return { undo: past.length > 0, redo: future.length > 0 };
  }

  /** Back to before the last run. */
  undo(notebook) {
    this.#move(notebook, 'past', 'future');
  }

  /** Forward again. */
  redo(notebook) {
    this.#move(notebook, 'future', 'past');
  }

  async #run(notebook) {
    const model = this.catalogue.modelOf(notebook)?.id;
    const message = newAnswer(null);
    message.model = model;
    notebook.last = message;
    await this.runs.start(notebook, message, 'v1/completions', async () => {
      await this.#nameTokens(notebook, model);
      message.tokens = notebook.tokens;
      message.parts = [{ type: 'text', text: notebook.text }];
      const { logprobs, top_logprobs: alternatives, ...fields } = streamFields(this.preferences);
      const prompt = notebook.tokens.map((token) => token.id);
      return {
        ...model ? { model } : {}, prompt, ...fields, logprobs: alternatives, max_tokens: NOTEBOOK_TOKENS,
        ...notebook.settings.sampling,
      };
    }, () => { notebook.text = textOf(message); });
    notebook.tokens = tokensWithin(notebook.tokens, notebook.text);
    notebook.last = { ...message, tokens: [], parts: [] };
    this.workspace.keep(notebook);
  }

  #move(notebook, from, to) {
    const history = this.#histories.get(notebook.id);
    const version = history?.[from].pop();
    if (!version || this.runs.of(notebook)) return;
    history[to].push({ text: notebook.text, tokens: notebook.tokens });
    Object.assign(notebook, version);
    notebook.last = null;
    this.workspace.changed(notebook);
  }

  #remember(notebook) {
    const history = this.#histories.get(notebook.id) ?? { past: [], future: [] };
    const { text, tokens } = notebook;
    if (history.past.at(-1)?.text !== text) history.past.push({ text, tokens: [...tokens] });
    history.past.splice(0, history.past.length - UNDO_DEPTH);
    history.future = [];
    this.#histories.set(notebook.id, history);
  }

  /** Give the rest of the text its tokens, too. */
  async #nameTokens(notebook, model) {
    const known = piecesOf(notebook.tokens).join('');
    const rest = notebook.text.slice(known.length);
    const start = notebook.tokens.length === 0;
    if (!rest && !start) return;
    notebook.tokens = [...notebook.tokens, ...spelling(await this.api.tokenize(model, rest, start), rest)];
  }
}

/** What each token adds to the text; together a beginning of it. @returns {string[]} */
export function piecesOf(tokens) {
  const text = new TokenText();
  return tokens.map((token) => isSpecial(token) ? '' : text.push(token));
}

/** The tokens of a text; where their pieces are not known to make it up, the last one stands for all of it. */
function spelling(tokens, text) {
  if (piecesOf(tokens).join('') === text) return tokens;
  return tokens.map(({ id }, at) => ({ id, text: at === tokens.length - 1 ? text : '', logprob: null, top: [] }));
}

/** Alternatives out of OpenAI's older form: probabilities by text. */
function topOf(byText) {
  return Object.entries(byText ?? {}).map(([text, logprob]) => ({ id: null, text, logprob }))
    .sort((a, b) => b.logprob - a.logprob);
}

/** The tokens that a change at a character leaves alone; the one that touches it is encoded anew. */
function tokensBefore(tokens, length) {
  const pieces = piecesOf(tokens);
  let end = 0;
  let kept = 0;
  while (kept < tokens.length && end + pieces[kept].length <= length) end += pieces[kept++].length;
  while (kept > 0 && (tokens[kept - 1].bytes || !isSpecial(tokens[kept - 1]) && pieces[kept - 1] === '')) kept -= 1;
  if (kept > 0 && !isSpecial(tokens[kept - 1]) && end === length) kept -= 1;
  return tokens.slice(0, kept);
}

/** The tokens that lie wholly inside a text: a stop string may have cut it. */
function tokensWithin(tokens, text) {
  const pieces = piecesOf(tokens);
  let end = 0;
  let kept = 0;
  while (kept < tokens.length && text.startsWith(pieces[kept], end)) end += pieces[kept++].length;
  return tokens.slice(0, kept);
}

function commonLength(a, b) {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length += 1;
  return length;
}
