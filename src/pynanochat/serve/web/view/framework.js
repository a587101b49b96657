/** What the views are built with: Preact's components, htm's templates, and values that redraw who reads them. */

import htm from '../vendor/htm.js';
import { createContext, h, options } from '../vendor/preact.js';
import { useContext, useEffect, useLayoutEffect, useReducer, useRef } from '../vendor/preact-hooks.js';

export { Fragment, render } from '../vendor/preact.js';
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact-hooks.js';

/** Tagged templates for elements: html`<p class=${name}>…</p>`. Text in them is always text. */
export const html = htm.bind(h);

/** Holds the `Application`, for all views. */
export const ApplicationContext = createContext(null);

/** @returns {import('../application.js').Application} */
export const useApplication = () => useContext(ApplicationContext);

/** The value of a signal; the component is drawn again when it changes. */
export function useValue(source) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const value = source.peek();
  const drawn = useRef(value);
  drawn.current = value;
  useLayoutEffect(() => source.subscribe((now) => {
    if (now !== drawn.current) redraw();
  }), [source]);
  return value;
}

/** Act, and have the page drawn before this returns. */
export function drawnAtOnce(act) {
  const { debounceRendering } = options;
  options.debounceRendering = (draw) => draw();
  try {
    act();
  } finally {
    options.debounceRendering = debounceRendering;
  }
}

/**
 * The component is drawn again whenever something of this run has come.
 * @param {import('../model/runs.js').Run | null} run
 */
export function useProgress(run) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => run?.version.subscribe(redraw), [run]);
}
