/** Control of the replay that feeds the shown session: play, place, speed. */

import { control, replays, sessions } from "./api.js";
import { choice, el, write } from "./dom.js";

/** @typedef {import("./live.js").Live} Live */

const EVERY_MS = 1000;
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export class ReplayControl {
  /** @type {string | null} */
  #id = null;
  #playing = true;
  #held = false;
  #generation = 0;
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
      onchange: () => {
        this.#held = false;
        this.#ask("seek", { position_s: Number(this.#slider.value) });
      },
    });
    this.#speed = choice(
      "Speed of the replay",
      SPEEDS.map((speed) => [String(speed), `× ${speed}`]),
      (speed) => this.#ask("speed", { speed: Number(speed) }),
    );
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

  /** @param {Live | null} live */
  async begin(live) {
    clearInterval(this.#timer);
    this.#id = null;
    this.element.hidden = true;
    this.#generation += 1;
    const generation = this.#generation;
    if (!live || ![...live.products.values()].some((product) => product.replayed)) return;
    const [all, played] = await Promise.all([sessions(), replays()]).catch(() => [[], []]);
    const source = all.find((session) => session.id === live.session)?.source_id;
    const replay = played.filter(({ status }) => status.source_id === source).at(-1);
    // Another process may replay it; and another session may have been chosen meanwhile.
    if (!replay || generation !== this.#generation) return;
    this.#id = replay.id;
    this.element.hidden = false;
    this.#show(replay.status);
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** Pauses, or goes on. */
  toggle() {
    if (this.#id) this.#ask(this.#playing ? "pause" : "resume");
  }

  async #look() {
    if (!this.#id || document.hidden) return;
    const found = (await replays().catch(() => [])).find(({ id }) => id === this.#id);
    if (found) this.#show(found.status);
  }

  /**
   * @param {"pause" | "resume" | "seek" | "speed"} what
   * @param {object} [body]
   */
  async #ask(what, body) {
    try {
      this.#show((await control(/** @type {string} */ (this.#id), what, body)).status);
    } catch (error) {
      this.#tell(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {import("./api.js").ReplayStatus} status */
  #show(status) {
    this.#playing = status.state === "playing";
    this.#button.disabled = status.state === "ended";
    write(this.#button, this.#playing ? "Pause" : "Go on");
    this.#slider.max = String(Math.floor(10 * status.duration_s) / 10);
    if (!this.#held) this.#slider.value = String(status.position_s);
    this.#speed.value = String(status.speed);
    const ended = status.state === "ended" ? " · ended" : "";
    write(this.#place, `${status.position_s.toFixed(0)} of ${status.duration_s.toFixed(0)} s${ended}`);
  }
}
