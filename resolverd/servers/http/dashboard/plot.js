// Plots: stacked bars over time, drawn as SVG, with a cursor that pointer and keys move, and the figures as a table.

import { h, replace, svg, table } from "./dom.js";
import { dated, moment, number, short, total } from "./words.js";

const WIDTH = { narrow: 360, wide: 720 };
const HEIGHT = 190;
const LEFT = 40;
const BOTTOM = 22;
const TOP = 10;

/** Whether somebody reads one of these plots at the moment: they are not drawn anew then. */
export const isRead = (plots) => plots.contains(document.activeElement) || plots.matches(":hover") || plots.querySelector("details[open]") !== null;

/** How the daemon's slots become bars: seconds of a bar, of a mark below, and how one bar is called. */
const SPANS = {
  "1h": { bar: 60, mark: 600, per: "a minute" },
  "24h": { bar: 900, mark: 10800, per: "every 15 minutes" },
  "7d": { bar: 7200, mark: 86400, per: "every 2 hours" },
};

/** Bars of round times out of /v1/series: [{at, values: {name: count} or null}]; null where the daemon did not run. */
export function bars(answer, names) {
  const { bar } = SPANS[answer.span];
  const slots = Math.max(0, ...names.map((name) => answer.series[name]?.length ?? 0), answer.series["dns.questions"]?.length ?? 0);
  const found = new Map();
  for (let slot = 0; slot < slots; slot += 1) {
    const at = Math.floor((answer.from + slot * answer.step) / bar) * bar;
    const ran = answer.series["dns.questions"]?.[slot] !== null;
    let values = found.get(at) ?? null;
    if (ran) {
      values ??= Object.fromEntries(names.map((name) => [name, 0]));
      for (const name of names) values[name] += answer.series[name]?.[slot] ?? 0;
    }
    found.set(at, values);
  }
  return [...found].sort(([one], [other]) => one - other).map(([at, values]) => ({ at, values }));
}

/**
 * A plot of stacked bars. `parts`: [name, label, colour class], the lowest first. `unit`: what is counted. `span`: of SPANS.
 */
export function plot({ id, title, unit, span, parts, data }) {
  const { bar, mark, per } = SPANS[span];
  const ran = data.filter((each) => each.values);
  const sums = data.map((each) => (each.values ? total(parts.map(([name]) => each.values[name])) : 0));
  const top = ceiling(Math.max(...sums, 2));
  const legend = h("ul", { class: "legend" }, parts.map(([name, label, colour]) =>
    h("li", {}, h("span", { class: `swatch ${colour}` }), `${label} `, h("b", {}, number(total(ran.map((each) => each.values[name])))))));
  const told = (at) => {
    const { at: begins, values } = data[at];
    const when = `${moment(begins)}–${clockOf(begins + bar)}`;
    if (!values) return `${when}: resolverd did not run`;
    return `${when}: ${parts.map(([name, label]) => `${label} ${number(values[name])}`).join(", ")}`;
  };
  const readout = h("p", { class: "readout" });
  const frame = h("div", { class: "frame", role: "slider", tabindex: 0, id, "aria-label": `${title}: choose a time`, "aria-valuemin": 0,
    "aria-valuemax": Math.max(0, data.length - 1), "aria-valuenow": data.length - 1, "aria-valuetext": data.length ? told(data.length - 1) : "" });
  const hint = `${unit} ${per}; pointer or arrow keys read a bar`;
  readout.textContent = hint;
  let at = data.length - 1;
  const draw = () => replace(frame, drawing(frame.clientWidth && frame.clientWidth < 520 ? WIDTH.narrow : WIDTH.wide));
  const drawing = (width) => {
    const step = (width - LEFT - 6) / Math.max(1, data.length);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    const rows = [0, top / 2, top].map((value) => [
      svg("line", { x1: LEFT, x2: width - 6, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick end" }, short(value)),
    ]);
    const marks = data.flatMap((each, index) => {
      const local = each.at - 60 * dated(each.at).getTimezoneOffset();
      if (local % mark >= bar || index < 1 || LEFT + index * step > width - 20) return [];
      if (width === WIDTH.narrow && mark === 10800 && local % 21600 >= bar) return [];
      if (width === WIDTH.narrow && mark === 600 && local % 1200 >= bar) return [];
      return [svg("text", { x: LEFT + index * step, y: HEIGHT - 6, class: "tick middle" }, mark === 86400 ? dayOf(each.at) : clockOf(each.at))];
    });
    const columns = data.map((each, index) => {
      const x = LEFT + index * step;
      if (!each.values) return null;
      let below = 0;
      return parts.map(([name, , colour]) => {
        const value = each.values[name];
        if (!value) return null;
        const upper = y(below + value);
        const shape = svg("rect", { x: x + step * 0.08, y: upper, width: step * 0.84, height: Math.max(0.8, y(below) - upper), class: colour });
        below += value;
        return shape;
      });
    });
    const gaps = gapsOf(data).map(([from, to]) => [
      svg("rect", { x: LEFT + from * step, y: TOP, width: (to - from) * step, height: HEIGHT - TOP - BOTTOM, class: "gap" }),
      (to - from) * step > 130 && svg("text", { x: LEFT + ((from + to) / 2) * step, y: HEIGHT * 0.36, class: "gap-label" }, "resolverd did not run"),
    ]);
    const cursor = svg("rect", { x: LEFT + at * step, y: TOP, width: Math.max(1, step), height: HEIGHT - TOP - BOTTOM, class: "cursor" });
    return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true", class: "plot" }, gaps, rows, columns, marks, cursor);
  };
  const move = (to) => {
    if (!data.length) return;
    at = Math.min(data.length - 1, Math.max(0, to));
    frame.setAttribute("aria-valuenow", at);
    frame.setAttribute("aria-valuetext", told(at));
    readout.textContent = told(at);
    frame.classList.add("read");
    draw();
  };
  frame.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: data.length - 1, PageUp: at - 10, PageDown: at + 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    const width = frame.clientWidth < 520 ? WIDTH.narrow : WIDTH.wide;
    const x = ((event.clientX - box.left) / box.width) * width - LEFT;
    move(Math.floor((x / (width - LEFT - 6)) * data.length));
  });
  const still = () => {
    frame.classList.remove("read");
    readout.textContent = hint;
  };
  frame.addEventListener("pointerleave", still);
  frame.addEventListener("blur", still);
  new ResizeObserver(draw).observe(frame);
  draw();
  const figures = h("details", { class: "figures", id: `${id}-figures` }, h("summary", {}, "Figures"));
  figures.addEventListener("toggle", () => {
    if (!figures.open || figures.children.length > 1) return;
    const rows = ran.filter((each) => total(Object.values(each.values))).map((each) => [moment(each.at), ...parts.map(([name]) => number(each.values[name]))]);
    figures.append(table(title, [["From", ""], ...parts.map(([, label]) => [label, "figure"])], rows.reverse(), "Nothing was counted."));
  });
  return h("section", { class: "card plotted" }, h("h2", {}, title), legend, frame, readout, figures);
}

const clockOf = (at) => dated(at).toTimeString().slice(0, 5);
const dayOf = (at) => dated(at).toLocaleDateString("en-GB", { weekday: "short", day: "numeric" });

/** From where to where there is nothing known. */
function gapsOf(data) {
  const found = [];
  data.forEach(({ values }, index) => {
    if (values) return;
    if (found.at(-1)?.[1] === index) found.at(-1)[1] = index + 1;
    else found.push([index, index + 1]);
  });
  return found;
}

/** A round number not below this one, whose half is short to write. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value / 2));
  return [2, 4, 6, 8, 10, 20].map((each) => each * power).find((each) => each >= value) ?? value;
}

/** A bar for a share from 0 to 1. */
export function meter(portion, kind, label) {
  const width = Math.round(100 * Math.min(1, Math.max(0, portion)));
  return svg("svg", { class: `meter ${kind}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("rect", { width: 100, height: 8, class: "track" }), svg("rect", { width, height: 8, class: "level" }));
}

/** A horizontal bar a row: [label, count, colour class]. */
export function ranking(rows, unit) {
  const most = Math.max(1, ...rows.map(([, count]) => count));
  return h("ul", { class: "ranking" }, rows.map(([label, count, colour]) =>
    h("li", {}, h("span", { class: "name" }, label), h("b", {}, `${number(count)}`),
      svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `${number(count)} ${unit}` },
        svg("rect", { width: (100 * count) / most, height: 8, class: colour })))));
}
