// From grid times and values to Plotly traces. A gap (null) stays a gap in every one of them.

import { isKnown, moment } from "./format.js";

// Stretches of consecutive indices at which every list has a value.
export function stretches(length, ...lists) {
  const found = [];
  let current = null;
  for (let index = 0; index < length; index += 1) {
    if (lists.every((values) => isKnown(values[index]))) {
      if (current === null) found.push((current = []));
      current.push(index);
    } else {
      current = null;
    }
  }
  return found;
}

// A line; a point that stands alone between gaps is shown as a dot.
export function line(times, values, { name, color, width = 2, dash = "solid", shape = "linear", hover = "%{y:.3~g}", custom, dot = 5 }) {
  const alone = values.map((value, index) =>
    isKnown(value) && !isKnown(values[index - 1]) && !isKnown(values[index + 1]) ? dot : 0,
  );
  return {
    name, type: "scatter", mode: "lines+markers", connectgaps: false, x: times.map(moment), y: values,
    line: { color, width, dash, shape }, marker: { color, size: alone, line: { width: 0 }, opacity: 1 },
    customdata: custom, hovertemplate: `${hover}<extra>${name}</extra>`,
  };
}

// The area between two lines: one closed shape for each stretch without a gap.
export function area(times, low, high, { color, name }) {
  const x = [];
  const y = [];
  for (const stretch of stretches(times.length, low, high)) {
    const back = stretch.toReversed();
    x.push(...stretch.map((index) => moment(times[index])), ...back.map((index) => moment(times[index])), null);
    y.push(...stretch.map((index) => high[index]), ...back.map((index) => low[index]), null);
  }
  return filled(x, y, { color, name });
}

// The area between two staircases: the value at a time holds for the step that ends there.
export function stairs(times, low, high, step, { color, name }) {
  const x = [];
  const y = [];
  for (const stretch of stretches(times.length, low, high)) {
    const edges = stretch.flatMap((index) => [times[index] - step, times[index]]).map(moment);
    const twice = (values) => stretch.flatMap((index) => [values[index], values[index]]);
    x.push(...edges, ...edges.toReversed(), null);
    y.push(...twice(high), ...twice(low).toReversed(), null);
  }
  return filled(x, y, { color, name });
}

function filled(x, y, { color, name }) {
  return {
    name, type: "scatter", mode: "lines", x, y, fill: "toself", fillcolor: color, line: { width: 0, color },
    hoverinfo: "skip", connectgaps: false,
  };
}
