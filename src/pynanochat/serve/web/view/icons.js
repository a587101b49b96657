/** Icons: our own line drawings on a 20 × 20 grid. */

import { html } from './framework.js';

const PATHS = {
  plus: 'M10 4v12M4 10h12',
  send: 'M10 16V4.5M5 9.2l5-5 5 5',
  stop: 'M6 6h8v8H6z',
  copy: 'M7.5 7.5h8v8h-8zM12.5 4.5h-8v8',
  check: 'M4.5 10.5l3.5 3.5 7.5-8',
  retry: 'M15.5 10a5.5 5.5 0 1 1-1.7-4M15.8 3.4v3.4h-3.4',
  edit: 'M4.5 15.5l.7-3.2 7.6-7.6 2.5 2.5-7.6 7.6zM11 6.5l2.5 2.5',
  forward: 'M5 5l5 5-5 5M11 5l5 5-5 5',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  close: 'M5 5l10 10M15 5L5 15',
  menu: 'M3.5 5.5h13v9h-13zM8 5.5v9',
  sliders: 'M4 6.5h7M15 6.5h1M4 13.5h1M9 13.5h7M13 4.8v3.4M7 11.8v3.4',
  search: 'M9 4.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12.5 12.5l3.5 3.5',
  trash: 'M4.5 6h11M8 6V4.2h4V6M6 6l.7 9.8h6.6L14 6',
  download: 'M10 4v8M6.5 9l3.5 3.5L13.5 9M4.5 15.5h11',
  upload: 'M10 13V5M6.5 8L10 4.5 13.5 8M4.5 15.5h11',
  book: 'M5 4h9.5v12H5zM8 4v12M10.5 7.5h2',
  chat: 'M4 5h12v8H9l-3.5 3v-3H4z',
  tokens: 'M3.5 7.5h4v5h-4zM8.5 7.5h2.5v5H8.5zM12 7.5h4.5v5H12z',
  down: 'M10 4v11M5.5 10.5L10 15l4.5-4.5',
  sun: 'M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM10 2.5V4M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1'
    + 'M15.3 4.7l-1 1M5.7 14.3l-1 1',
  moon: 'M15.5 11.5A6 6 0 0 1 8.5 4.5a6 6 0 1 0 7 7z',
  half: 'M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM10 4v12',
  undo: 'M7.5 5L4 8.5 7.5 12M4 8.5h7a4 4 0 0 1 0 8H8.5',
  redo: 'M12.5 5L16 8.5 12.5 12M16 8.5H9a4 4 0 0 0 0 8h2.5',
  tool: 'M5 4h10v12H5zM7.5 6.5h5v2h-5zM7.7 11.5h.1M10 11.5h.1M12.3 11.5h.1M7.7 13.7h.1M10 13.7h.1M12.3 13.7h.1',
  key: 'M7 10a3 3 0 1 0 0 .1M10 10h6.5M14 10v2.5',
  warning: 'M10 4l7 12H3zM10 8.5v3.5M10 13.8v.2',
  help: 'M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 8.2a2 2 0 1 1 2.8 1.9c-.6.3-.8.6-.8 1.3M10 13.6v.1',
};

/** A drawing; the button around it says what it means. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} /></svg>`;
}

/** A button that is only a drawing; its label is its name and its tooltip. */
export function IconButton({ icon, label, class: kind = '', ...rest }) {
  return html`<button type="button" class=${`icon-button ${kind}`} aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${icon} /></button>`;
}

/** The page's own mark: three tokens, the surest first. */
export function Mark() {
  return html`<svg class="mark" viewBox="0 0 28 20" aria-hidden="true" focusable="false">
    <rect class="mark-1" x="0" y="3" width="9" height="14" rx="3" />
    <rect class="mark-2" x="11" y="3" width="6" height="14" rx="3" />
    <rect class="mark-3" x="19" y="3" width="9" height="14" rx="3" /></svg>`;
}
