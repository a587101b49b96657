/** Highlight: code as HTML with classes, for the sanitizer; nothing where the language is unknown. */

import highlighter from '../vendor/highlight.js';
import bash from '../vendor/languages/bash.js';
import cpp from '../vendor/languages/cpp.js';
import css from '../vendor/languages/css.js';
import javascript from '../vendor/languages/javascript.js';
import json from '../vendor/languages/json.js';
import python from '../vendor/languages/python.js';
import rust from '../vendor/languages/rust.js';
import sql from '../vendor/languages/sql.js';
import xml from '../vendor/languages/xml.js';

const MOST_CHARACTERS = 20_000;

for (const [name, grammar] of Object.entries({ bash, cpp, css, javascript, json, python, rust, sql, xml })) {
  highlighter.registerLanguage(name, grammar);
}

/** @returns {string | null} */
export function highlighted(code, language) {
  if (!language || !highlighter.getLanguage(language) || code.length > MOST_CHARACTERS) return null;
  return highlighter.highlight(code, { language, ignoreIllegals: true }).value;
}
