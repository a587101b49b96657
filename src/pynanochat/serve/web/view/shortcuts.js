/** Shortcuts: what keys do on the whole page. */

import { pathOf } from '../model/conversation.js';
import { drawnAtOnce, useApplication, useEffect } from './framework.js';

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl';

/** For the help: what always works. */
export const SHORTCUTS = [
  { keys: ['Enter'], words: 'Send' },
  { keys: ['Shift', 'Enter'], words: 'New line' },
  { keys: ['Esc'], words: 'Stop the answer; close what is open' },
  { keys: ['↑'], words: 'Edit the last message, from an empty field' },
  { keys: [COMMAND, 'Shift', 'O'], words: 'New chat' },
  { keys: [COMMAND, 'K'], words: 'Search conversations' },
  { keys: [COMMAND, 'Enter'], words: 'Continue the text, in a notebook' },
  { keys: [COMMAND, '.'], words: 'Look at the token at the caret, in a notebook' },
  { keys: ['←', '→'], words: 'Move between tokens, when one has the focus' },
  { keys: ['?'], words: 'This list, outside of a text field' },
];

/** Single keys, which work outside of text fields where a person has switched them on. */
export const LETTERS = [
  { keys: ['/'], words: 'Write a message' },
  { keys: ['n'], words: 'New chat' },
  { keys: ['m'], words: 'New notebook' },
  { keys: ['t'], words: 'Colour tokens by probability' },
  { keys: ['r'], words: 'Regenerate the last answer' },
  { keys: ['['], words: 'Previous branch of the last answer' },
  { keys: [']'], words: 'Next branch of the last answer' },
  { keys: ['b'], words: 'Show or hide conversations' },
  { keys: ['s'], words: 'Show or hide settings' },
];

/** Listens for as long as the page is there. */
export function useShortcuts({ togglePanel, toggleSidebar }) {
  const application = useApplication();
  useEffect(() => {
    const pressed = (event) => {
      const act = actionOf(event, application, { togglePanel, toggleSidebar });
      if (!act) {
        if (goesIntoTheField(event, application)) application.screen.composer.peek()?.focus();
        return;
      }
      event.preventDefault();
      act();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [togglePanel, toggleSidebar]);
}

function actionOf(event, application, { togglePanel, toggleSidebar }) {
  if (event.isComposing || event.defaultPrevented) return null;
  const { screen, preferences, runs, workspace } = application;
  const conversation = workspace.current.peek();
  const command = event.metaKey || event.ctrlKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (command && event.shiftKey && key === 'o') return () => application.create('chat');
  if (command && !event.shiftKey && key === 'k' && !screen.dialog.peek()) return () => search(toggleSidebar);
  if (key === 'Escape') return escape(screen, runs, conversation);
  if (command || event.altKey || screen.dialog.peek() || isTyping(event.target)) return null;
  if (key === '?') return () => { screen.dialog.value = { kind: 'help' }; };
  if (!preferences.get('letters')) return null;
  return {
    '/': () => screen.composer.peek()?.focus(),
    n: () => application.create('chat'),
    m: () => application.create('notebook'),
    t: () => preferences.set('colours', !preferences.get('colours')),
    r: () => lastAnswer(conversation)?.querySelector('[data-action="regenerate"]')?.click(),
    '[': () => lastAnswer(conversation)?.querySelector('[aria-label="Previous branch"]')?.click(),
    ']': () => lastAnswer(conversation)?.querySelector('[aria-label="Next branch"]')?.click(),
    b: toggleSidebar,
    s: togglePanel,
  }[key] ?? null;
}

function escape(screen, runs, conversation) {
  if (screen.drawer.peek()) return () => { screen.drawer.value = null; };
  if (runs.of(conversation)) return () => runs.stop(conversation);
  return null;
}

/** The focus moves before the next key can come. */
function search(toggleSidebar) {
  const field = document.getElementById('search');
  if (!field.checkVisibility()) drawnAtOnce(toggleSidebar);
  field.focus();
}

/**
 * Whether a key writes something and nothing else takes it. The field to type into then gets the focus while the key
 * is pressed, and so the character. The space bar stays: it scrolls, and presses buttons.
 */
function goesIntoTheField(event, { screen, preferences }) {
  if (event.isComposing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === ' ' || [...event.key].length !== 1 && event.key !== 'Dead') return false;
  if (preferences.get('letters') || screen.dialog.peek() || screen.drawer.peek()) return false;
  return !isTyping(event.target) && !event.target.closest('dialog, [role=dialog]');
}

function lastAnswer(conversation) {
  const last = conversation && pathOf(conversation).findLast((message) => message.role === 'assistant');
  return last && document.querySelector(`[data-id="${last.id}"]`);
}

function isTyping(target) {
  return target.closest?.('input:not([type=radio], [type=checkbox], [type=range]), textarea, select') !== null;
}
