// Prints what the JavaScript client hands out, a JSON object a line: node subscriber.mjs URL PRODUCT...

import { createHash } from "node:crypto";
import { Client } from "../../clients/cortexcast_web/site/client.js";
import { WebSocket } from "../../clients/cortexcast_web/node_modules/ws/wrapper.mjs";

const [url, ...names] = process.argv.slice(2);

/** @param {object} record */
function say(record) {
  process.stdout.write(`${JSON.stringify(record)}\n`);
}

const client = new Client(
  url,
  names,
  {
    frame: ({ sequence, dropped, data, t0 }, { session, product }) => {
      const digest = createHash("sha256").update(data).digest("hex");
      say({ type: "frame", session, product, sequence, dropped, t0, digest });
    },
    products: (products) => say({ type: "products", products: products.map(({ product }) => product) }),
    status: (status) => say({ ...status, type: "status" }),
    marker: (marker) => say({ ...marker, type: "marker" }),
    state: (state, reason) => say({ type: "state", state, reason }),
    error: (error) => say({ ...error, type: "error" }),
  },
  { WebSocket },
);

// A line on stdin is a new subscription, its words the products; the end of stdin is ours.
process.stdin.setEncoding("utf8");
process.stdin.on("data", (line) => client.subscribe(String(line).split(/\s+/).filter(Boolean)));
process.stdin.on("end", () => client.close());
