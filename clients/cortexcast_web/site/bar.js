/** The line at the bottom: where the signal comes from, how far to trust it, and whether everything keeps up. */

import { el, write } from "./dom.js";

/**
 * @typedef {import("./live.js").Live} Live
 * @typedef {import("./client.js").Client} Client
 * @typedef {import("./pace.js").Pace} Pace
 */

const EVERY_MS = 250;

const LATENCY = "from the newest EEG sample that a frame needed until it is here: half of frames, 95 % of them";

/** @type {[string, string, string][]} name, label, and what it means */
const FIELDS = [
  ["connection", "daemon", "whether this page is connected to the daemon"],
  ["source", "source", "whether samples arrive from the headset"],
  ["rate", "rate", "measured sampling rate of the headset"],
  ["latency", "latency", LATENCY],
  ["dropped", "dropped", "frames that this page did not get: it was too slow, or away for too long"],
  ["gaps", "gaps", "how often samples of the headset were missing, and for how long"],
  ["acknowledged", "acknowledged", "when this page last told the daemon what it has"],
  ["display", "display", "paints a second, and the time that 95 % of them take at the most"],
  ["traffic", "traffic", "bytes of frames a second"],
];

/** @type {Record<import("./client.js").State, string>} */
const CONNECTIONS = {
  connecting: "connecting",
  open: "connected",
  waiting: "lost: trying again",
  closed: "closed",
};

export class Bar {
  #values = new Map(FIELDS.map(([name]) => [name, el("output", { class: "value" })]));
  /** What everybody must see: it has a place of its own. */
  badges = el("span", { class: "badges", role: "status" });
  #models = el("span", { class: "models" });
  #painted = 0;
  #bytes = 0;

  constructor() {
    const fields = FIELDS.map(([name, label, meaning]) =>
      el(
        "span",
        { class: "field", title: meaning, "data-field": name },
        `${label} `,
        /** @type {HTMLElement} */ (this.#values.get(name)),
      ),
    );
    this.#latency = fields[FIELDS.findIndex(([name]) => name === "latency")];
    this.element = el("footer", { class: "bar", "aria-label": "Status" }, ...fields, this.#models);
  }

  #latency;

  /** @param {Live | null} live */
  begin(live) {
    const products = [...(live?.products.values() ?? [])];
    const models = products.flatMap((product) => (product.model ? [product.model] : []));
    /** @type {string[]} */
    const badges = [];
    if (products.some((product) => product.simulated)) badges.push("simulated");
    if (products.some((product) => product.replayed)) badges.push("replayed");
    const fromSimulation = models.filter((model) => model.trained_on === "simulated").map((model) => model.name);
    if (fromSimulation.length) badges.push("trained on simulation");
    this.badges.replaceChildren(
      ...badges.map((text) =>
        el("strong", {
          class: "badge",
          textContent: text,
          title: text === "trained on simulation" ? fromSimulation.join(", ") : "",
        }),
      ),
    );
    this.#models.replaceChildren(
      ...models.map((model) =>
        el(
          "span",
          {
            class: "field",
            title: `${model.name} ${model.version}, ${model.digest}, trained on: ${model.trained_on}`,
          },
          `${model.name} ${model.version} `,
          el("code", { textContent: model.digest.slice(0, 8) }),
        ),
      ),
    );
  }

  /**
   * @param {Client} client
   * @param {Live | null} live
   * @param {Pace} pace
   */
  paint(client, live, pace) {
    const now = performance.now();
    const elapsed = now - this.#painted;
    if (elapsed < EVERY_MS) return;
    const traffic = (client.bytes - this.#bytes) / elapsed;
    this.#painted = now;
    this.#bytes = client.bytes;
    const status = live?.status;
    const age = status?.state === "live" ? "" : ageOf(status?.sample_age_s);
    const isCurrent = live?.isCurrent;
    const behind = client.acknowledged ? `${((Date.now() - client.acknowledged) / 1000).toFixed(1)} s ago` : "–";
    const values = {
      connection: CONNECTIONS[client.state],
      source: !live?.isConnected ? "unknown" : status ? `${status.state}${age}` : "none",
      rate: isCurrent && status?.rate_hz ? `${status.rate_hz.toFixed(1)} Hz` : "–",
      latency: isCurrent ? `${ms(live?.latency(0.5))} / ${ms(live?.latency(0.95))}` : "–",
      dropped: String(live?.dropped ?? 0),
      gaps: status?.gaps ? `${status.gaps}, ${status.missing_s.toFixed(1)} s` : "0",
      acknowledged: behind,
      display: `${pace.rate.toFixed(0)}/s, ${pace.paintMs(0.95).toFixed(1)} ms`,
      traffic: `${traffic.toFixed(0)} kB/s`,
    };
    for (const [name, value] of Object.entries(values)) write(/** @type {Element} */ (this.#values.get(name)), value);
    const { p50, p95 } = status?.latency_ms ?? {};
    this.#latency.title = `${LATENCY}. In the daemon: ${ms(p50 && p50 / 1000)} / ${ms(p95 && p95 / 1000)}`;
    this.element.classList.toggle("trouble", live !== null && !isCurrent);
  }
}

/** @param {number | null | undefined} seconds */
function ageOf(seconds) {
  return seconds == null ? "" : ` for ${seconds.toFixed(0)} s`;
}

/** @param {number | null | undefined} seconds */
function ms(seconds) {
  return seconds == null ? "–" : `${(1000 * seconds).toFixed(0)} ms`;
}
