/** The dashboard: one subscription to everything, one shown session, and views that paint what is known of it. */

import { Bar } from "./bar.js";
import { Brain } from "./brain.js";
import { Client } from "./client.js";
import { Connect } from "./connect.js";
import { forgetColours, setOptions, write } from "./dom.js";
import { Electrodes } from "./electrodes.js";
import { Live } from "./live.js";
import { Pace } from "./pace.js";
import { ReplayControl } from "./replay.js";
import { Stimulus } from "./stimulus.js";
import { Topography } from "./topography.js";
import { Traces } from "./traces.js";
import { Truth } from "./truth.js";

/**
 * @typedef {import("./client.js").Product} Product
 *
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(live: Live) => void} begin another session is shown
 * @property {() => void} paint what is new
 * @property {() => void} repaint all, at the next paint
 */

const PRODUCTS = ["eeg", "meg", "meg_recorded", "fmri", "stimulus"];
const THEMES = ["auto", "light", "dark"];

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Live | null} */
let live = null;
/** Chosen by hand; else the newest. */
let wanted = "";
const pace = new Pace();

/** What was asked for and did not work, until it does. */
let problem = "";

/** @param {string} text empty where all is well */
function tell(text) {
  problem = text;
  showProblem();
}

function showProblem() {
  const text = problem || live?.status?.error || "";
  write(byId("problem-text"), text);
  byId("problem").hidden = !text;
}
byId("dismiss").onclick = () => tell("");

const traces = [new Traces("eeg", "EEG"), new Traces("meg", "MEG estimate")];
/** @type {View[]} */
const views = [...traces, new Electrodes(), new Topography(), new Truth(), new Brain(), new Stimulus()];
const replay = new ReplayControl(tell);
const bar = new Bar();
const connect = new Connect((session) => {
  wanted = session;
  choose(client.products);
  turnTo("live");
}, tell);

byId("live").append(...views.map((view) => view.element));
byId("connect").append(connect.element);
byId("title").after(bar.badges);
byId("top").append(replay.element);
byId("page").append(bar.element);

const sessions = /** @type {HTMLSelectElement} */ (byId("session"));
sessions.onchange = () => {
  wanted = sessions.value;
  choose(client.products);
};

const address = new URL("ws", document.baseURI);
address.protocol = address.protocol.replace("http", "ws");
const client = new Client(address.href, PRODUCTS, {
  products: choose,
  frame(frame, product) {
    if (product.session === live?.session) live.push(frame, product, Date.now() / 1000 - client.clockOffset);
  },
  status(status) {
    if (status.session !== live?.session) return;
    live.hear(status);
    showProblem();
  },
  state(state) {
    const isConnected = state === "open";
    if (isConnected) tell("");
    live?.connect(isConnected);
  },
  marker(marker) {
    if (marker.session === live?.session) live.mark(marker);
  },
  error: (error) => tell(error.message),
});

/**
 * Shows the wanted session, else the one that is shown, else the newest.
 *
 * @param {Product[]} products
 */
function choose(products) {
  connect.list();
  const names = new Map(products.map((product) => [product.session, product.stream]));
  const chosen = [wanted, live?.session ?? "", ...[...names.keys()].reverse()].find((each) => names.has(each)) ?? "";
  setOptions(sessions, [...names]);
  sessions.value = chosen;
  byId("session-choice").hidden = names.size < 2;
  if (!chosen) {
    // What is shown stays to be looked at: the daemon may be back in a moment, with a new session.
    if (!live) turnTo("connect");
    return;
  }
  const own = products.filter((product) => product.session === chosen);
  if (live && live.session === chosen && live.products.size === own.length) return;
  if (!live) turnTo("live");
  live = new Live(own);
  for (const view of views) view.begin(live);
  bar.begin(live);
  replay.begin(live);
  showProblem();
}

/** @param {string} page */
function turnTo(page) {
  for (const name of ["connect", "live"]) {
    byId(name).hidden = name !== page;
    byId(`to-${name}`).setAttribute("aria-current", name === page ? "page" : "false");
  }
  if (page === "connect") connect.look();
}
for (const name of ["connect", "live"]) byId(`to-${name}`).onclick = () => turnTo(name);

/** A browser may be told to keep nothing. */
function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

/** @param {string} theme */
function remember(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // It is chosen again next time.
  }
}

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  write(byId("theme"), `Theme: ${theme}`);
  remember(theme);
  repaint();
}

function repaint() {
  forgetColours();
  for (const view of views) view.repaint();
}
setTheme(remembered() ?? THEMES[0]);
byId("theme").onclick = () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length];
  setTheme(next);
};
matchMedia("(prefers-color-scheme: dark)").onchange = repaint;

/** @type {Record<string, () => void>} */
const KEYS = {
  " ": () => {
    const areRunning = traces.some((each) => !each.isPaused);
    for (const each of traces) each.pause(areRunning);
  },
  "+": () => traces.forEach((each) => void each.zoom(-1)),
  "-": () => traces.forEach((each) => void each.zoom(1)),
  r: () => replay.toggle(),
  c: () => turnTo("connect"),
  l: () => turnTo("live"),
  t: () => byId("theme").click(),
  "?": () => /** @type {HTMLDialogElement} */ (byId("keys")).showModal(),
};
document.onkeydown = (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const isElsewhere = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || document.querySelector("dialog[open]");
  if (event.ctrlKey || event.metaKey || event.altKey || isElsewhere) return;
  // A button is pressed by the space bar.
  if (event.key === " " && target.tagName === "BUTTON") return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
};
byId("help").onclick = KEYS["?"];

/** Only what can be seen is painted. */
const seen = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
});
for (const view of views) watcher.observe(view.element);

function paint() {
  // First, so that a view that fails does not end it all.
  requestAnimationFrame(paint);
  const begun = performance.now();
  byId("live").classList.toggle("old", live !== null && !live.isCurrent);
  for (const view of views) if (seen.has(view.element)) view.paint();
  bar.paint(client, live, pace);
  pace.note(begun, performance.now());
}
requestAnimationFrame(paint);

// For measurements from outside, and for who looks at the console.
Object.assign(window, { cortexcast: { client, pace, live: () => live } });
