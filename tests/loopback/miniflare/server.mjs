// Cloudflare's simulator of R2 with its S3 API over TLS, on a free port of 127.0.0.1.
// Started by tests/loopback/s3.py with its settings as one JSON argument; prints {"url": ...} when it is ready.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const settings = JSON.parse(process.argv[2]);

// The packages are installed in a cache folder, not beside this file.
const { Miniflare, convertV4MiniflareOptions } = createRequire(settings.package_json)("miniflare");

const simulator = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: 0,
    httpsCert: readFileSync(settings.certificate, "utf8"),
    httpsKey: readFileSync(settings.private_key, "utf8"),
    cf: false, // no download of request metadata from Cloudflare
    compatibilityDate: "2026-01-01",
    modules: true,
    script: "export default { fetch() { return new Response(null, { status: 404 }); } }",
    r2Buckets: {
      RESULTS: {
        id: settings.bucket,
        s3Credentials: { accessKeyId: settings.access_key_id, secretAccessKey: settings.secret_access_key },
      },
    },
  }),
);

console.log(JSON.stringify({ url: (await simulator.ready).href }));
