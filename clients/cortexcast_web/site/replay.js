/** Control of the replay that feeds the shown session: play, place, speed. */

import { control, replays, showSession } from "./api.js";
import { choice, el, messageOf, setOptions, write } from "./dom.js";

/** @typedef {import("./live.js").Live} Live */

const EVERY_MS = 1000;
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export class ReplayControl {
  /** @type {string | null} */
  #id = null;
  #playing = true;
  #held = false;
  /** @type {Live | null} */
  #live = null;
  /** The source_id of the session's stream, once it is known. */
  #source = "";
  /** How often the session had found its stream again by then: one that was replayed anew has another source_id. */
  #restarts = 0;
  /** Counts requests: the answer to an older one is not looked at. */
  #asked = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {(problem: string) => void} tell */
  constructor(tell) {
    this.#tell = tell;
    this.#button = el("button", { type: "button", textContent: "Pause", onclick: () => this.toggle() });
    this.#slider = el("input", {
      type: "range",
      min: "0",
      step: "0.1",
      "aria-label": "Place in the recording, in seconds",
      oninput: () => {
        this.#held = true;
      },
      onpointerup: () => {
        this.#held = false;
      },
      onblur: () => {
        this.#held = false;
      },
      onchange: () => {
        this.#held = false;
        this.#ask("seek", { position_s: Number(this.#slider.value) });
      },
    });
    this.#speed = choice("Speed of the replay", [], (speed) => this.#ask("speed", { speed: Number(speed) }));
    const name = el("span", { textContent: "Replay" });
    this.#place = el("output");
    const parts = [name, this.#button, this.#slider, this.#place, this.#speed];
    this.element = el("div", { class: "replay", role: "group", "aria-label": "Replay", hidden: true }, ...parts);
  }

  #tell;
  #button;
  #slider;
  #speed;
  #place;

  /** @param {Live} live */
  begin(live) {
    clearInterval(this.#timer);
    this.#id = null;
    this.element.hidden = true;
    this.#live = live;
    this.#source = "";
    if (![...live.products.values()].some((product) => product.replayed)) return;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    this.#look();
  }

  /** Pauses, or goes on. */
  toggle() {
    if (this.#id) this.#ask(this.#playing ? "pause" : "resume");
  }

  /** Finds the replay that feeds the session: another process may play it, or another replay have taken its place. */
  async #look() {
    const live = this.#live;
    if (document.hidden || !live) return;
    const restarts = live.status?.restarts ?? 0;
    const known = restarts === this.#restarts ? this.#source : "";
    this.#asked += 1;
    const asked = this.#asked;
    // With the source the daemon tells every channel: that is too much to ask each time.
    const source = known || (await showSession(live.session).catch(() => null))?.source_id;
    const played = source && (await replays().catch(() => null));
    // What was asked meanwhile is newer.
    if (!played || live !== this.#live || asked !== this.#asked) return;
    this.#source = source;
    this.#restarts = restarts;
    const replay = played.find(({ status }) => status.source_id === source);
    this.#id = replay?.id ?? null;
    this.element.hidden = !replay;
    if (replay) this.#show(replay.status);
  }

  /**
   * @param {"pause" | "resume" | "seek" | "speed"} what
   * @param {object} [body]
   */
  async #ask(what, body) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const { status } = await control(/** @type {string} */ (this.#id), what, body);
      if (asked === this.#asked) this.#show(status);
      this.#tell("");
    } catch (error) {
      this.#tell(messageOf(error));
    }
  }

  /** @param {import("./api.js").ReplayStatus} status */
  #show(status) {
    this.#playing = status.state === "playing";
    this.#button.disabled = status.state === "ended";
    write(this.#button, this.#playing ? "Pause" : "Go on");
    this.#slider.max = String(Math.floor(10 * status.duration_s) / 10);
    if (!this.#held) this.#slider.value = String(status.position_s);
    const speeds = [...new Set([...SPEEDS, status.speed])].sort((one, other) => one - other);
    setOptions(
      this.#speed,
      speeds.map((speed) => [String(speed), `× ${speed}`]),
    );
    this.#speed.value = String(status.speed);
    const ended = status.state === "ended" ? " · ended" : "";
    write(this.#place, `${status.position_s.toFixed(0)} of ${status.duration_s.toFixed(0)} s${ended}`);
  }
}
