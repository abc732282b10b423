// The live console: asks for a snapshot every second and shows it; says so when nobody answers.

import { byId, element, renderInto, setText } from "./elements.js";
import { clock, duration, number } from "./format.js";
import { resetZoom } from "./chart.js";
import { drawPlots } from "./plots.js";
import { drawTables } from "./tables.js";
import { drawTiles } from "./tiles.js";
import { onThemeChange } from "./theme.js";

const PACE_MS = 1000;
const PATIENCE_MS = 12000;

let latest = null;
let timer = null;
let isAsking = false;

async function turn() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  const began = performance.now();
  try {
    latest = await fetchSnapshot();
    hideBanner();
  } catch (error) {
    showBanner(error);
  }
  if (document.body.className !== "stale") showSafely(latest);
  isAsking = false;
  if (!document.hidden) timer = setTimeout(turn, Math.max(100, PACE_MS - (performance.now() - began)));
}

// A fault in drawing is for the browser's log; the next snapshot is shown all the same.
function showSafely(snapshot) {
  try {
    show(snapshot);
  } catch (error) {
    reportError(error);
  }
}

async function fetchSnapshot() {
  const response = await fetch("api/snapshot", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (response.ok) return response.json();
  const { error } = await response.json().catch(() => ({}));
  throw new Refusal(error ?? `it answered ${response.status}`);
}

class Refusal extends Error {}

function show(snapshot) {
  showHeader(snapshot);
  markSections(snapshot);
  drawTiles(snapshot);
  drawTables(snapshot);
  drawPlots(snapshot);
}

function showHeader({ at, settings, gpus, problems, targets }) {
  document.title = `${settings.model} · Warmfront`;
  setText(byId("model"), settings.model);
  renderInto(byId("addresses"), settings.addresses, (addresses) => Object.entries(addresses).map(([name, address]) =>
    element("div", {}, element("dt", { text: name }), element("dd", { text: String(address).replace(/^https?:\/\//, "") }))));
  showList("notes", notes(settings, gpus));
  showList("problems", problems);
  const answering = Array.isArray(targets) ? targets.length : 0;
  showHealth(problems.length ? "bad" : answering ? "good" : "unknown", healthText(problems, answering));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  setText(byId("footer"), `As of ${clock(at, at)} · times in ${zone} · one point every ${duration(settings.step_seconds)}`);
}

function healthText(problems, answering) {
  if (problems.length) return problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return answering ? "All answering" : "Starting";
}

function notes({ notes: said, compression }, gpus) {
  const simulated = (Array.isArray(gpus) ? gpus : []).filter((gpu) => gpu.simulated).length;
  const isSaid = said.some((note) => /gpu.*simulated/i.test(note));
  return [
    ...said,
    ...(simulated && !isSaid ? [`${simulated === 1 ? "1 GPU is" : `${simulated} GPUs are`} simulated`] : []),
    ...(compression === 1 ? [] : [`replayed time: 1 s here is ${number(compression)} s of the trace`]),
  ];
}

function showList(id, lines) {
  byId(id).hidden = !lines.length;
  renderInto(byId(id), lines, () => lines.map((text) => element("li", { text })));
}

function showHealth(level, text) {
  byId("health").dataset.level = level;
  setText(byId("health"), text);
}

function markSections(snapshot) {
  for (const card of document.querySelectorAll("[data-section]")) {
    const reason = snapshot[card.dataset.section]?.unavailable;
    const words = reason === undefined ? null : `Cannot be read at the moment: ${reason}`;
    card.toggleAttribute("data-unavailable", words !== null);
    let note = card.querySelector(":scope > .unavailable");
    if (words === null) {
      note?.remove();
    } else {
      note ??= card.appendChild(element("p", { className: "unavailable" }));
      setText(note, words);
    }
  }
}

function showBanner(error) {
  const since = latest ? ` What you see is from ${clock(latest.at, Date.now() / 1000)}.` : "";
  const text = error instanceof Refusal
    ? `Warmfront answers, but cannot show its state: ${error.message}.${since} Trying again every second.`
    : `Warmfront does not answer at ${location.host}.${since} Trying again every second.`;
  setText(byId("banner"), text);
  byId("banner").hidden = false;
  document.body.classList.add("stale");
  showHealth("bad", "No answer");
}

function hideBanner() {
  byId("banner").hidden = true;
  document.body.classList.remove("stale");
}

byId("zoom").addEventListener("click", resetZoom);
document.addEventListener("visibilitychange", () => document.hidden || turn());
onThemeChange(() => latest && showSafely(latest));
turn();
