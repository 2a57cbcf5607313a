// The Cosmos server of npm's @vercel/cosmosdb-server, with what it lacks and the tests need: it checks the account's
// key, answers 404 for a missing item (not 500), and counts for each call how often a result was written (GET
// /results).
"use strict";
const crypto = require("crypto");
const { createHttpServer } = require("@vercel/cosmosdb-server");

const [port, key] = process.argv.slice(2);
const server = createHttpServer({ keepAlive: true });
const [answer] = server.listeners("request");
const results = {};

function signature(req) {
  // https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources: verb, type, link, date
  const parts = decodeURIComponent(req.url.split("?")[0]).split("/").filter(Boolean);
  const type = parts.length % 2 ? parts[parts.length - 1] : parts[parts.length - 2];
  const link = (parts.length % 2 ? parts.slice(0, -1) : parts).join("/");
  const date = (req.headers["x-ms-date"] || "").toLowerCase();
  const text = [req.method.toLowerCase(), type || "", link, date, "", ""].join("\n");
  return crypto.createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
}

server.removeAllListeners("request");
server.on("request", (req, res) => {
  if (req.url === "/results") {
    res.end(JSON.stringify(results));
    return;
  }
  if (decodeURIComponent(req.headers.authorization || "") !== `type=master&ver=1.0&sig=${signature(req)}`) {
    res.statusCode = 401;
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ code: "Unauthorized", message: "the signature differs" }));
    return;
  }
  if (req.method === "GET") req.headers["x-ms-documentdb-query-enablecrosspartition"] = "true";
  const end = res.end.bind(res);
  res.end = (body) => {
    if (req.method === "PUT" && res.statusCode === 200 && body) {
      const item = JSON.parse(body);
      const name = `${req.url.split("/")[4]}/${item.id}`; // /dbs/{database}/colls/{container}/docs/{id}
      const isResult = item.state === "diagnosed" || (item.state === "failed" && !item.failure.retryable);
      if (isResult) results[name] = (results[name] || 0) + 1;
    }
    end(body);
  };
  answer(req, res);
});
server.listen(Number(port), "127.0.0.1");
