// The page's own colours, read from the style sheet, for the plots.

const NAMES = [
  "text", "muted", "line", "card", "demand", "demand-fill", "forecast", "band", "outlook", "wanted",
  "median", "tail", "objective", "abnormal", "font",
  "serving", "standby", "starting", "draining", "asleep", "failed", "stopped", "absent",
];

let colours = null;

export function theme() {
  if (colours === null) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return colours;
}

export function seriesColours() {
  const { forecast, demand, serving, draining, starting, failed } = theme();
  return [forecast, demand, serving, draining, starting, failed];
}

export function onThemeChange(redraw) {
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
    matchMedia(query).addEventListener("change", () => {
      colours = null;
      redraw();
    });
  }
}
