// Records requests, warnings and long waits. A long wait is over at once.
export const requests = [];
export const warnings = [];
export const waits = [];

const LONG_MS = 400;
const { fetch, setInterval, setTimeout } = globalThis;

globalThis.fetch = async (url, options) => {
  const response = await fetch(url, options);
  requests.push({ method: options.method ?? "GET", status: response.status });
  return response;
};
console.warn = (...parts) => warnings.push(parts);

// The connections of `fetch` have timers too.
const isOfConnections = () => new Error().stack.includes("undici");

const shortened = (start) => (run, ms, ...rest) => {
  if (!(ms >= LONG_MS) || isOfConnections()) return start(run, ms, ...rest);
  waits.push(ms);
  return start(run, 0, ...rest);
};

export function shortenWaits() {
  globalThis.setTimeout = shortened(setTimeout);
  globalThis.setInterval = shortened(setInterval);
}

// What the requests and waits since the last call were.
export function since() {
  return { requests: requests.splice(0), waits: waits.splice(0) };
}

export function finish(found) {
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
}
