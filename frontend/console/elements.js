// Build the page out of elements. Text is always text: nothing here or elsewhere parses markup.

/**
 * An element. Properties are the DOM's own (`className`, `textContent`, `disabled`, ...); names with a dash, `role`
 * and `for`
 * are attributes; functions under `on...` are listeners. Children are elements, texts, or null for none.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || ["role", "for"].includes(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Say something to whoever can't see it appear. */
export function announce(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

/** A paragraph that is read out as soon as it is there. */
export function alertOf(...children) {
  return element("div", { className: "notice error", role: "alert" }, ...children);
}
