/** Prose: a Markdown text on the page. Only blocks that have changed are made anew: reading is not disturbed. */

import { copy } from './clipboard.js';
import { html, useLayoutEffect, useRef } from './framework.js';
import { blocksOf } from './markdown.js';

/** The elements of a Markdown text. */
export function Prose({ text }) {
  const box = useRef(null);
  const shown = useRef([]); // { source, nodes }
  useLayoutEffect(() => {
    shown.current = update(box.current, shown.current, blocksOf(text));
  }, [text]);
  return html`<div class="prose" ref=${box} onClick=${copyCode}></div>`;
}

function update(box, shown, blocks) {
  let same = 0;
  while (same < shown.length && same < blocks.length && shown[same].source === blocks[same].source) same += 1;
  for (const { nodes } of shown.slice(same)) nodes.forEach((node) => node.remove());
  const made = blocks.slice(same).map(({ source, make }) => {
    const fragment = make();
    const nodes = [...fragment.childNodes];
    box.append(fragment);
    return { source, nodes };
  });
  return [...shown.slice(0, same), ...made];
}

async function copyCode(event) {
  const button = event.target.closest('.code-copy');
  if (!button) return;
  const code = button.closest('.code-box').querySelector('pre').textContent;
  button.textContent = await copy(code) ? 'Copied' : 'Not copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1600);
}
