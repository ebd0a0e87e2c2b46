/** What is likeliest to be seen, by its labels. */

import { el, panel, write } from "./dom.js";

/** @typedef {import("./live.js").Live} Live */

const SHOWN = 8;

export class Stimulus {
  #list = el("ol", { class: "labels" });
  /** @type {Live | null} */
  #live = null;
  /** @type {number[]} rows that are labels */
  #rows = [];
  #painted = -1;

  constructor() {
    const { element, note } = panel("stimulus", "What is seen", [], this.#list);
    this.element = element;
    this.#note = note;
  }

  #note;

  /** @param {Live} live */
  begin(live) {
    this.#live = live;
    const channels = live.products.get("stimulus")?.channels ?? [];
    this.element.hidden = !channels.length;
    this.#rows = channels.map((_, row) => row).filter((row) => channels[row].type === "label");
    this.#list.replaceChildren(
      ...this.#rows.slice(0, SHOWN).map(() => el("li", {}, el("span"), el("meter", { min: 0, max: 1 }), el("output"))),
    );
    this.#painted = -1;
  }

  repaint() {}

  paint() {
    const frame = this.#live?.latest.get("stimulus");
    if (!frame || frame.sequence === this.#painted) return;
    this.#painted = frame.sequence;
    this.#list.dataset.sequence = String(frame.sequence);
    const channels = this.#live?.products.get("stimulus")?.channels ?? [];
    const ranked = this.#rows
      .map((row) => ({ name: channels[row].name, share: frame.data[row * frame.nSamples + frame.nSamples - 1] }))
      .filter(({ share }) => !Number.isNaN(share))
      .sort((one, other) => other.share - one.share);
    [...this.#list.children].forEach((item, at) => {
      const [name, meter, output] = /** @type {[Element, HTMLMeterElement, Element]} */ (
        /** @type {unknown} */ ([...item.children])
      );
      const { name: label = "–", share = 0 } = ranked[at] ?? {};
      write(name, label);
      meter.value = share;
      meter.setAttribute("aria-label", label);
      write(output, ranked[at] ? `${(100 * share).toFixed(0)} %` : "");
    });
    write(
      this.#note,
      ranked.length
        ? `${Math.min(SHOWN, ranked.length)} of ${this.#rows.length} labels, the likeliest first`
        : "waiting for EEG",
    );
  }
}
