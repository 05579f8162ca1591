// The theme chosen, before anything is drawn: a page that flashes white is no good at night.
"use strict";
try {
  const theme = localStorage.getItem("resolverd.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the system's theme.
}
