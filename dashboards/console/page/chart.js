// One Plotly chart: the layout that all share, drawn again only when what it shows has changed.

import { moment } from "./format.js";
import { byId } from "./elements.js";
import { theme } from "./theme.js";

const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false, showTips: false };
const drawn = new Map(); // what each chart was last asked to show
const sight = new IntersectionObserver(noteSight, { rootMargin: "150px" });
let zoom = null; // the stretch of time that somebody has picked, for all charts together

// Plotly reads a little markup in its texts; ours are plain.
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

// Draw a chart into its element; the value axis reaches at least from `bottom` to `top`.
export function draw(id, chart) {
  const node = byId(id);
  node.setAttribute("aria-label", chart.label);
  drawn.set(id, chart);
  sight.observe(node);
  if (!window.Plotly || !node.isInSight) return;
  const layout = layoutOf(chart, node.clientWidth);
  const signature = JSON.stringify([chart.traces, layout, node.clientWidth]);
  if (node.signature === signature) return;
  node.signature = signature;
  window.Plotly.react(node, chart.traces, layout, CONFIG);
  if (!node.isWatched) watchZoom(node);
}

// A chart that is scrolled out of sight is not drawn until it is back.
function noteSight(entries) {
  for (const { target, isIntersecting } of entries) {
    target.isInSight = isIntersecting;
    if (isIntersecting) draw(target.id, drawn.get(target.id));
  }
}

export function resetZoom() {
  setZoom(null);
}

function watchZoom(node) {
  node.isWatched = true;
  node.on("plotly_relayout", (change) => {
    const range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (range[0] !== undefined) setZoom(range);
  });
  node.on("plotly_doubleclick", resetZoom);
}

function setZoom(range) {
  zoom = range;
  byId("zoom").hidden = range === null;
  for (const [id, chart] of drawn) draw(id, chart);
}

function layoutOf({ traces, from, to, unit, bottom = 0, top = 1, now = null, marks = [], whole = false }, width) {
  const values = traces.flatMap((trace) => trace.y.filter((value) => value !== null));
  const range = [Math.min(bottom, ...values), Math.max(top, ...values)].map((edge) => edge * 1.08);
  const layout = baseLayout({ from, to, unit, range, whole, width });
  layout.shapes = [...(now === null ? [] : [nowLine(now)]), ...marks.map(markLine)];
  if (now !== null) layout.annotations.push(nowLabel(now));
  layout.annotations.push(...marks.map(markLabel));
  return layout;
}

function baseLayout({ from, to, unit, range, whole, width }) {
  const { text, muted, line, card, font } = theme();
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const [tickformat, tickWidth] = timeTicks(to - from, width - 50);
  return {
    autosize: true,
    margin: { l: 40, r: 10, t: 22, b: 26 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: font, size: 11.5, color: muted },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: card, bordercolor: line, font: { family: font, size: 12, color: text } },
    dragmode: isTouch ? false : "zoom",
    xaxis: {
      type: "date", range: zoom ?? [moment(from), moment(to)], fixedrange: isTouch, showgrid: false,
      zeroline: false, linecolor: line, spikecolor: muted, spikethickness: 1, spikedash: "solid",
      tickcolor: line, ticklen: 4, ticks: "outside", nticks: Math.max(2, Math.floor((width - 50) / tickWidth)),
      tickformat, hoverformat: "%d %b %H:%M:%S", tickangle: 0,
    },
    yaxis: {
      range, fixedrange: true, gridcolor: line, zeroline: range[0] < 0, zerolinecolor: muted, nticks: 5, tickformat: ",~g",
      ...(whole && range[1] < 6 ? { dtick: 1 } : {}),
    },
    annotations: [{
      text: unit, xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "left", yanchor: "bottom", yshift: 4,
      xshift: -40, showarrow: false, font: { size: 11, color: muted },
    }],
  };
}

// How times are written on an axis of so many seconds and pixels, and the room that each takes.
function timeTicks(seconds, pixels) {
  if (seconds > 129600) return ["%d %b %H:%M", 120];
  const apart = (seconds * 54) / pixels; // Plotly steps from half a minute to a whole one
  return apart > 30 ? ["%H:%M", 54] : ["%H:%M:%S", 84];
}

function nowLine(at) {
  const x = moment(at);
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: theme().muted, width: 1, dash: "dot" } };
}

function nowLabel(at) {
  return {
    text: "now", x: moment(at), yref: "paper", y: 1, yanchor: "bottom", yshift: 4, showarrow: false,
    font: { size: 11, color: theme().text },
  };
}

function markLine({ value, color }) {
  return { type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color, width: 1, dash: "dash" } };
}

function markLabel({ value, color, text }) {
  return {
    text, xref: "paper", x: 1, xanchor: "right", y: value, yanchor: "bottom", showarrow: false,
    font: { size: 11, color },
  };
}
