// A receiver of finished calls, with Node's own library: WEBHOOK_SECRET=whsec_... node receiver.mjs PORT
//
// It answers 204 to what is ours and new, and prints a line for it; everything else is answered with 400.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300; // older messages may have been recorded and sent again by somebody else
const MOST_BYTES = 4 * 1024 * 1024;
const seen = new Set(); // of a real receiver: in its database, for a day

// Whether a message was signed with the secret, within the last minutes. body: the bytes as they came.
export function isOurs(id, timestamp, signatures, body, secret) {
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const wanted = Buffer.from(`v1,${expected}`);
  // While one secret replaces another there are two signatures.
  return signatures.split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

async function receive(request, response) {
  const parts = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    if (bytes > MOST_BYTES) return response.writeHead(400).end();
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) => request.headers[`webhook-${name}`] ?? "");
  const ours = isOurs(id, timestamp, signature, body, process.env.WEBHOOK_SECRET);
  response.writeHead(ours ? 204 : 400).end();
  if (!ours || seen.has(id)) return; // the same message may come twice
  seen.add(id);
  const event = JSON.parse(body);
  console.log(event.type, event.subject, event.data.diagnosis?.status ?? null);
}

createServer((request, response) => receive(request, response).catch(() => response.destroy()))
  .listen(Number(process.argv[2]), "127.0.0.1");
