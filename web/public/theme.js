// Sets the chosen theme before the first paint. It is a file of its own because the page allows no inline script.
;(() => {
  try {
    const theme = localStorage.getItem('coscribe.theme')
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
  } catch {
    // Storage may be blocked; the system's theme is used then.
  }
})()
