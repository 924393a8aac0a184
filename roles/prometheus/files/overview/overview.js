/* Copyright: (c) 2026, multinode.celery contributors
   GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
   SPDX-License-Identifier: GPL-3.0-or-later

   Shows the cluster from the metrics of Prometheus. The queries are in queries.json, where the tests find them. */
"use strict";

const API = "prometheus/api/v1/";
const REFRESH_SECONDS = 15;
const RANGES = { "15 min": 900, "1 h": 3600, "6 h": 21600, "24 h": 86400, "7 d": 604800 };
const SEVERITIES = ["critical", "warning", "info"];
const TONES = { critical: "bad", warning: "warn", info: "plain" };

/* The part after # in the address keeps the choice: #24h. */
const anchor = (name) => name.replace(" ", "");
let shown = RANGES[Object.keys(RANGES).find((name) => `#${anchor(name)}` === window.location.hash) ?? "1 h"];
let latest = 0;

/* Asking */

async function ask(path, parameters = {}) {
  const response = await fetch(`${API}${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

async function askAll(queries, one) {
  const answers = await Promise.all(Object.values(queries).map(one));
  return Object.fromEntries(Object.keys(queries).map((name, index) => [name, answers[index]]));
}

const now = async (query) => (await ask("query", { query })).result.map(({ metric, value }) => ({ ...metric, value: Number(value[1]) }));

async function range(query) {
  const end = Math.floor(Date.now() / 1000);
  const step = Math.max(15, Math.round(shown / 240));
  /* So that the last point is now. */
  const start = end - Math.floor(shown / step) * step;
  const { result } = await ask("query_range", { query, start, end, step });
  return result.map(({ metric, values }) => ({ metric, points: values.map(([time, value]) => [time, Number(value)]) }));
}

/* Writing numbers */

const short = (value, digits = 0) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(size >= 1e5 ? 0 : 1)} k`;
  return value.toLocaleString("en", { maximumFractionDigits: digits, useGrouping: false });
};
const rate = (value) => short(value, value < 10 ? 2 : value < 100 ? 1 : 0);
const percent = (value) => short(value, value > 0 && value < 10 ? 1 : 0);
const bytes = (value) => {
  if (!Number.isFinite(value)) return "–";
  const power = Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(value, 1)) / 10)));
  return `${(value / 1024 ** power).toFixed(power && value / 1024 ** power < 100 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
};
const durationParts = (seconds) => {
  if (!Number.isFinite(seconds)) return ["–", ""];
  if (seconds === 0) return ["0", "s"];
  if (seconds < 1) return [short(seconds * 1000, seconds < 0.01 ? 1 : 0), "ms"];
  if (seconds < 120) return [short(seconds, seconds < 10 ? 1 : 0), "s"];
  if (seconds < 7200) return [short(seconds / 60, 0), "min"];
  if (seconds < 172800) return [short(seconds / 3600, 1), "h"];
  return [short(seconds / 86400, 1), "d"];
};
const duration = (seconds) => durationParts(seconds).join(" ").trim();
const clock = (time) => {
  const options = shown > 86400 ? { weekday: "short", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  return new Date(time * 1000).toLocaleString("en-GB", options);
};

/* Building elements */

function make(tag, attributes = {}, ...children) {
  const element = ["svg", "path", "line", "text", "circle", "g"].includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") Object.entries(value).forEach(([key, setting]) => element.style.setProperty(key, setting));
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
const show = (id, ...children) => document.getElementById(id).replaceChildren(...children);
const empty = (text) => make("p", { class: "empty" }, text);
const byName = (left, right) => left.localeCompare(right, "en", { numeric: true });
const find = (samples, labels) => samples.find((sample) => Object.entries(labels).every(([name, value]) => sample[name] === value))?.value;
const total = (samples, labels) =>
  samples.filter((sample) => Object.entries(labels).every(([name, value]) => sample[name] === value)).reduce((sum, sample) => sum + sample.value, 0);

/* Drawing */

function path(points, x, y) {
  let gap = true;
  let text = "";
  points.forEach(([time, value], index) => {
    if (index && time - points[index - 1][0] > 2.5 * Math.max(15, shown / 240)) gap = true;
    text += `${gap ? "M" : "L"}${x(time).toFixed(1)},${y(value).toFixed(1)}`;
    gap = false;
  });
  return text;
}

function areaBelow(points, x, y) {
  if (!points.length) return "";
  return `${path(points, x, y).replaceAll(/(?!^)M/g, "L")}L${x(points.at(-1)[0])},${y(0)}L${x(points[0][0])},${y(0)}Z`;
}

function sparkline(points, color) {
  const end = Date.now() / 1000;
  const high = Math.max(...points.map(([, value]) => value), 1e-9) * 1.1;
  const x = (time) => ((time - end + shown) / shown) * 100;
  const y = (value) => 33 - (value / high) * 30;
  return make("svg", { viewBox: "0 0 100 34", preserveAspectRatio: "none", "aria-hidden": "true" },
    make("path", { class: "area", d: areaBelow(points, x, y), fill: color }),
    make("path", { class: "stroke", d: path(points, x, y), stroke: color }));
}

function ticks(high, least) {
  const rough = Math.max(high / 4, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(high / step) + 1 }, (_, index) => index * step);
}

/* A chart of lines with a legend that shows the last values, and the values under the pointer. */
function chart(id, title, series, label, write, least) {
  const figure = document.getElementById(id);
  const lines = series
    .map(({ metric, points }) => ({ name: metric[label], points }))
    .filter(({ name }) => name)
    .sort((left, right) => byName(left.name, right.name));
  lines.forEach((line, index) => { line.color = `var(--series-${index % 6})`; });
  const keys = lines.map(({ name, points, color }) =>
    make("span", { class: "key", style: { "--color": color } }, `${name} `, make("b", {}, write(points.at(-1)?.[1]))));
  const plot = make("div", { class: "plot" });
  figure.replaceChildren(make("figcaption", {}, make("b", {}, title), ...keys), plot);
  if (!lines.length) { plot.append(empty("No data yet")); return; }

  const width = plot.clientWidth, height = 190, left = 40, bottom = 22;
  const end = Date.now() / 1000;
  const marks = ticks(Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)), least) * 1.02, least);
  const x = (time) => left + ((time - end + shown) / shown) * (width - left - 2);
  const y = (value) => height - bottom - (value / marks.at(-1)) * (height - bottom - 8);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title });
  for (const mark of marks) {
    svg.append(make("line", { class: "rule", x1: left, x2: width, y1: y(mark), y2: y(mark) }),
      make("text", { x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, short(mark, marks[1] < 1 ? 2 : 1)));
  }
  for (let index = 0; index <= 4; index += 1) {
    const time = end - shown + (shown * index) / 4;
    svg.append(make("text", { x: x(time), y: height - 4, "text-anchor": ["start", "middle", "middle", "middle", "end"][index] }, clock(time)));
  }
  for (const { points, color } of lines) {
    if (lines.length < 4) svg.append(make("path", { class: "area", d: areaBelow(points, x, y), fill: color }));
    svg.append(make("path", { class: "stroke", d: path(points, x, y), stroke: color }));
  }
  const cursor = make("line", { class: "cursor", y1: 8, y2: height - bottom, visibility: "hidden" });
  const tip = make("div", { class: "tip" });
  tip.hidden = true;
  svg.append(cursor);
  plot.append(svg, tip);
  const hide = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("pointermove", (event) => {
    const at = event.clientX - plot.getBoundingClientRect().left;
    if (at < left) { hide(); return; }
    const time = end - shown + ((at - left) / (width - left)) * shown;
    const near = ({ points }) => points.reduce((best, point) => (Math.abs(point[0] - time) < Math.abs(best[0] - time) ? point : best))[1];
    tip.replaceChildren(make("b", {}, clock(time)),
      ...lines.map((line) => make("span", { class: "key", style: { "--color": line.color } }, `${line.name} `, make("b", {}, write(near(line))))));
    tip.hidden = false;
    tip.style.left = `${at + 14 + tip.offsetWidth > width ? at - 14 - tip.offsetWidth : at + 14}px`;
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    cursor.setAttribute("visibility", "visible");
  });
}

/* The parts of the page */

function showAlerts(alerts) {
  const firing = alerts
    .filter(({ state, labels }) => state === "firing" && SEVERITIES.includes(labels.severity))
    .sort((left, right) => SEVERITIES.indexOf(left.labels.severity) - SEVERITIES.indexOf(right.labels.severity));
  const serious = firing.filter(({ labels }) => labels.severity !== "info");
  const state = document.getElementById("state");
  const worst = serious[0]?.labels.severity;
  state.className = `pill ${worst ? TONES[worst] : "good"}`;
  state.textContent = serious.length ? `${serious.length} ${serious.length === 1 ? "alert" : "alerts"}` : "All is well";
  show("alerts", ...firing.map(({ labels, annotations, activeAt }) => {
    const link = /^https?:/.test(annotations.runbook_url) ? annotations.runbook_url : null;
    return make("a", { class: TONES[labels.severity], href: link, target: "_blank", rel: "noreferrer", title: annotations.description },
      make("b", {}, labels.alertname), make("span", {}, annotations.summary), make("time", {}, `for ${duration((Date.now() - Date.parse(activeAt)) / 1000)}`));
  }));
  document.getElementById("alerts").hidden = !firing.length;
}

function tile(name, [number, unit], points, color, tone = "") {
  return make("article", { class: "tile" }, make("h2", {}, name),
    make("p", { class: `number ${tone}` }, number, make("small", {}, unit)), sparkline(points, color));
}

function showTiles(tiles, data) {
  const series = (name) => tiles[name][0]?.points ?? [];
  const last = (name) => series(name).at(-1)?.[1] ?? NaN;
  const expected = data.nodeUp.length;
  const failed = last("failed");
  show("tiles",
    tile("Waiting", [short(last("waiting")), "messages"], series("waiting"), "var(--series-0)"),
    tile("Finished", [rate(last("finished")), "tasks/s"], series("finished"), "var(--series-1)"),
    tile("Failed", [percent(failed), "%"], series("failed"), "var(--bad)", failed >= 5 ? "bad" : ""),
    tile("Oldest message", durationParts(last("age")), series("age"), "var(--series-3)"),
    tile("Mean run time", durationParts(last("runtime")), series("runtime"), "var(--series-2)"),
    tile("Workers up", [short(last("workers")), `of ${expected}`], series("workers"), "var(--good)", last("workers") < expected ? "bad" : ""));
}

function showQueues(data) {
  const names = [...new Set(data.queueLength.map(({ queue }) => queue))].sort(byName);
  const longest = Math.max(...data.queueLength.map(({ value }) => value), 1);
  const head = ["Queue", "Waiting", "Oldest", "Unacked", "Consumers", "Finished", "Failed"];
  const figure = (label, text, tone = "") => make("span", { class: `figure ${tone}`, "data-label": label }, text);
  const rows = names.map((queue) => {
    const length = find(data.queueLength, { queue });
    const consumers = find(data.queueConsumers, { queue });
    const failed = find(data.queueFailed, { queue }) ?? 0;
    return make("div", { class: "row" },
      make("span", { class: "name", title: queue }, queue),
      make("span", { class: "bar" }, make("b", {}, short(length)), make("i", { style: { "--share": `${(100 * length) / longest}%` } })),
      figure("Oldest", length ? duration(find(data.queueAge, { queue })) : "–"),
      figure("Unacked", short(find(data.queueUnacked, { queue }))),
      figure("Consumers", short(consumers), consumers === 0 ? "bad" : ""),
      figure("Finished", `${rate(find(data.queueFinished, { queue }) ?? 0)}/s`),
      figure("Failed", `${percent(failed)} %`, failed >= 5 ? "bad" : ""));
  });
  show("queues", ...(rows.length ? [make("div", { class: "row head" }, ...head.map((text) => make("span", {}, text))), ...rows] : [empty("No data yet")]));
}

function facts(entries) {
  return make("dl", { class: "facts" }, ...Object.entries(entries).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function showPools(data) {
  const pools = [...new Set(data.nodeUp.map(({ pool }) => pool))].sort(byName);
  const cards = pools.map((pool) => {
    const nodes = data.nodeUp.filter((node) => node.pool === pool).sort((left, right) => byName(left.node, right.node));
    const up = total(nodes, {});
    return make("article", { class: "card" },
      make("h3", {}, make("span", {}, pool), make("span", { class: `badge ${up < nodes.length ? "bad" : "good"}` }, `${up} of ${nodes.length} up`)),
      facts({
        Running: short(total(data.nodeActive, { pool })),
        Finished: `${rate(total(data.nodeFinished, { pool }))}/s`,
        "Mean run time": duration(find(data.poolRuntime, { pool }) ?? NaN),
      }),
      make("div", { class: "nodes" }, ...nodes.map(({ node, value }) => {
        const text = value ? `${short(find(data.nodeActive, { node }) ?? 0)} running, ${rate(find(data.nodeFinished, { node }) ?? 0)}/s` : "down";
        return make("div", { class: "node" }, make("span", { class: `dot ${value ? "up" : "down"}` }), make("span", {}, node), make("span", {}, text));
      })));
  });
  show("pools", ...(cards.length ? cards : [empty("No data yet")]));
}

function showBrokers(data) {
  const hosts = data.brokerUp.map(({ host }) => host).sort(byName);
  const cards = hosts.map((host) => {
    const of = (name) => find(data[name], { host });
    const up = of("brokerUp") === 1;
    const master = up && of("brokerMaster") === 1;
    const linked = of("brokerLink") !== 0;
    const badge = !up ? ["bad", "down"] : master ? ["leader", "master"] : linked ? ["plain", "replica"] : ["bad", "replica, link down"];
    const sentinel = of("brokerSentinel");
    return make("article", { class: `card ${master ? "master" : ""}` },
      make("h3", {}, make("span", {}, host), make("span", { class: `badge ${badge[0]}` }, badge[1])),
      facts({
        Memory: up ? bytes(of("brokerMemory")) : "–",
        Clients: up ? short(of("brokerClients")) : "–",
        Commands: up ? `${rate(of("brokerCommands"))}/s` : "–",
      }),
      make("div", { class: "nodes" }, make("div", { class: "node" }, make("span", { class: `dot ${sentinel ? "up" : "down"}` }),
        make("span", {}, "Sentinel"), make("span", {}, sentinel ? "up" : "down"))));
  });
  show("brokers", ...(cards.length ? cards : [empty("No data yet")]));
}

/* Keeping it up to date */

async function refresh(queries) {
  const turn = ++latest;
  try {
    const [alerts, data, tiles, charts] = await Promise.all([
      ask("alerts"), askAll(queries.now, now), askAll(queries.tiles, range), askAll(queries.charts, range)]);
    if (turn !== latest) return;
    showAlerts(alerts.alerts);
    showTiles(tiles, data);
    chart("chart-waiting", "Waiting messages by queue", charts.waiting, "queue", (value) => short(value), 1);
    chart("chart-finished", "Finished tasks per second by pool", charts.finished, "pool", (value) => rate(value), 0.01);
    showQueues(data);
    showPools(data);
    showBrokers(data);
    document.getElementById("updated").textContent = `Updated ${new Date().toLocaleTimeString("en-GB")}, every ${REFRESH_SECONDS} s`;
    document.body.dataset.ready = "true";
  } catch (error) {
    const state = document.getElementById("state");
    state.className = "pill bad";
    state.textContent = "Prometheus does not answer";
    state.title = String(error);
  }
}

async function start() {
  const queries = await (await fetch("queries.json")).json();
  const again = () => refresh(queries);
  const buttons = Object.entries(RANGES).map(([name, seconds]) => {
    const button = make("button", { type: "button", "aria-pressed": String(seconds === shown) }, name);
    button.addEventListener("click", () => {
      shown = seconds;
      window.history.replaceState(null, "", `#${anchor(name)}`);
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      again();
    });
    return button;
  });
  show("ranges", ...buttons);
  document.addEventListener("visibilitychange", () => document.hidden || again());
  window.addEventListener("resize", again);
  setInterval(() => document.hidden || again(), REFRESH_SECONDS * 1000);
  await again();
}

start();
