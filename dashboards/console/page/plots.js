// The plots of the page, each from its section of the snapshot.

import { area, line, stairs, stretches } from "./traces.js";
import { draw, plain } from "./chart.js";
import { isKnown, latency, number, words } from "./format.js";
import { legend, overlay } from "./elements.js";
import { seriesColours, theme } from "./theme.js";

const STATES = ["serving", "standby", "asleep", "starting", "draining", "failed"];
const LEAST_STEPS = 30;
const STAIR = { shape: "vh", hover: "%{customdata}" };

export function drawPlots(snapshot) {
  const span = shownSpan(snapshot);
  drawDemand(snapshot, span);
  drawReplicas(snapshot, span);
  drawLatency(snapshot, span, "ttft", "Time to first token", snapshot.settings.ttft_objective_seconds);
  drawLatency(snapshot, span, "tpot", "Time per output token", snapshot.settings.tpot_objective_seconds);
  drawTokens(snapshot, span);
  drawQueue(snapshot, span);
  drawAnomalies(snapshot, span);
}

// From the first known point (so that a young history is not all blank) to the last grid time,
// and ahead to the end of the forecast.
function shownSpan({ times, demand, forecast, replicas, settings }) {
  const lists = [demand.rate, demand.past?.middle, ...Object.values(replicas.by_state ?? {})];
  const firsts = lists.filter(Boolean).map((values) => values.findIndex(isKnown)).filter((index) => index >= 0);
  const first = Math.min(times.length - 1, ...firsts);
  const start = Math.max(0, Math.min(first - 1, times.length - LEAST_STEPS));
  const end = times[times.length - 1];
  const step = settings.step_seconds;
  const ahead = forecast?.times?.at(-1) ?? end + step;
  return { start, step, times: times.slice(start), from: times[start], to: end, ahead: Math.max(end, ahead) };
}

function drawDemand({ at, demand, forecast, settings }, span) {
  const { times, start, step } = span;
  const colours = theme();
  const cut = (values) => (values ?? []).slice(start);
  const { low = [], middle = [], high = [] } = demand.past ?? {};
  const traces = [
    area(times, cut(low), cut(high), { name: "forecast band", color: colours.band }),
    line(times, cut(middle), {
      name: "forecast", color: colours.forecast, width: 1.2, dash: "dot",
      custom: times.map((_, index) => [number(cut(low)[index]), number(cut(high)[index])]),
      hover: "%{y:.3~g}  (%{customdata[0]} – %{customdata[1]})",
    }),
  ];
  const ahead = forecast?.times ? forecast : null;
  if (ahead) traces.push(...outlook(joined(ahead, demand, span), colours));
  traces.push(line(times, cut(demand.rate), { name: "demand", color: colours.demand }));
  legend("demand-legend", [["line demand", "demand"], ["fill band", "forecast, 80 % band"]]);
  draw("demand-plot", {
    traces, from: span.from, to: span.ahead, unit: "requests/s", now: Math.floor(at / step) * step,
    label: `Demand: ${number(demand.now)} requests per second now, forecast ${number(demand.expected_now)}`,
  });
  const address = settings.addresses.gateway ?? settings.addresses.API;
  overlay("demand-empty", quietWords(demand.rate), address ? curl(address, settings.model) : null);
}

function quietWords(rate) {
  if (!rate || rate.some((value) => value > 0)) return null;
  return rate.some(isKnown) ? "No requests yet. Send the first one:" : "Nothing has been counted yet. Send a first request:";
}

// The outlook, begun where the past band ends, if it does so at the forecast's origin.
function joined({ origin, times, band }, { past }, { to }) {
  const last = (values) => values?.at(-1);
  if (origin !== to || !isKnown(last(past?.middle))) return { times, band };
  const begun = Object.entries(band).map(([name, values]) => [name, [last(past[name]), ...values]]);
  return { times: [origin, ...times], band: Object.fromEntries(begun) };
}

function outlook({ times, band }, colours) {
  return [
    area(times, band.low, band.high, { name: "outlook band", color: colours.outlook }),
    line(times, band.middle, {
      name: "outlook", color: colours.forecast, width: 1.8, dash: "dash",
      custom: times.map((_, index) => [number(band.low[index]), number(band.high[index])]),
      hover: "%{y:.3~g}  (%{customdata[0]} – %{customdata[1]})",
    }),
  ];
}

function curl(address, model) {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "What is a cold start?" }] }).replaceAll("'", "'\\''");
  return `curl ${address.replace(/(\/v1)?\/?$/, "")}/v1/chat/completions -H 'Content-Type: application/json' -d '${body}'`;
}

function drawReplicas({ at, replicas }, span) {
  const { times, start, step } = span;
  const colours = theme();
  const states = STATES.filter((state) => state === "serving" || replicas.by_state?.[state]?.some((value) => value > 0));
  let floor = times.map((_, index) => (known(replicas.by_state, start + index) ? 0 : null));
  const traces = [];
  for (const state of states) {
    const values = times.map((_, index) => replicas.by_state?.[state]?.[start + index] ?? null);
    const ceiling = floor.map((value, index) => (value === null ? null : value + (values[index] ?? 0)));
    traces.push(stairs(times, floor, ceiling, step, { name: state, color: colours[state] }));
    const edge = ceiling.map((value, index) => (values[index] > 0 ? value : null));
    traces.push(line(times, edge, { ...STAIR, name: state, color: colours[state], width: 1, custom: values, dot: 0 }));
    floor = ceiling;
  }
  const wanted = replicas.wanted?.serving?.slice(start) ?? times.map(() => null);
  traces.push(line(times, wanted, { ...STAIR, name: "wanted serving", color: colours.wanted, width: 1.6, custom: wanted }));
  legend("replicas-legend", [...states.map((state) => [`block ${state}`, state]), ["line wanted", "wanted serving"]]);
  draw("replicas-plot", {
    traces, from: span.from, to: span.ahead, unit: "replicas", top: 2, whole: true, now: Math.floor(at / step) * step,
    label: `Replicas by state: ${Object.entries(replicas.now ?? {}).map(([state, count]) => `${count} ${state}`).join(", ")}`,
  });
  const isEmpty = replicas.by_state && !Object.values(replicas.by_state).some((values) => values.some(isKnown));
  overlay("replicas-empty", isEmpty ? "The autoscaler has not reported yet." : null);
}

function known(lists, index) {
  return Object.values(lists ?? {}).some((values) => isKnown(values[index]));
}

function drawLatency({ latency: section }, span, key, title, objective) {
  const { times, start } = span;
  const colours = theme();
  const found = section[key] ?? { p50: [], p95: [] };
  const highest = Math.max(0, ...found.p95.slice(start).filter(isKnown));
  const [factor, unit] = highest < 2 ? [1000, "ms"] : [1, "s"];
  const scaled = (values) => values.slice(start).map((value) => (isKnown(value) ? value * factor : null));
  const traces = [
    line(times, scaled(found.p50), { name: "p50", color: colours.median, width: 1.6, hover: `%{y:.3~g} ${unit}` }),
    line(times, scaled(found.p95), { name: "p95", color: colours.tail, hover: `%{y:.3~g} ${unit}` }),
  ];
  const isNear = isKnown(objective) && objective < highest * 2.5;
  const goal = isKnown(objective) ? latency(objective).join(" ") : "";
  const marks = isNear ? [{ value: objective * factor, color: colours.objective, text: `objective ${goal}` }] : [];
  legend(`${key}-legend`, [["line median", "p50"], ["line tail", "p95"]]);
  draw(`${key}-plot`, {
    traces, from: span.from, to: span.to, unit, top: isNear ? objective * factor * 1.1 : 1, marks,
    label: `${title}: median ${latency(found.p50_now).join(" ")}, 95th percentile ${latency(found.p95_now).join(" ")}`,
  });
  overlay(`${key}-empty`, section[key] && !found.p95.some(isKnown) ? "No answers to measure yet." : null);
}

function drawTokens({ traffic }, span) {
  const { times, start } = span;
  const colours = theme();
  const values = (traffic.output_tokens_per_second ?? []).slice(start);
  const floor = values.map((value) => (isKnown(value) ? 0 : null));
  draw("tokens-plot", {
    traces: [
      area(times, floor, values, { name: "tokens", color: colours["demand-fill"] }),
      line(times, values, { name: "output tokens/s", color: colours.demand }),
    ],
    from: span.from, to: span.to, unit: "tokens/s", top: 10,
    label: `Output tokens: ${number(traffic.output_tokens_per_second_now)} per second now`,
  });
  overlay("tokens-empty", values.length && !values.some((value) => value > 0) ? "No tokens generated yet." : null);
}

function drawQueue({ traffic }, span) {
  const { times, start } = span;
  const colours = theme();
  const cut = (values) => (values ?? []).slice(start);
  legend("queue-legend", [["line forecast", "in flight"], ["line abnormal", "held"]]);
  draw("queue-plot", {
    traces: [
      line(times, cut(traffic.in_flight), { name: "in flight", color: colours.forecast }),
      line(times, cut(traffic.held), { name: "held", color: colours.abnormal }),
    ],
    from: span.from, to: span.to, unit: "requests", top: 2, whole: true,
    label: `Requests in the gateway: ${number(traffic.in_flight_now)} in flight, ${number(traffic.held_now)} held`,
  });
  const isEmpty = traffic.in_flight && !stretches(traffic.in_flight.length, traffic.in_flight).length;
  overlay("queue-empty", isEmpty ? "The gateway has not reported yet." : null);
}

function drawAnomalies({ signals }, span) {
  const { times, start } = span;
  const list = Array.isArray(signals) ? signals : [];
  const colours = seriesColours();
  const traces = list.flatMap((signal, index) => {
    const color = colours[index % colours.length];
    const score = signal.score.slice(start);
    const abnormal = score.map((value, place) => (signal.active[start + place] > 0 ? value : null));
    return [
      line(times, score, { name: plain(words(signal.name)), color, width: 1.5, hover: "%{y:.2f} σ" }),
      { ...line(times, abnormal, { name: "abnormal", color: theme().abnormal, width: 4 }), hoverinfo: "skip", hovertemplate: null },
    ];
  });
  legend("anomalies-legend", list.slice(0, colours.length).map((signal, index) => [`line series-${index}`, words(signal.name)]));
  draw("anomalies-plot", {
    traces, from: span.from, to: span.to, unit: "deviations (σ)", bottom: -4, top: 4,
    label: `Anomaly scores: ${list.map((one) => `${words(one.name)} ${number(one.score_now, 2)}`).join(", ")}`,
  });
  overlay("anomalies-empty", list.length || !Array.isArray(signals) ? null : "The detector is still learning what is normal.");
}

