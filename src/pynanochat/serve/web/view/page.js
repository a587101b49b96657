/** Page: the whole of it. */

import { ChatPage } from './chat_page.js';
import { Dialogs } from './dialogs.js';
import { html, useApplication, useCallback, useEffect, useLayoutEffect, useValue } from './framework.js';
import { Header } from './header.js';
import { IconButton } from './icons.js';
import { NotebookPage } from './notebook_page.js';
import { Panel } from './panel.js';
import { useShortcuts } from './shortcuts.js';
import { Sidebar } from './sidebar.js';
import { TokenCard } from './token_card.js';

const NARROW = matchMedia('(max-width: 860px)');

/** Sidebar, conversation, settings, and what lies above them. */
export function Page() {
  const { workspace, preferences, screen } = useApplication();
  const conversation = useValue(workspace.current);
  const drawer = useValue(screen.drawer);
  const sidebar = useValue(preferences.of('sidebar'));
  const panel = useValue(preferences.of('panel'));

  const toggle = useCallback((name) => {
    if (NARROW.matches) screen.drawer.value = screen.drawer.peek() === name ? null : name;
    else preferences.set(name, !preferences.get(name));
  }, []);
  const toggleSidebar = useCallback(() => toggle('sidebar'), []);
  const togglePanel = useCallback(() => toggle('panel'), []);
  useShortcuts({ toggleSidebar, togglePanel });
  useDrawerFocus(drawer);
  useEffect(() => {
    const close = () => { screen.drawer.value = null; };
    NARROW.addEventListener('change', close);
    return () => NARROW.removeEventListener('change', close);
  }, []);
  useEffect(() => {
    document.title = conversation?.title ? `${conversation.title} · nanochat` : 'nanochat';
  });

  if (!conversation) return null;
  const kind = `page ${sidebar ? 'with-sidebar' : ''} ${panel ? 'with-panel' : ''} ${drawer ? `drawer-${drawer}` : ''}`;
  return html`<div class=${kind}>
    <a class="skip" href="#composer" onClick=${(event) => {
      event.preventDefault();
      screen.composer.peek()?.focus();
    }}>Go to the text field</a>
    <${Sidebar} />
    <main class="main" inert=${drawer !== null}>
      <${Header} conversation=${conversation} toggleSidebar=${toggleSidebar} togglePanel=${togglePanel} />
      ${conversation.kind === 'notebook'
        ? html`<${NotebookPage} key=${conversation.id} conversation=${conversation} />`
        : html`<${ChatPage} key=${conversation.id} conversation=${conversation} />`}
    </main>
    <${Panel} conversation=${conversation} close=${togglePanel} />
    ${drawer && html`<button type="button" class="scrim" tabindex="-1" aria-label="Close"
      onClick=${() => { screen.drawer.value = null; }}></button>`}
    <${TokenCard} />
    <${Dialogs} />
    <${Toasts} />
    <${Spoken} />
  </div>`;
}

/** A drawer takes the focus and gives it back. */
function useDrawerFocus(drawer) {
  useLayoutEffect(() => {
    if (!drawer) return undefined;
    const before = document.activeElement;
    document.getElementById(drawer).querySelector('button, input')?.focus({ preventScroll: true });
    return () => before?.focus?.({ preventScroll: true });
  }, [drawer]);
}

function Toasts() {
  const { screen } = useApplication();
  const toasts = useValue(screen.toasts);
  return html`<div class="toasts">${toasts.map(({ id, text, action, act }) => html`<div class="toast" key=${id}>
    <span>${text}</span>
    ${action && html`<button type="button" class="toast-action" onClick=${() => {
      screen.hush(id);
      act();
    }}>${action}</button>`}
    <${IconButton} icon="close" label="Dismiss" onClick=${() => screen.hush(id)} />
  </div>`)}</div>`;
}

function Spoken() {
  const { screen } = useApplication();
  return html`<div class="outside" role="status" aria-live="polite">${useValue(screen.spoken)}</div>`;
}
