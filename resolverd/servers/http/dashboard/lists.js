// Each list: how it fares, and what it is worth.

import { call, every, get, link, part } from "./api.js";
import { ask, h, link as anchor, table } from "./dom.js";
import { act, fill } from "./parts.js";
import { meter } from "./plot.js";
import { duration, milliseconds, number, plural, share, state } from "./words.js";

export const title = () => "Lists";

const COLUMNS = [["List", "wide"], ["State", ""], ["Hits", "figure"], ["Unique", "figure"], ["Decisive", "figure"], ["Latency p50 · p99", "figure"],
  ["Quota left", "quota"], ["Without it", "wider"], ["", "actions"]];

let all = false;

export function show(root) {
  const body = h("div", {});
  const draw = () => fill(body, drawLists(draw));
  const shown = h("div", { class: "segments", role: "group", "aria-label": "Which lists" }, [[false, "in use"], [true, "whole catalogue"]].map(([value, text]) =>
    h("button", { type: "button", id: `lists-${value ? "all" : "used"}`, "aria-pressed": String(value === all), onclick: () => {
      all = value;
      for (const each of shown.children) each.setAttribute("aria-pressed", String((each.id === "lists-all") === all));
      draw();
    } }, text)));
  root.append(
    h("div", { class: "heading" }, h("p", { class: "lead" }, "Hits: verdicts on clients and domains that the list lists, over the last 7 days. ",
      "Unique: no other list has them. Decisive: without it the mail would have fared otherwise."), shown),
    body);
  return every(20, draw);
}

async function drawLists(again) {
  const { lists, counted } = await get("/v1/lists");
  const used = lists.filter((list) => list.enabled);
  const wrong = used.filter((list) => list.state !== "ok");
  const rows = (all ? lists : used).toSorted((one, other) => Number(other.enabled) - Number(one.enabled)
    || Number(one.state === "ok") - Number(other.state === "ok") || other.hits - one.hits || other.queries - one.queries);
  return [
    wrong.map((list) => h("p", { class: "note bad" }, h("strong", {}, list.shown), ` is ${list.state}: ${list.last_error || "no answer that counts"}. `,
      "It is not believed meanwhile, and no mail is refused because of it.")),
    h("section", { class: "card" }, table("Lists", COLUMNS, rows.map((list) => row(list, again)), "No list is in use.")),
    h("p", { class: "muted" }, counted < 3600 ? "Counting has just begun: what a list is worth shows in a week." : `Counted over ${duration(counted)} of the last 7 days.`),
  ];
}

function row(list, again) {
  return { kind: list.enabled ? (list.state === "ok" ? "" : "troubled") : "off", cells: [
    [list.link ? anchor(list.link, list.shown) : list.shown, h("small", {}, `${list.id} · ${list.purpose === "allow" ? "allow list" : "block list"} · ${list.kinds.join(", ")}`)],
    [state(list), list.last_error && list.state !== "disabled" && h("small", { class: "error" }, list.last_error),
      list.watched.length > 0 && h("small", { class: "error" }, `lists our own ${list.watched.join(", ")}`)],
    number(list.hits), number(list.unique), number(list.decisive),
    [milliseconds(list.p50), " · ", milliseconds(list.p99)],
    quota(list),
    worth(list),
    buttons(list, again),
  ] };
}

function quota(list) {
  if (list.quota === null) return h("small", {}, "no quota");
  const left = list.quota_left / list.quota;
  const kind = left < 0.1 ? "bad" : left < 0.25 ? "warn" : "good";
  const lasts = list.forecast === null ? "lasts at this pace" : `gone in ${duration(list.forecast)}`;
  return [meter(left, kind, `${share(left, 1)} of the quota left`), h("small", {}, `${number(list.quota_left)} of ${number(list.quota)}, ${lasts}`)];
}

function worth(list) {
  if (!list.enabled) return h("small", { class: "muted" }, "not in use");
  const milder = list.purpose === "allow" ? "would have been treated worse" : "would have come through";
  return h("small", {}, `${plural(list.decisive, "mail")} ${milder}; ${plural(list.queries, "query", "queries")} saved`);
}

function buttons(list, again) {
  if (!link.rights) return null;
  const path = `/v1/lists/${part(list.id)}`;
  const done = async (work, text) => { if (await act(work, text)) await again(); };
  const turn = list.enabled
    ? h("button", { type: "button", id: `off-${list.id}`, onclick: async () => {
      const sure = await ask(`Stop using ${list.shown}?`, `Until the next start. Over the last 7 days ${plural(list.decisive, "verdict")} hung on it alone.`, "Stop using it", [], true);
      if (sure !== null) await done(() => call("POST", `${path}/disable`), `${list.shown} is not used until the next start.`);
    } }, "Disable")
    : h("button", { type: "button", id: `on-${list.id}`, title: list.terms, onclick: async () => {
      const sure = await ask(`Use ${list.shown}?`, `Until the next start. Terms: ${list.terms || "none known"}.`, "Use it");
      if (sure !== null) await done(() => call("POST", `${path}/enable`), `${list.shown} is used until the next start.`);
    } }, "Enable");
  return h("div", { class: "buttons" }, list.enabled && h("button", { type: "button", id: `probe-${list.id}`, onclick: () =>
    done(async () => call("POST", `${path}/probe`), (answer) => `${list.shown}: ${answer.state === "ok" ? "its test points answer as they must" : `${answer.state} ${answer.last_error}`}`) }, "Probe"), turn);
}
