// DOM building blocks. Text always becomes a text node, so nothing that is shown can be markup.

export function element(tag, { className, text, attributes = {} } = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Rebuild a container only when what it shows has changed, so that selections and focus stay.
export function renderInto(container, shown, build) {
  const signature = JSON.stringify(shown);
  if (container.signature === signature) return;
  container.signature = signature;
  container.replaceChildren(...build(shown));
}

export function legend(id, entries) {
  renderInto(byId(id), entries, () =>
    entries.map(([kind, name]) =>
      element("li", {}, element("span", { className: `swatch ${kind}` }), document.createTextNode(name)),
    ),
  );
}

export function chip(text, kind) {
  return element("span", { className: `chip ${kind}`, text });
}

export function message(text) {
  return element("p", { className: "message", text });
}

// Show words over a plot, or take them away.
export function overlay(id, text, code) {
  const node = byId(id);
  node.hidden = text === null;
  if (text === null) return;
  renderInto(node, [text, code], () => [
    element("p", { text }),
    code ? element("code", { text: code, attributes: { tabindex: "0" } }) : null,
  ].filter((child) => child !== null));
}
