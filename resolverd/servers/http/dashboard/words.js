// How figures, times and the daemon's own words are written.

import { badge, h } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const ABSENT = "–";

export const number = (value) => (value === null || value === undefined ? ABSENT : WHOLE.format(value));
export const short = (value) => (Math.abs(value) < 10000 ? FINE.format(value) : SHORT.format(value));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const milliseconds = (value) => (value === null || value === undefined ? ABSENT : `${value < 10 ? FINE.format(value) : WHOLE.format(value)} ms`);
export const total = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0);

/** A share in percent; nothing of nothing is no share. */
export const share = (part, whole) => (whole ? `${FINE.format((100 * part) / whole)} %` : ABSENT);

/** Octets. */
export function octets(value) {
  if (value === null || value === undefined) return ABSENT;
  const units = ["B", "KiB", "MiB", "GiB"];
  let power = 0;
  while (value >= 1024 && power < units.length - 1) { value /= 1024; power += 1; }
  return `${FINE.format(value)} ${units[power]}`;
}

/** Seconds, in its two largest units. */
export function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of units) {
    if (left >= size) { parts.push(`${Math.floor(left / size)} ${unit}`); left %= size; }
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

const pad = (value) => String(value).padStart(2, "0");
const clock = (date) => `${pad(date.getHours())}:${pad(date.getMinutes())}`;
const day = (date) => date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });

/** A wall second, or an RFC 3339 text, as a date. */
export const dated = (at) => new Date(typeof at === "number" ? at * 1000 : at);

/** A time as text, local: today's by its time, others with the day. */
export function moment(at, seconds = false) {
  const date = dated(at);
  const time = clock(date) + (seconds ? `:${pad(date.getSeconds())}` : "");
  return date.toDateString() === new Date().toDateString() ? time : `${day(date)} ${time}`;
}

/** The same as an element, whose title has it in UTC. */
export function time(at, seconds = false) {
  if (at === null || at === undefined) return ABSENT;
  const utc = dated(at).toISOString().replace(/\.\d+Z$/, "Z");
  return h("time", { datetime: utc, title: `${utc.replace("T", " ").replace("Z", "")} UTC` }, moment(at, seconds));
}

export const ACTIONS = {
  accept: ["good", "accepted"],
  greylist: ["wait", "greylisted"],
  defer: ["warn", "deferred"],
  reject: ["bad", "rejected"],
};

/** What was done with a mail. */
export function action(name) {
  const [kind, text] = ACTIONS[name] ?? ["off", name];
  return badge(kind, text);
}

const STATES = {
  ok: ["good", "in use"],
  suspended: ["bad", "suspended"],
  unreachable: ["bad", "unreachable"],
  spent: ["warn", "quota spent"],
  disabled: ["off", "off"],
};

/** How a list fares. */
export function state(list) {
  const [kind, text] = STATES[list.state] ?? ["warn", list.state];
  return badge(kind, text);
}

const CODES = {
  dnsbl_listed: "client on a block list",
  rhsbl_listed: "domain on a block list",
  ptr_missing: "no reverse hostname",
  fcrdns_missing: "reverse hostname unverified",
  fcrdns_mismatch: "reverse hostname does not lead back",
  helo_invalid: "HELO name invalid",
  helo_not_fqdn: "HELO name not qualified",
  helo_not_found: "HELO name not found",
  helo_literal: "HELO is an address",
  sender_domain_not_found: "sender domain not found",
  sender_domain_null_mx: "sender domain takes no mail",
  sender_domain_malformed: "sender domain malformed",
  sender_domain_unknown: "sender domain could not be looked up",
  spf_fail: "SPF fail",
  spf_softfail: "SPF softfail",
  spf_permerror: "SPF record faulty",
  spf_temperror: "SPF could not be looked up",
  override_deny: "denied by hand",
  override_allow: "allowed by hand",
  greylist: "greylisted",
  defer: "deferred",
  reject: "score",
};

/** The codes that there are words for. */
export const codes = () => Object.keys(CODES).filter((name) => name.includes("_"));

/** A code of a finding, in words. */
export const code = (name) => CODES[name] ?? name.replaceAll("_", " ");
