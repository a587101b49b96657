/** Catalogue: the models of the server, and which of them a conversation uses. */

import { signal } from '../vendor/signals-core.js';

/** Read once at the start and again when asked. */
export class Catalogue {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
    /** @type {{value: import('./api.js').Model[], peek: Function, subscribe: Function}} */
    this.models = signal([]);
    this.problem = signal(null); // why there are none
    this.loading = signal(true);
  }

  /** Ask the server. */
  async load() {
    this.loading.value = true;
    try {
      this.models.value = await this.api.models();
      this.problem.value = null;
    } catch (problem) {
      this.problem.value = problem;
    } finally {
      this.loading.value = false;
    }
  }

  /** The model that a conversation uses; undefined where the server has none. */
  modelOf(conversation) {
    const models = this.models.peek();
    return models.find((model) => model.id === conversation?.settings.model) ?? models[0];
  }
}

/** A model in a few words: G4 · 6.2 M parameters · cpu · bfloat16 · context 512. */
export function wordsOn(model) {
  const facts = model?.nanochat ?? {};
  const length = model?.max_model_len;
  return [
    facts.generation,
    facts.parameters && `${shortNumber(facts.parameters)} parameters`,
    facts.backend,
    facts.dtype,
    length && `context ${length.toLocaleString('en')}`,
  ].filter((fact) => typeof fact === 'string').join(' · ');
}

function shortNumber(number) {
  const [divisor, unit] = number >= 1e9 ? [1e9, ' B'] : number >= 1e6 ? [1e6, ' M'] : [1e3, ' K'];
  const value = number / divisor;
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)}${unit}`;
}
