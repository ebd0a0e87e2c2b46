/** The page to begin at: headsets on the network, a demo, a recording, and what is served already. */

import * as api from "./api.js";
import { el } from "./dom.js";

/** @typedef {import("./client.js").Product} Product */

export class Connect {
  #streams = el("ul", { class: "choices", "aria-label": "Streams" });
  #sessions = el("ul", { class: "choices", "aria-label": "Sessions" });
  #looking = el("button", { type: "button", textContent: "Look again", onclick: () => this.look() });

  /**
   * @param {(session: string) => void} show
   * @param {(problem: string) => void} tell
   */
  constructor(show, tell) {
    this.#show = show;
    this.#tell = tell;
    const file = el("input", {
      type: "text",
      id: "replay-file",
      required: true,
      placeholder: "/home/me/recording_raw.fif",
      spellcheck: false,
    });
    const loop = el("input", { type: "checkbox", checked: true });
    const replay = el(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.#open(event, async () => {
            const { status } = await api.openReplay({ file: file.value, loop: loop.checked });
            return api.openSession({ source_id: status.source_id });
          });
        },
      },
      el("label", { for: "replay-file" }, "File on the daemon’s machine: .fif, .set, .vhdr, .edf, .bdf or .xdf"),
      file,
      el("label", {}, loop, " again and again"),
      el("button", { type: "submit", textContent: "Replay it" }),
    );
    const demo = el("button", {
      type: "button",
      class: "first",
      textContent: "Try the demo",
      onclick: (/** @type {Event} */ event) => this.#open(event, api.tryDemo),
    });
    this.element = el(
      "div",
      { class: "connect" },
      card(
        "Headsets on the network",
        "Start the LSL stream in the headset’s own software.",
        this.#streams,
        this.#looking,
      ),
      card("No headset?", "A simulated brain and headset show what there is to see.", demo),
      card("A recording", "It is replayed through LSL as if it were a headset.", replay),
      card("Served now", "", this.#sessions),
    );
  }

  #show;
  #tell;

  /** Looks for streams. */
  async look() {
    this.#looking.disabled = true;
    this.#streams.replaceChildren(el("li", { textContent: "looking …" }));
    try {
      const streams = await api.streams();
      const lines = streams.filter((stream) => stream.rate_hz > 0).map((stream) => this.#line(stream));
      this.#streams.replaceChildren(...(lines.length ? lines : [el("li", { textContent: "none was found" })]));
    } catch (error) {
      this.#streams.replaceChildren();
      this.#tell(messageOf(error));
    }
    this.#looking.disabled = false;
  }

  /** @param {Product[]} products all */
  list(products) {
    const names = new Map(products.map((product) => [product.session, product.stream]));
    const lines = [...names].map(([session, stream]) =>
      el(
        "li",
        {},
        el("button", { type: "button", textContent: `Show ${stream}`, onclick: () => this.#show(session) }),
        el("button", {
          type: "button",
          textContent: "Stop",
          "aria-label": `Stop ${stream}`,
          onclick: () => api.closeSession(session).catch((error) => this.#tell(messageOf(error))),
        }),
      ),
    );
    this.#sessions.replaceChildren(...(lines.length ? lines : [el("li", { textContent: "nothing yet" })]));
  }

  /** @param {api.Stream} stream */
  #line(stream) {
    const what = `${stream.name} · ${stream.type}, ${stream.n_channels} channels, ${stream.rate_hz} Hz, on ${stream.host}`;
    const query = stream.source_id ? { source_id: stream.source_id } : { name: stream.name };
    return el(
      "li",
      {},
      el("span", { textContent: what }),
      el("button", {
        type: "button",
        textContent: "Connect",
        "aria-label": `Connect ${stream.name}`,
        onclick: (/** @type {Event} */ event) => this.#open(event, () => api.openSession(query)),
      }),
    );
  }

  /**
   * @param {Event} event
   * @param {() => Promise<api.Session>} ask
   */
  async #open(event, ask) {
    const target = /** @type {HTMLElement} */ (event.currentTarget);
    const button = /** @type {HTMLButtonElement} */ (
      target instanceof HTMLButtonElement ? target : target.querySelector("button")
    );
    button.disabled = true;
    this.#tell("");
    try {
      this.#show((await ask()).id);
    } catch (error) {
      this.#tell(messageOf(error));
    }
    button.disabled = false;
  }
}

/**
 * @param {string} title
 * @param {string} text
 * @param {...Node} children
 */
function card(title, text, ...children) {
  const words = text ? [el("p", { textContent: text })] : [];
  return el("section", { class: "card", "aria-label": title }, el("h2", { textContent: title }), ...words, ...children);
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
