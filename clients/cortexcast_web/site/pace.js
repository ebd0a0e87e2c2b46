/** How often the page is painted, and how long that takes. Pure. */

const KEPT = 300;

export class Pace {
  /** All since the page was opened. */
  count = 0;
  /** @type {number[]} when the last ones began, in ms */
  #begun = [];
  /** @type {number[]} how long they took, in ms */
  #took = [];

  /**
   * @param {number} begun ms
   * @param {number} ended ms
   */
  note(begun, ended) {
    this.count += 1;
    this.#begun.push(begun);
    this.#took.push(ended - begun);
    if (this.#begun.length > KEPT) {
      this.#begun.shift();
      this.#took.shift();
    }
  }

  /** Paints a second. */
  get rate() {
    const n = this.#begun.length;
    return n > 1 ? (1000 * (n - 1)) / (this.#begun[n - 1] - this.#begun[0]) : 0;
  }

  /**
   * The time that this share of paints took at the most.
   *
   * @param {number} share
   */
  paintMs(share) {
    const ordered = this.#took.toSorted((one, other) => one - other);
    return ordered[Math.ceil(share * ordered.length) - 1] ?? 0;
  }
}
