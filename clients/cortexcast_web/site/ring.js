/** The last seconds of one product, as its frames came. Pure. */

/** @typedef {import("./wire.js").Frame} Frame */

export class Ring {
  /** Index after that of the newest sample; both as of `frame.firstSample`. */
  end = 0;
  /** Index of the oldest sample. */
  begin = 0;
  /** When the newest sample was, in seconds of the LSL clock. */
  newest = Number.NaN;

  /**
   * @param {number} nChannels
   * @param {number} rate samples a second
   * @param {number} seconds that are kept
   */
  constructor(nChannels, rate, seconds) {
    this.nChannels = nChannels;
    this.rate = rate;
    this.capacity = Math.max(1, Math.ceil(seconds * rate));
    this.data = new Float32Array(nChannels * this.capacity);
  }

  /**
   * Takes the next frame. Samples that never came are NaN; after a jump back, as of another session, it begins anew.
   *
   * @param {Frame} frame of this product
   */
  push(frame) {
    const first = frame.firstSample;
    if (this.begin === this.end || first < this.end || first - this.end > this.capacity) {
      this.begin = this.end = first;
    }
    for (let missing = this.end; missing < first; missing++) this.#fill(missing, Number.NaN);
    const { nChannels, nSamples, data } = frame;
    for (let sample = 0; sample < nSamples; sample++) {
      const at = (first + sample) % this.capacity;
      for (let channel = 0; channel < nChannels; channel++) {
        this.data[channel * this.capacity + at] = data[channel * nSamples + sample];
      }
    }
    this.end = first + nSamples;
    this.begin = Math.max(this.begin, this.end - this.capacity);
    this.newest = frame.t0 + (nSamples - 1) / this.rate;
  }

  /**
   * @param {number} channel
   * @param {number} index of a sample between `begin` and `end`
   */
  at(channel, index) {
    return this.data[channel * this.capacity + (index % this.capacity)];
  }

  /**
   * The index of the sample at a time, by the newest one: before a gap in time it is only near.
   *
   * @param {number} time seconds of the LSL clock
   */
  indexAt(time) {
    return this.end - 1 - Math.round((this.newest - time) * this.rate);
  }

  /**
   * Of each channel over the last seconds, or so many as there are: its standard deviation. NaN where it has no samples.
   *
   * @param {number} seconds
   */
  spread(seconds) {
    const first = Math.max(this.begin, this.end - Math.round(seconds * this.rate));
    const spread = new Float32Array(this.nChannels);
    for (let channel = 0; channel < this.nChannels; channel++) {
      let [n, sum, squares] = [0, 0, 0];
      for (let index = first; index < this.end; index++) {
        const value = this.at(channel, index);
        if (Number.isNaN(value)) continue;
        n += 1;
        sum += value;
        squares += value * value;
      }
      spread[channel] = n ? Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)) : Number.NaN;
    }
    return spread;
  }

  /** As it is now, for who wants to look at it while time goes on. */
  copy() {
    const copy = new Ring(this.nChannels, this.rate, 1);
    Object.assign(copy, this, { data: this.data.slice() });
    return copy;
  }

  /**
   * @param {number} index
   * @param {number} value
   */
  #fill(index, value) {
    const at = index % this.capacity;
    for (let channel = 0; channel < this.nChannels; channel++) this.data[channel * this.capacity + at] = value;
  }
}
