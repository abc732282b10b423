// Numbers, durations and times as people read them; what is unknown is a dash, never a zero.

export const UNKNOWN = "–";

export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function number(value, digits = 3) {
  if (!isKnown(value)) return UNKNOWN;
  if (Math.abs(value) >= 10 ** digits) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 4 });
}

export function count(value) {
  return isKnown(value) ? Math.round(value).toLocaleString("en") : UNKNOWN;
}

export function percent(ratio) {
  return isKnown(ratio) ? `${Math.round(ratio * 100)} %` : UNKNOWN;
}

export function bytes(value) {
  if (!isKnown(value)) return UNKNOWN;
  return value < 2 ** 30 ? `${Math.round(value / 2 ** 20)} MiB` : `${(value / 2 ** 30).toFixed(1)} GiB`;
}

// A latency as its figure and its unit, apart: 0.182 -> ["182", "ms"].
export function latency(seconds) {
  if (!isKnown(seconds)) return [UNKNOWN, ""];
  return seconds < 1 ? [number(seconds * 1000), "ms"] : [number(seconds), "s"];
}

export function duration(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  if (seconds < 1) return `${number(seconds * 1000, 2)} ms`;
  if (seconds < 10) return `${number(seconds, 2)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 5) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

// How long something has been so, in one unit.
export function age(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([least]) => seconds >= least) ?? [1, "s"];
  return `${Math.max(1, Math.floor(seconds / size))} ${unit}`;
}

// The time of day, in the browser's zone, with the date where it is not today's.
export function clock(at, now) {
  if (!isKnown(at)) return UNKNOWN;
  const local = localDate(at);
  return local.slice(0, 10) === localDate(now).slice(0, 10) ? local.slice(11, 19) : local.slice(5, 19);
}

// What Plotly takes for a moment; it shows it in the browser's own zone.
export function moment(at) {
  return at * 1000;
}

function localDate(at) {
  const date = new Date(at * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().replace("T", " ");
}

export function words(name) {
  return String(name).replaceAll("_", " ");
}
