// The DNS caches: how full, how useful, and what they hold of a name.

import { call, every, get, link, part } from "./api.js";
import { ask, badge, card, field, h, table } from "./dom.js";
import { act, fill, locked } from "./parts.js";
import { bars, isRead, meter, plot } from "./plot.js";
import { duration, number, octets, plural, share } from "./words.js";

export const title = () => "Cache";

const SPANS = [["1h", "last hour"], ["24h", "24 hours"], ["7d", "7 days"]];
let span = "24h";

export function show(root) {
  const figures = h("div", {});
  const plots = h("div", { class: "plots" });
  const drawn = () => fill(plots, drawPlots());
  const picked = h("div", { class: "segments", role: "group", "aria-label": "Time span" }, SPANS.map(([value, text]) =>
    h("button", { type: "button", id: `span-${value}`, "aria-pressed": String(value === span), onclick: () => {
      span = value;
      for (const each of picked.children) each.setAttribute("aria-pressed", String(each.id === `span-${value}`));
      drawn();
    } }, text)));
  root.append(figures, h("div", { class: "heading" }, h("h2", {}, "Of late"), picked), plots, inspect());
  const ends = [
    every(10, () => fill(figures, drawFigures())),
    every(30, () => (isRead(plots) ? null : drawn())),
  ];
  return () => ends.forEach((end) => end());
}

async function drawFigures() {
  const { questions, cache } = await get("/v1/status");
  const full = cache.bytes / cache.max_bytes;
  const tile = (name, value, ...more) => h("div", { class: "tile" }, h("h2", {}, name), h("p", { class: "value" }, value), h("div", { class: "more" }, more));
  return h("div", { class: "tiles" },
    tile("Size", octets(cache.bytes), meter(full, full > 0.95 ? "warn" : "good", `${share(full, 1)} full`), `${share(full, 1)} of ${octets(cache.max_bytes)}`),
    tile("Hit rate", questions.cached === null ? "–" : share(questions.cached, 1), "of the questions since the start"),
    tile("Questions", number(questions.answered), "since the start"),
    tile("RRsets and denials", number(cache.records), `${number(cache.packets)} prepared replies`),
    tile("Not answered", number(questions.refused + questions.limited + questions.dropped),
      `${number(questions.refused)} refused (dns.allow), ${number(questions.limited)} over client_rate, ${number(questions.dropped)} dropped`));
}

async function drawPlots() {
  const series = await get("/v1/series", { span });
  const data = bars(series, ["dns.questions", "dns.hit", "dns.sent", "dns.servfail"]);
  for (const { values } of data) if (values) values.missed = Math.max(0, values["dns.questions"] - values["dns.hit"]);
  return [
    plot({ id: "plot-questions", title: "DNS questions", unit: "Questions", span, data,
      parts: [["dns.hit", "from the cache", "fill-accept"], ["missed", "resolved", "fill-greylist"]] }),
    plot({ id: "plot-sent", title: "Queries to other servers", unit: "Queries", span, data, parts: [["dns.sent", "queries sent", "fill-1"]] }),
  ];
}

function inspect() {
  if (!link.rights) return card("What it holds of a name", locked("What names were asked for"));
  const found = h("div", { "aria-live": "polite" });
  const input = h("input", { name: "name", id: "cache-name", required: true, maxlength: 255, spellcheck: "false", autocapitalize: "none", placeholder: "example.com, or @ for the root" });
  const read = () => fill(found, entries(input.value.trim(), read));
  const form = h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); read(); } },
    field("Name", input),
    h("div", { class: "buttons" }, h("button", { type: "submit" }, "Show"),
      h("button", { type: "button", id: "flush-all", onclick: async () => {
        const sure = await ask("Forget the whole cache?", "Everything is resolved anew, which costs queries and time for some minutes.", "Forget everything", [], true);
        if (sure !== null) await act(() => call("DELETE", "/v1/cache"), (answer) => `${plural(answer.flushed, "entry", "entries")} forgotten.`);
      } }, "Forget everything")));
  return card("What it holds of a name", form, found);
}

async function entries(name, again) {
  const answer = await get(`/v1/cache/${part(name)}`);
  const columns = [["Type", ""], ["TTL left", "figure"], ["Kind", ""], ["DNSSEC", ""], ["Records", "wider code"]];
  return [
    table(`Cached of ${name}`, columns, answer.entries.map((each) => [each.type, each.ttl < 0 ? `stale ${duration(-each.ttl)}` : duration(each.ttl), each.kind,
      [badge({ secure: "good", bogus: "bad" }[each.security] ?? "off", each.security), each.why && h("small", {}, each.why)],
      each.records.length ? each.records.map((record) => h("div", {}, record)) : h("span", { class: "muted" }, "none")]), `Nothing is cached of ${name}.`),
    answer.entries.length > 0 && h("button", { type: "button", id: "flush-name", onclick: async () => {
      if (await act(() => call("DELETE", `/v1/cache/${part(name)}`), (done) => `${plural(done.flushed, "entry", "entries")} of ${name} forgotten.`)) again();
    } }, "Forget this name"),
  ];
}
