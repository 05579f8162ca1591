// What happens now, and of late.

import { every, follow, get, link } from "./api.js";
import { badge, card, choice, field, h, link as anchor, replace, suggestions, table, tableRow } from "./dom.js";
import { VERDICT_COLUMNS, fill, locked, verdictRow } from "./parts.js";
import { bars, isRead, plot, ranking } from "./plot.js";
import { ACTIONS, code, codes, duration, milliseconds, number, octets, plural, share, time, total } from "./words.js";

export const title = () => "Now";

const SPANS = [["1h", "last hour"], ["24h", "24 hours"], ["7d", "7 days"]];
const KEPT_ROWS = 100;
const COLOURS = 6;
/** Milliseconds for which a page that is not seen goes on following the feed. */
const HIDDEN = 30000;

let span = "1h";

export function show(root) {
  const glance = h("div", { class: "glance" });
  const plots = h("div", { class: "plots" });
  const picked = h("div", { class: "segments", role: "group", "aria-label": "Time span" }, SPANS.map(([value, text]) =>
    h("button", { type: "button", id: `span-${value}`, "aria-pressed": String(value === span), onclick: () => pick(value) }, text)));
  const feed = h("div", {});
  root.append(glance, h("div", { class: "heading" }, h("h2", {}, "Of late"), picked), plots, feed);
  const drawn = () => fill(plots, drawPlots());
  function pick(value) {
    span = value;
    for (const each of picked.children) each.setAttribute("aria-pressed", String(each.id === `span-${value}`));
    drawn();
  }
  const ends = [
    every(10, () => fill(glance, drawGlance())),
    every(15, () => (isRead(plots) ? null : drawn())),
    showFeed(feed),
  ];
  return () => ends.forEach((end) => end());
}

async function drawGlance() {
  const [status, hour] = await Promise.all([get("/v1/status"), get("/v1/series", { span: "24h" })]);
  return [verdictOnItself(status), tiles(status, hour), status.fleet && fleet(status.fleet)];
}

/** Hosts up to which all are shown at once. */
const FEW_HOSTS = 8;
let allHosts = false;

const HOST_COLUMNS = [["Host", "wide"], ["State", ""], ["Version", ""], ["Since", "when"]];

/** The hosts that share a store, and how that fares. */
function fleet({ store, hosts }) {
  const reads = store.slow_ms === null ? "nothing was read yet" : `reads p50 ${milliseconds(store.typical_ms)}, p99 ${milliseconds(store.slow_ms)}`;
  const rows = (some) => table("Hosts", HOST_COLUMNS, some.map(hostRow));
  const [first, others] = hosts.length > FEW_HOSTS ? [hosts.filter(noticed), hosts.filter((host) => !noticed(host))] : [hosts, []];
  const facts = [store.server, reads, store.bytes && `${octets(store.bytes)} of memory`, store.waiting > 0 && `${plural(store.waiting, "record")} of this host to come`];
  return h("section", { class: "card fleet", id: "fleet" }, h("div", { class: "heading" },
    h("h2", {}, "Hosts that share a store"), store.fault ? badge("warn", "store in trouble") : badge("good", "store well")),
  h("p", { class: "muted" }, [store.url, ...facts].filter(Boolean).join(" · ")),
  rows(first),
  others.length > 0 && h("details", { class: "others", id: "all-hosts", open: allHosts, ontoggle: (event) => { allHosts = event.target.open; } },
    h("summary", {}, `${plural(others.length, "other host is", "other hosts are")} alive`), rows(others)));
}

const noticed = (host) => host.this || !host.alive;

const hostRow = (host) => ({ kind: host.alive ? "" : "troubled", cells: [
  [host.name, host.this && h("small", {}, "this one")],
  host.alive ? badge("good", "alive") : [badge("bad", "silent"), h("small", {}, `for ${duration(host.silent)}`)],
  host.version,
  time(host.since),
] });

function verdictOnItself(status) {
  if (status.problems.length) {
    return h("section", { class: "trouble", "aria-label": "What is wrong" },
      h("h2", {}, badge("warn", plural(status.problems.length, "trouble"))),
      h("ul", {}, status.problems.map((each) => h("li", {}, each))),
      h("p", { class: "muted" }, "resolverd doctor says what to type, the log has more."));
  }
  return h("p", { class: "well" }, badge("good", "nothing is wrong"), ` Up ${duration(status.uptime)}, since `, time(status.started), ".");
}

const tile = (name, value, more, href) =>
  h("div", { class: "tile" }, h("h2", {}, href ? anchor(href, name) : name), h("p", { class: "value" }, value), h("p", { class: "more" }, more));

function tiles(status, series) {
  const counted = Object.fromEntries(Object.keys(ACTIONS).map((name) => [name, total(series.series[`verdicts.${name}`] ?? [])]));
  const verdicts = total(Object.values(counted));
  const { questions, cache, lists, greylist, store } = status;
  const trouble = lists.trouble.map((each) => `${each.id} ${each.state}`).join(", ");
  return h("div", { class: "tiles" },
    tile("Verdicts, 24 h", number(verdicts), verdicts ? `${share(counted.reject, verdicts)} rejected, ${share(counted.greylist, verdicts)} greylisted` : total(Object.values(status.verdicts)) ? "the first are being counted" : "no mail server has asked yet"),
    tile("Connections, 24 h", number(total(series.series["policy.connections"] ?? [])), `${plural(total(series.series["policy.requests"] ?? []), "policy request")}`),
    tile("Lists", `${lists.ok} of ${lists.enabled}`, trouble || (!lists.enabled ? "none is in use" : status.ready ? "none in trouble" : "out of reach at present"), "#/lists"),
    tile("DNS questions", number(questions.answered), questions.cached === null ? "none since the start" : `${share(questions.cached, 1)} from the cache`, "#/cache"),
    tile("Greylist", greylist ? `${greylist.complete ? "" : "≥ "}${number(greylist.waiting)}` : "–",
      greylist ? (greylist.enabled ? `waiting; ${number(greylist.passed)} passed` : "greylisting is off") : "the store cannot be read", "#/greylist"),
    tile("Cache", octets(cache.bytes), `of ${octets(cache.max_bytes)}; store ${store.fault ? "in trouble" : "well"}${store.bytes ? `, ${octets(store.bytes)}` : ""}`, "#/cache"));
}

async function drawPlots() {
  const series = await get("/v1/series", { span });
  const actions = Object.entries(ACTIONS).map(([name, [, label]]) => [`verdicts.${name}`, label, `fill-${name}`]);
  const prefix = "verdicts.by_code.";
  const reasons = Object.entries(series.series)
    .filter(([name]) => name.startsWith(prefix) && name !== `${prefix}accept`)
    .map(([name, values]) => [name, total(values)])
    .filter(([, count]) => count)
    .sort(([, one], [, other]) => other - one);
  const shown = reasons.slice(0, COLOURS).map(([name], index) => [name, code(name.slice(prefix.length)), `fill-${index + 1}`]);
  const names = [...actions, ...shown].map(([name]) => name);
  const rest = reasons.slice(COLOURS).map(([name]) => name);
  const data = bars(series, [...names, ...rest, "policy.connections", "policy.requests"]);
  if (rest.length) {
    for (const { values } of data) if (values) values.rest = total(rest.map((name) => values[name]));
    shown.push(["rest", "other reasons", "fill-7"]);
  }
  return [
    plot({ id: "plot-verdicts", title: "Verdicts", unit: "Verdicts", span, parts: actions, data }),
    plot({ id: "plot-reasons", title: "Not accepted, by reason", unit: "Verdicts", span, parts: shown, data }),
    plot({ id: "plot-connections", title: "Connections of the mail server", unit: "Connections", span, parts: [["policy.connections", "connections", "fill-1"]], data }),
    h("section", { class: "card" }, h("h2", {}, "Most frequent reasons"), reasons.length
      ? ranking(reasons.slice(0, 7).map(([name, count], index) => [code(name.slice(prefix.length)), count, `fill-${Math.min(index, COLOURS) + 1}`]), "verdicts")
      : h("p", { class: "none" }, "Nothing was rejected, deferred or greylisted in this time.")),
  ];
}

// -- the live feed ------------------------------------------------------------------------------------------------------------

function showFeed(root) {
  const wanted = { action: "", client: "", sender: "", code: "", list: "" };
  const state = h("span", { class: "feed-state", id: "feed-state" });
  const body = h("div", { id: "feed" });
  const news = h("ul", { class: "news" });
  let paused = false;
  let ends = [];
  const columns = VERDICT_COLUMNS;
  const begin = async () => {
    end();
    if (!link.rights) return replace(body, locked("The live feed"));
    const mine = { closed: false };
    ends.push(() => { mine.closed = true; });
    let tbody = null;
    const waiting = [];
    const flush = () => {
      if (tbody === null || paused || mine.closed || !waiting.length) return;
      body.querySelector(".none")?.remove();
      tbody.prepend(...waiting.splice(0).reverse().map((each) => tableRow(columns, verdictRow(each))));
      while (tbody.children.length > KEPT_ROWS) tbody.lastChild.remove();
    };
    const add = (each) => {
      waiting.push(each);
      if (waiting.length > KEPT_ROWS) waiting.shift();
      if (paused) state.textContent = `paused, ${plural(waiting.length, "verdict")} waiting`;
      else if (waiting.length === 1) setTimeout(flush, 100);
    };
    ends.flush = flush;
    const tell = (at, text) => {
      news.prepend(h("li", {}, time(at, true), " ", text));
      while (news.children.length > 5) news.lastChild.remove();
    };
    ends.push(follow(wanted, {
      verdict: add,
      list: (each) => tell(each.at, `List ${each.list}: ${each.before} → ${each.state}${each.last_error ? ` (${each.last_error})` : ""}`),
      alert: (each) => tell(each.at, `${each.resolved ? "Over" : "Alert"}: ${each.text}`),
      dropped: (each) => tell(Date.now() / 1000, `${plural(each.count, "event")} left out: more came than could be shown`),
    }, () => { state.textContent = paused ? "paused" : "live"; }, (closed) => { state.textContent = closed ? "the feed cannot be had (too many follow it, or a filter is wrong)" : "connection lost, tries again"; }));
    try {
      const page = await get("/v1/verdicts", { ...wanted, limit: 25 });
      if (mine.closed) return undefined;
      replace(body, table("Verdicts, newest first", columns, page.items.map(verdictRow), "No verdict yet that these filters let through: new ones appear here by themselves."));
      if (!page.items.length) body.append(table("Verdicts, newest first", columns, [["", "", "", "", "", ""]]));
      tbody = body.querySelector("tbody");
      if (!page.items.length) tbody.textContent = "";
      const known = new Set(page.items.map((each) => each.id));
      waiting.splice(0, waiting.length, ...waiting.filter((each) => !known.has(each.id)));
      flush();
    } catch (failure) {
      if (!mine.closed) replace(body, h("p", { class: "note bad" }, failure.message));
    }
    return undefined;
  };
  const end = () => {
    for (const each of ends) each();
    ends = [];
    state.textContent = "";
  };
  const pause = h("button", { type: "button", id: "pause", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    state.textContent = paused ? "paused" : "live";
    if (!paused) ends.flush?.();
  } }, "Pause");
  const text = (name, hint) => h("input", { name, id: `feed-${name}`, placeholder: hint, maxlength: 200, spellcheck: "false", autocapitalize: "none", list: name === "code" || name === "list" ? `known-${name}` : null });
  const form = h("form", { class: "filters", "aria-label": "Filters of the feed", onsubmit: (event) => {
    event.preventDefault();
    Object.assign(wanted, Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()])));
    begin();
  } },
  field("Verdict", choice("action", [["", "any"], ...Object.entries(ACTIONS).map(([name, [, word]]) => [name, word])], "", { id: "feed-action", onchange: () => form.requestSubmit() })),
  field("Client", text("client", "address or network")),
  field("Sender", text("sender", "address or domain")),
  field("Code", text("code", "such as spf_fail")),
  field("List", text("list", "such as spamhaus-zen")),
  h("div", { class: "buttons" }, h("button", { type: "submit", id: "feed-filter" }, "Filter"), pause));
  get("/v1/lists").then(({ lists }) => root.append(suggestions("known-list", lists.filter((list) => list.enabled).map((list) => list.id))), () => {});
  root.append(suggestions("known-code", codes()), h("section", { class: "card feed" }, h("div", { class: "heading" }, h("h2", {}, "Live feed"), state), link.rights ? form : null, news, body));
  // A stream is one of the few connections that a browser has for all its tabs: nobody keeps one whom nobody sees.
  let leaving = null;
  const seen = () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(end, HIDDEN);
    else if (!ends.length) begin();
  };
  document.addEventListener("visibilitychange", seen);
  begin();
  return () => {
    clearTimeout(leaving);
    document.removeEventListener("visibilitychange", seen);
    end();
  };
}
