/**
 * Markdown: the only place of the page that makes elements out of text. marked reads it, DOMPurify lets through what is
 * listed here, and what comes out is a tree, never a string that is parsed again. HTML in the text is shown as text,
 * images become links, so that no text can load anything.
 */

import DOMPurify from '../vendor/dompurify.js';
import { Marked } from '../vendor/marked.js';
import { highlighted } from './highlight.js';

const ALLOWED = {
  ALLOWED_TAGS: ['a', 'blockquote', 'br', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol',
    'p', 'pre', 'span', 'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul'],
  ALLOWED_ATTR: ['align', 'class', 'href', 'start'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const CLASSES = /^(?:language-[\w+#-]+|hljs-[\w -]+)$/;
const MOST_CHARACTERS = 200_000; // a longer text is shown as it is

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text, block }) => block ? `<p>${escaped(text.trim())}</p>`
      : text.match(/^<br\s*\/?>$/i) ? '<br>' : escaped(text),
    image: ({ href, text }) => /^https?:/i.test(href) ? `<a href="${escaped(href)}">image: ${escaped(text || href)}</a>`
      : escaped(`image: ${text}`),
    text(token) {
      return token.tokens?.length ? this.parser.parseInline(token.tokens) : escapedText(token.text);
    },
    checkbox: ({ checked }) => checked ? '☑ ' : '☐ ',
    code: ({ text, lang }) => {
      const language = (lang ?? '').match(/^[\w+#-]+/)?.[0] ?? '';
      return `<pre><code${language && ` class="language-${language}"`}>${escaped(text)}</code></pre>`;
    },
  },
});

DOMPurify.addHook('uponSanitizeAttribute', (node, attribute) => {
  if (attribute.attrName === 'class' && !CLASSES.test(attribute.attrValue)) attribute.keepAttr = false;
});

/**
 * The blocks of a Markdown text: their source, and how to make each one's elements.
 * @param {string} text
 * @returns {{source: string, make: () => DocumentFragment}[]}
 */
export function blocksOf(text) {
  if (text.length > MOST_CHARACTERS) return [{ source: text, make: () => plain(text) }];
  let tokens;
  try {
    tokens = marked.lexer(text);
  } catch {
    return [{ source: text, make: () => plain(text) }];
  }
  return tokens.filter((token) => token.type !== 'space').map((token) => ({
    source: token.raw, make: () => block(token) }));
}

function block(token) {
  try {
    return dressed(DOMPurify.sanitize(marked.parser([token]), ALLOWED));
  } catch {
    return plain(token.raw);
  }
}

/** Links open elsewhere and tell nobody where from, code is coloured and can be copied, tables can be scrolled. */
function dressed(fragment) {
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const code of fragment.querySelectorAll('pre > code')) {
    const language = code.className.replace('language-', '');
    const coloured = highlighted(code.textContent, language);
    if (coloured) code.replaceChildren(DOMPurify.sanitize(coloured, ALLOWED));
    code.parentElement.replaceWith(codeBox(code.parentElement, language));
  }
  for (const table of fragment.querySelectorAll('table')) {
    const box = element('div', 'table-box');
    box.tabIndex = 0;
    box.setAttribute('role', 'region');
    box.setAttribute('aria-label', 'Table');
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

function codeBox(pre, language) {
  const box = element('div', 'code-box');
  const bar = element('div', 'code-bar');
  const name = element('span', 'code-language');
  const copy = element('button', 'code-copy');
  name.textContent = language || 'text';
  copy.type = 'button';
  copy.textContent = 'Copy';
  copy.setAttribute('aria-label', 'Copy code');
  bar.append(name, copy);
  pre.tabIndex = 0;
  box.append(bar, pre.cloneNode(true));
  return box;
}

function plain(text) {
  const fragment = document.createDocumentFragment();
  const paragraph = element('p', 'plain');
  paragraph.textContent = text;
  fragment.append(paragraph);
  return fragment;
}

function element(name, kind) {
  const made = document.createElement(name);
  made.className = kind;
  return made;
}

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text) => text.replace(/[&<>"']/g, (character) => ENTITIES[character]);

/** The same, where `&amp;` and the like already stand for a character. */
const escapedText = (text) => text.replace(/[<>"']|&(?!#\d{1,7};|#[Xx][\da-fA-F]{1,6};|\w+;)/g,
  (character) => ENTITIES[character]);
