// Looks texts up in the catalogue that the server, the console and the figures share (runtime/messages). What a
// recording's answer says in words comes with it (`guidance`, problems), which follows Accept-Language.

const LANGUAGES = ["es", "en"];
const CATALOGUES = await catalogues();

const CHOICE = "tosia.language";

let current = remembered() ?? ofTheBrowser();

/** "es" or "en". */
export function language() {
  return current;
}

export function switchLanguage() {
  current = current === "es" ? "en" : "es";
  try {
    localStorage.setItem(CHOICE, current);
  } catch {
    // Storage may be switched off: then the choice lasts as long as the page.
  }
}

/** The text of a name, its values put in for the names in braces. */
export function text(name, values = {}) {
  return CATALOGUES[current].console[name].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

/**
 * The name of one of the API's codes, or the code itself where there is none.
 * kind: "status", "state", "reason", "label", "failure", or "title" of a problem; so a code never has the text of
 * another kind.
 */
export function word(kind, code) {
  const names = CATALOGUES[current][kind];
  return Object.hasOwn(names, code) ? names[code] : String(code);
}

export function number(value, digits = 2) {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(
    value,
  );
}

export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  return count < 1024 * 1024 ? `${number(count / 1024, 0)} KiB` : `${number(count / 1024 / 1024, 1)} MiB`;
}

export function moment(rfc3339) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(rfc3339));
}

/** The reader's own country's form of the language: Mexico writes 0.5, Argentina 0,5. */
function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith(current)) ?? current;
}

function remembered() {
  try {
    const choice = localStorage.getItem(CHOICE);
    return LANGUAGES.includes(choice) ? choice : null;
  } catch {
    return null;
  }
}

function ofTheBrowser() {
  const known = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag));
  return known ?? "es";
}

/** Both, so that the language is switched at once. Without them there is nothing to show but the page's own apology. */
async function catalogues() {
  try {
    const fetched = LANGUAGES.map(async (name) => [name, await (await fetch(`/console/messages.${name}.json`)).json()]);
    return Object.fromEntries(await Promise.all(fetched));
  } catch (error) {
    document.getElementById("unloaded").hidden = false;
    throw error;
  }
}
