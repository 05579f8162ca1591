// The page: which view is open, whether the daemon is there, who we are.

import { link, nextTry, signIn, signOut, watch, whoami, get } from "./api.js";
import { ask, field, h, replace, say } from "./dom.js";
import { duration, moment } from "./words.js";
import * as cache from "./cache.js";
import * as greylist from "./greylist.js";
import * as lists from "./lists.js";
import * as now from "./now.js";
import * as overrides from "./overrides.js";
import * as own from "./own.js";
import * as search from "./search.js";
import * as verdict from "./verdict.js";

const TABS = { now, lists, cache, greylist, overrides, own };
const VIEWS = { ...TABS, search, verdict };

const main = document.getElementById("main");
let close = () => {};
let open = "";

// -- views --------------------------------------------------------------------------------------------------------------------

function route() {
  if (location.hash === "#main") return;
  const [, name, argument = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash) ?? [null, "now"];
  const view = VIEWS[name] ?? now;
  let given = argument;
  try {
    given = decodeURIComponent(argument);
  } catch {
    // As it stands, then.
  }
  const isNew = open !== location.hash;
  if (view !== search) document.getElementById("query").value = "";
  close();
  open = location.hash;
  const title = view.title(given);
  document.title = `${title} · resolverd`;
  for (const each of document.querySelectorAll("#tabs a")) {
    const current = each.getAttribute("href") === `#/${name}` || (view === now && each.getAttribute("href") === "#/now");
    each.toggleAttribute("aria-current", current);
    if (current) each.setAttribute("aria-current", "page");
  }
  const body = h("div", { class: "view" });
  main.textContent = "";
  main.append(h("h1", { tabindex: -1, id: "title" }, title), body);
  close = view.show(body, given) ?? (() => {});
  if (isNew && route.begun) document.getElementById("title").focus({ preventScroll: true });
  if (isNew) scrollTo(0, 0);
  route.begun = true;
}

document.getElementById("tabs").append(...Object.entries(TABS).map(([name, view]) => h("a", { href: `#/${name}` }, view.title(""))));
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = document.getElementById("query").value.trim();
  if (query) location.hash = search.address(query);
});
addEventListener("hashchange", route);

// -- theme --------------------------------------------------------------------------------------------------------------------

const theme = document.getElementById("theme");
const THEMES = { "": "auto", light: "light", dark: "dark" };

function showTheme() {
  const chosen = document.documentElement.dataset.theme ?? "";
  theme.textContent = `Theme: ${THEMES[chosen]}`;
}

theme.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("resolverd.theme", next);
  } catch {
    // It lasts as long as the page.
  }
  showTheme();
});

// -- session ------------------------------------------------------------------------------------------------------------------

const session = document.getElementById("session");

async function enter() {
  const input = h("input", { name: "token", type: "password", required: true, autocomplete: "current-password", autofocus: true, id: "token" });
  const given = await ask("Sign in", "", "Sign in",
    [field("Token", input, "It stands in the file token of the state directory: sudo cat /var/lib/resolverd/token")]);
  if (given === null) return;
  try {
    await signIn(given.token.trim());
    say("Signed in.");
  } catch (failure) {
    say(failure.status === 401 ? "This is not the token." : failure.message, true);
  }
}

session.addEventListener("click", async () => {
  if (!link.rights) return enter();
  await signOut();
  return say("Signed out.");
});
document.addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("[data-sign-in]")) enter();
});

// -- is it there --------------------------------------------------------------------------------------------------------------

let since = null;
let rights = null;

watch(() => {
  const banner = document.getElementById("banner");
  session.textContent = link.rights ? "Sign out" : "Sign in";
  if (link.there) {
    if (since !== null) say("resolverd answers again.");
    since = null;
    replace(banner);
  } else {
    since ??= Date.now() / 1000;
    replace(banner, h("p", { class: "banner" }, h("strong", {}, "resolverd does not answer"), ` since ${moment(since, true)}. `,
      "What is shown is from before. Mail passes unchecked meanwhile (default_action=DUNNO). This page tries again by itself, ",
      `at least every ${duration(Math.max(30, nextTry()))}; on the server: `, h("code", {}, "systemctl status resolverd")));
  }
  document.body.classList.toggle("away", !link.there);
  if (rights !== null && link.rights !== null && rights !== link.rights) {
    if (rights && !link.rights && link.there && !session.matches(":focus")) say("The session has ended. Sign in again to go on.", true);
    open = "";
    route();
  }
  rights = link.rights ?? rights;
});

async function begin() {
  showTheme();
  session.textContent = "Sign in";
  await whoami();
  rights = link.rights;
  session.textContent = link.rights ? "Sign out" : "Sign in";
  route();
  const health = await get("/healthz").catch(() => null);
  if (health) document.getElementById("version").textContent = `resolverd ${health.version}`;
}

begin();
