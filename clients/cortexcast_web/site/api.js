/** The daemon's REST interface; `docs/rest.md` describes it. */

/**
 * @typedef {{name: string, type: string, source_id: string, uid: string, host: string, n_channels: number,
 *   rate_hz: number}} Stream
 * @typedef {{id: string, stream: string, source_id: string, status: import("./client.js").Status}} Session
 * @typedef {{state: "playing" | "paused" | "ended", name: string, file: string, source_id: string, position_s: number,
 *   duration_s: number, speed: number, loop: boolean, error: string | null}} ReplayStatus
 * @typedef {{id: string, status: ReplayStatus}} Replay
 */

const BASE = "api/v1";

/** @returns {Promise<Stream[]>} those of the network; takes a second */
export const streams = () => ask("GET", "streams");

/** @returns {Promise<Session[]>} */
export const sessions = () => ask("GET", "sessions");

/**
 * @param {string} id
 * @returns {Promise<Session>}
 */
export const showSession = (id) => ask("GET", `sessions/${encodeURIComponent(id)}`);

/**
 * @param {{source_id?: string, predicate?: string}} query
 * @returns {Promise<Session>}
 */
export const openSession = (query) => ask("POST", "sessions", query);

/** @param {string} id */
export const closeSession = (id) => ask("DELETE", `sessions/${encodeURIComponent(id)}`);

/** @returns {Promise<Session>} of a simulated headset */
export const tryDemo = () => ask("POST", "demo");

/** @returns {Promise<Replay[]>} */
export const replays = () => ask("GET", "replays");

/**
 * @param {{file: string, loop: boolean}} request
 * @returns {Promise<Replay>}
 */
export const openReplay = (request) => ask("POST", "replays", request);

/** @param {string} id */
export const closeReplay = (id) => ask("DELETE", `replays/${id}`);

/**
 * @param {string} id
 * @param {"pause" | "resume" | "seek" | "speed"} what
 * @param {object} [body]
 * @returns {Promise<Replay>}
 */
export const control = (id, what, body) => ask("POST", `replays/${id}/${what}`, body);

/** @param {string} model */
export const parcelsUrl = (model) => `${BASE}/models/${encodeURIComponent(model)}/parcels.nii.gz`;

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @throws {Error} with the daemon's own message
 */
async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const request = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
  const answer = await fetch(`${BASE}/${path}`, request).catch(() => {
    throw new Error("the daemon does not answer");
  });
  const content = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(content.error.message);
  return content;
}
