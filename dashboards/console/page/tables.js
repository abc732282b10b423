// What is listed rather than drawn: devices, replicas, decisions, signals and anomalies.

import { age, bytes, clock, count, duration, isKnown, number, percent, words } from "./format.js";
import { byId, chip, element, message, renderInto } from "./elements.js";

const opened = new Set(); // decisions whose numbers are unfolded

export function drawTables(snapshot) {
  drawGpus(snapshot.gpus);
  drawFleet(snapshot);
  drawDecisions(snapshot);
  drawSignals(snapshot.signals);
  drawEvents(snapshot);
}

function drawGpus(gpus) {
  const list = Array.isArray(gpus) ? gpus : [];
  byId("gpus-badge").hidden = !list.some((gpu) => gpu.simulated);
  renderInto(byId("gpus"), list, () => (list.length ? list.map(gpuRow) : [
    message(gpus.unavailable ? "" : "No GPU has answered: this machine has none, or its exporter is not running."),
  ]));
}

function gpuRow(gpu) {
  const used = gpu.memory_used_bytes;
  const total = isKnown(used) && isKnown(gpu.memory_free_bytes) ? used + gpu.memory_free_bytes : null;
  const facts = [
    isKnown(gpu.power_watts) ? `${count(gpu.power_watts)} W` : null,
    isKnown(gpu.temperature_celsius) ? `${count(gpu.temperature_celsius)} °C` : null,
  ].filter(Boolean).join(" · ");
  const name = [`GPU ${gpu.gpu}`, gpu.name].filter(Boolean).join(" · ");
  return element("article", { className: "gpu" },
    element("h3", {}, element("span", { text: name }), element("span", { className: "facts", text: facts })),
    bar("util", gpu.utilization_ratio, percent(gpu.utilization_ratio)),
    bar("memory", total ? used / total : null, total ? `${bytes(used)} of ${bytes(total)}` : bytes(used)),
  );
}

function bar(label, ratio, text) {
  const fill = element("span", { className: `fill ${label}` });
  fill.style.width = `${Math.min(100, Math.max(0, (ratio ?? 0) * 100))}%`;
  const attributes = { role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "1", "aria-valuetext": text };
  if (isKnown(ratio)) attributes["aria-valuenow"] = String(ratio);
  return element("div", { className: "bar" },
    element("span", { className: "name", text: label }),
    element("span", { className: isKnown(ratio) ? "track" : "track unknown", attributes }, fill),
    element("span", { className: "value", text }),
  );
}

function drawFleet({ fleet, capacity, at }) {
  const rows = Array.isArray(fleet) ? fleet.map((one) => fleetRow(one, at)) : [];
  renderInto(byId("fleet"), rows, () => (rows.length
    ? [table(["Replica", "State", "For", "Running", "Waiting"], rows)]
    : [message(fleet.unavailable ? "" : "No replica is running.")]));
  renderInto(byId("capacity"), capacityText(capacity), (text) => [document.createTextNode(text)]);
}

function fleetRow({ id, state, since, pid, in_flight: running, waiting }, at) {
  return { cells: [id, state, age(isKnown(since) ? at - since : null), count(running), count(waiting)], title: isKnown(pid) ? `process ${pid}` : "" };
}

function capacityText({ requests_per_second: rate, lead_seconds: leads }) {
  const sentences = [];
  if (isKnown(rate)) sentences.push(`One replica sustains ${number(rate)} req/s.`);
  const steps = Object.entries(leads ?? {}).map(([step, seconds]) => `${words(step)} ${duration(seconds)}`);
  if (steps.length) sentences.push(`Lead time: ${steps.join(", ")}.`);
  return sentences.join(" ");
}

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((text) => element("th", { text, attributes: { scope: "col" } })));
  const body = rows.map(({ cells, title }) => element("tr", title ? { attributes: { title } } : {},
    ...cells.map((text, index) => (index === 1
      ? element("td", {}, chip(text, text)) : element("td", { text })))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function drawDecisions({ decisions, at }) {
  const list = Array.isArray(decisions) ? decisions : [];
  const shown = list.map((one) => ({ ...one, time: clock(one.at, at) }));
  renderInto(byId("decisions"), shown, () => (shown.length ? [decisionTable(shown)] : [
    message(decisions.unavailable ? "" : "No decision yet: the autoscaler writes down each one here, with its reason."),
  ]));
}

function decisionTable(shown) {
  const head = ["Time", "Reason", "Wanted", "Why"].map((text) => element("th", { text, attributes: { scope: "col" } }));
  return element("table", { className: "decisions" },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...shown.map(decisionRow)));
}

function decisionRow({ at, time, reason, sentence, serving, standby, numbers }) {
  const wanted = isKnown(serving) ? `${serving}${standby ? ` + ${standby}` : ""}` : "–";
  return element("tr", {},
    element("td", { className: "time", text: time }),
    element("td", {}, chip(words(reason), "")),
    element("td", { className: "wanted", text: wanted, attributes: { title: "serving + standby" } }),
    element("td", { className: "why" }, element("p", { text: sentence }), details(at, numbers)));
}

function details(key, numbers) {
  const entries = Object.entries(numbers ?? {});
  if (!entries.length) return null;
  const rows = entries.flatMap(([name, value]) => [
    element("dt", { text: words(name) }), element("dd", { text: shownValue(value) })]);
  const node = element("details", {}, element("summary", { text: "numbers" }), element("dl", {}, ...rows));
  node.open = opened.has(key);
  node.addEventListener("toggle", () => (node.open ? opened.add(key) : opened.delete(key)));
  return node;
}

function shownValue(value) {
  if (isKnown(value)) return number(value, 4);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function drawSignals(signals) {
  const list = Array.isArray(signals) ? signals : [];
  const rows = list.map(({ name, score_now: score, active_now: active, low_now: low, high_now: high }) => {
    const state = { true: "abnormal", false: "normal", null: "learning" }[String(active)];
    const band = isKnown(low) || isKnown(high) ? `${number(low)} – ${number(high)}` : "–";
    return { cells: [words(name), state, isKnown(score) ? `${score.toFixed(1)} σ` : "–", band] };
  });
  renderInto(byId("signals"), rows, () => (rows.length ? [table(["Signal", "State", "Score", "Normal band"], rows)] : []));
}

function drawEvents({ anomalies, at }) {
  const list = (Array.isArray(anomalies) ? anomalies : []).slice(0, 6).map((one) => ({
    ...one,
    when: one.until === null ? clock(one.at, at) : `${clock(one.at, at)} to ${clock(one.until, at)}`,
  }));
  const failed = anomalies.unavailable ? [message(`Cannot read the list of anomalies: ${anomalies.unavailable}`)] : [];
  renderInto(byId("events"), [list, anomalies.unavailable], () => (list.length ? [element("ul", { className: "events" },
    ...list.map(({ signal, sentence, when, until }) => element("li", { className: until === null ? "current" : "" },
      element("span", { className: "when", text: when }), element("p", { text: sentence || words(signal) }))))] : failed));
}
