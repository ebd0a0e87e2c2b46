/** Values as people of the field read them: µV, fT, fT/cm. Pure. */

/**
 * @typedef {object} Display
 * @property {string} unit
 * @property {number} factor from the SI unit
 * @property {number} typical an amplitude in `unit`
 */

/** @type {Record<string, Display>} by the channel's type */
const DISPLAYS = {
  eeg: { unit: "µV", factor: 1e6, typical: 50 },
  mag: { unit: "fT", factor: 1e15, typical: 500 },
  grad: { unit: "fT/cm", factor: 1e13, typical: 100 },
  bold: { unit: "%", factor: 1, typical: 1 },
};

/**
 * @param {string} type of a channel
 * @returns {Display}
 */
export function display(type) {
  return DISPLAYS[type] ?? { unit: "", factor: 1, typical: 1 };
}

/**
 * With two or three digits.
 *
 * @param {number} value
 */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size >= 100 || size === 0 ? value.toFixed(0) : value.toPrecision(size >= 10 ? 3 : 2);
}
