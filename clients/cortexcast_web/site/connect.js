/** The page to begin at: headsets on the network, a demo, a recording, and what is served already. */

import * as api from "./api.js";
import { el, messageOf } from "./dom.js";

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
          this.#open(event, () => replayFile(file.value, loop.checked));
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
  /** Counts requests of what is served. */
  #listed = 0;

  /** Looks for streams. */
  async look() {
    this.#looking.disabled = true;
    this.#streams.replaceChildren(el("li", { textContent: "looking …" }));
    try {
      const streams = await api.streams();
      const lines = streams.filter(isSource).map((stream) => this.#line(stream));
      this.#streams.replaceChildren(...(lines.length ? lines : [el("li", { textContent: "none was found" })]));
    } catch (error) {
      this.#streams.replaceChildren(el("li", { textContent: messageOf(error) }));
    }
    this.#looking.disabled = false;
  }

  /** Lists what is served. */
  async list() {
    this.#listed += 1;
    const listed = this.#listed;
    const sessions = await api.sessions().catch(() => []);
    // What was asked later may have been answered first.
    if (listed !== this.#listed) return;
    const lines = sessions.map(({ id, stream, source_id, status }) =>
      el(
        "li",
        {},
        el("button", { type: "button", textContent: `Show ${stream}`, onclick: () => this.#show(id) }),
        el("span", { textContent: status.state, title: status.error ?? "" }),
        el("button", {
          type: "button",
          textContent: "Stop",
          "aria-label": `Stop ${stream}`,
          onclick: () => stop(id, source_id).catch((error) => this.#tell(messageOf(error))),
        }),
      ),
    );
    this.#sessions.replaceChildren(...(lines.length ? lines : [el("li", { textContent: "nothing yet" })]));
  }

  /** @param {api.Stream} stream */
  #line(stream) {
    const what = `${stream.name} · ${stream.type}, ${stream.n_channels} channels, ${stream.rate_hz} Hz, on ${stream.host}`;
    const query = stream.source_id ? { source_id: stream.source_id } : { predicate: `uid='${stream.uid}'` };
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

/**
 * Whether a stream may be a headset's: it has a rate, and is not what a daemon gives itself.
 *
 * @param {api.Stream} stream
 */
function isSource({ rate_hz, source_id }) {
  return rate_hz > 0 && !source_id.startsWith("cortexcast-out:");
}

/**
 * Plays a recording and serves it; what is played already is served.
 *
 * @param {string} file
 * @param {boolean} loop
 */
async function replayFile(file, loop) {
  const playing = (await api.replays()).find(({ status }) => status.file === file && status.state !== "ended");
  const replay = playing ?? (await api.openReplay({ file, loop }));
  const { source_id } = replay.status;
  const served = (await api.sessions()).find((session) => session.source_id === source_id);
  if (served) return served;
  try {
    return await api.openSession({ source_id });
  } catch (error) {
    // Nobody would stop it.
    if (!playing) await api.closeReplay(replay.id);
    throw error;
  }
}

/**
 * Stops a session, and the replay that feeds it.
 *
 * @param {string} id
 * @param {string} source_id
 */
async function stop(id, source_id) {
  await api.closeSession(id);
  for (const replay of await api.replays()) {
    if (replay.status.source_id === source_id) await api.closeReplay(replay.id);
  }
}
