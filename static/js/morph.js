// Makes one element like another by changing only what differs, so that focus, a press in progress, ticked boxes, opened
// details and scrolled boxes survive an update.

const KEPT = new Set(["open"]); // a person's, not the server's

function attributes(from, to, changed) {
  for (const { name, value } of to.attributes) {
    if (!KEPT.has(name) && from.getAttribute(name) !== value) {
      from.setAttribute(name, value);
      changed(from, name);
    }
  }
  for (const { name } of [...from.attributes]) {
    if (!KEPT.has(name) && !to.hasAttribute(name)) from.removeAttribute(name);
  }
}

function children(from, to, changed) {
  const wanted = [...to.childNodes];
  wanted.forEach((next, index) => {
    let now = from.childNodes[index];
    if (next.id && now?.id !== next.id) {
      const moved = [...from.children].find((child) => child.id === next.id);
      if (moved) from.insertBefore(moved, now ?? null);
      now = moved ?? now;
    }
    if (now) morph(now, next, changed);
    else from.append(next);
  });
  while (from.childNodes.length > wanted.length) from.lastChild.remove();
}

// `changed(element, attribute)` is called for every attribute that got another value.
export function morph(from, to, changed = () => {}) {
  if (from.nodeName !== to.nodeName || (from.id ?? "") !== (to.id ?? "")) return from.replaceWith(to);
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return undefined;
  }
  attributes(from, to, changed);
  return children(from, to, changed);
}
