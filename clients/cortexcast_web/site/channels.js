/** Which of a product's channels are meant. Pure. */

/** @typedef {import("./client.js").Channel} Channel */

/** One of so many can be told apart on a small panel. */
const THINNED = 3;

/** @type {Record<string, (channels: Channel[]) => number[]>} rows, by the group's name */
const GROUPS = {
  "some magnetometers": (channels) =>
    where(channels, ({ type }) => type === "mag").filter((_, at) => at % THINNED === 0),
  all: (channels) => where(channels, () => true),
  magnetometers: (channels) => where(channels, ({ type }) => type === "mag"),
  gradiometers: (channels) => where(channels, ({ type }) => type === "grad"),
  left: (channels) => where(channels, ({ location }) => location[0] < -0.01),
  right: (channels) => where(channels, ({ location }) => location[0] > 0.01),
  front: (channels) => where(channels, ({ location }) => location[1] > 0.02),
  back: (channels) => where(channels, ({ location }) => location[1] < -0.02),
};

/**
 * Names of groups that are some of these channels and not all of them, and `all`; what is shown at first is first.
 *
 * @param {Channel[]} channels
 * @returns {string[]}
 */
export function groups(channels) {
  return Object.keys(GROUPS).filter((name) => {
    const n = GROUPS[name](channels).length;
    return name === "all" || (n > 0 && n < channels.length);
  });
}

/**
 * Rows of channels in a group whose names match one of some patterns, as `Cz, O*, MEG01?1`, spaces in names not looked
 * at; all match none.
 *
 * @param {Channel[]} channels
 * @param {string} group
 * @param {string} patterns
 * @returns {number[]}
 */
export function select(channels, group, patterns) {
  const wanted = patterns
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(asRegExp);
  const rows = (GROUPS[group] ?? GROUPS.all)(channels);
  return rows.filter(
    (row) => !wanted.length || wanted.some((pattern) => pattern.test(channels[row].name.replaceAll(" ", ""))),
  );
}

/**
 * @param {Channel[]} channels
 * @param {(channel: Channel) => boolean} isIn
 */
function where(channels, isIn) {
  return channels.map((_, row) => row).filter((row) => isIn(channels[row]));
}

/** @param {string} pattern */
function asRegExp(pattern) {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "i");
}
