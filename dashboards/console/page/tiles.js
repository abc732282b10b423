// The row of tiles: what matters now, in one figure each.

import { UNKNOWN, clock, count, duration, isKnown, latency, number, words } from "./format.js";
import { byId, element, renderInto } from "./elements.js";

export function drawTiles(snapshot) {
  renderInto(byId("tiles"), tiles(snapshot), (list) => list.map(tile));
}

function tiles(snapshot) {
  const { latency: waits, settings } = snapshot;
  return [
    demandTile(snapshot),
    replicaTile(snapshot),
    latencyTile("TTFT p95", waits, "ttft", settings.ttft_objective_seconds),
    latencyTile("TPOT p95", waits, "tpot", settings.tpot_objective_seconds),
    trafficTile(snapshot),
    decisionTile(snapshot),
  ];
}

function demandTile({ demand }) {
  if (demand.unavailable) return missing("Demand");
  const { now, expected_now: expected, low_now: low, high_now: high } = demand;
  const details = isKnown(expected)
    ? [`forecast ${number(expected)}`, `band ${number(low)} – ${number(high)}`] : ["no forecast yet"];
  return { title: "Demand", figure: number(now), unit: "req/s", details };
}

function replicaTile({ fleet, replicas }) {
  const counts = Array.isArray(fleet) ? countStates(fleet) : replicas.now;
  if (!counts) return missing("Replicas");
  const others = Object.entries(counts).filter(([state, number]) => state !== "serving" && number > 0);
  const details = [others.map(([state, number]) => `${number} ${state}`).join(", ") || "no others"];
  const { serving, standby } = replicas.wanted_now ?? {};
  if (isKnown(serving)) details.push(`wanted ${serving}${standby ? ` + ${standby}` : ""}`);
  return { title: "Replicas", figure: count(counts.serving ?? 0), unit: "serving", details };
}

function countStates(fleet) {
  const counts = {};
  for (const { state } of fleet) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function latencyTile(title, waits, key, objective) {
  if (waits.unavailable) return missing(title);
  const { p50_now: median, p95_now: tail } = waits[key];
  const [figure, unit] = latency(tail);
  const details = [isKnown(tail) ? `p50 ${latency(median).join(" ")}` : "no answers lately"];
  if (isKnown(objective)) details.push(`objective ${latency(objective).join(" ")}`);
  return { title, figure, unit, details, isMissed: isKnown(objective) && tail > objective };
}

function trafficTile({ traffic }) {
  if (traffic.unavailable) return missing("Output");
  const { output_tokens_per_second_now: tokens, in_flight_now: inFlight, held_now: held } = traffic;
  return { title: "Output", figure: number(tokens), unit: "tokens/s", details: [`${count(inFlight)} in flight`, `${count(held)} held`] };
}

function decisionTile({ decisions, at }) {
  const last = Array.isArray(decisions) ? decisions[0] : undefined;
  if (decisions.unavailable) return missing("Last decision");
  if (!last) return { title: "Last decision", wide: true, sentence: "The autoscaler has not decided anything yet." };
  const age = Math.max(0, Math.floor(at - last.at));
  const when = `${clock(last.at, at)} · ${age < 1 ? "just now" : `${duration(age)} ago`}`;
  return { title: "Last decision", wide: true, reason: words(last.reason), sentence: last.sentence, details: [when] };
}

function missing(title) {
  return { title, figure: UNKNOWN, unit: "", details: ["cannot be read"] };
}

function tile({ title, figure, unit, details = [], sentence, reason, wide, isMissed }) {
  const heading = element("h2", { text: title }, reason ? element("span", { className: "chip", text: reason }) : null);
  const body = sentence
    ? element("p", { className: "sentence", text: sentence })
    : element("p", { className: "figure" },
        element("strong", { text: figure }), element("span", { className: "unit", text: unit }));
  const classes = ["tile", wide ? "wide" : "", isMissed ? "missed" : ""].filter(Boolean).join(" ");
  return element("article", { className: classes }, heading, body,
    ...details.map((text) => element("p", { className: "detail", text })));
}
