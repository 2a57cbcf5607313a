// Adds the key to what an <audio> element asks for, its ranges included: elements can't send headers.
// The key stays in its tab's session; it is asked of the tab for each request and not kept here.

const SOUND = /^\/v1\/calls\/[^/]+\/audio\.wav$/;
const PATIENCE_MS = 2000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const ours = origin === self.location.origin && SOUND.test(pathname);
  if (ours && event.request.destination === "audio") event.respondWith(withKey(event));
});

async function withKey({ request, clientId }) {
  const headers = new Headers({ "X-API-Key": (await keyOf(clientId)) ?? "" });
  if (request.headers.has("Range")) headers.set("Range", request.headers.get("Range"));
  return fetch(request.url, { headers, cache: "no-store", signal: request.signal });
}

async function keyOf(clientId) {
  const tab = await self.clients.get(clientId);
  if (!tab) return null;
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = (event) => resolve(event.data);
    setTimeout(() => resolve(null), PATIENCE_MS);
    tab.postMessage("key", [port2]);
  });
}
