/* The chosen theme, before anything is drawn. */
try {
  const stored = JSON.parse(localStorage.getItem('nanochat.preferences'));
  if (stored && (stored.theme === 'light' || stored.theme === 'dark')) {
    document.documentElement.dataset.theme = stored.theme;
  }
} catch { // the system's theme it is
}
