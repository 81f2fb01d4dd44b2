// Runs urql.js of the page.
import { finish, shortenWaits, since } from "./observed.js";
import { gql } from "@urql/core";
import { client } from "./urql.js";
import { renewals } from "./session.js";

const PRICE = gql`query Price($id: ID!) { product(id: $id) { id price } }`;
const PARTIAL = gql`{ product(id: 1) { id name } user(id: 2) { id name } }`;
const codesOf = (error) => error?.graphQLErrors.map(({ path, extensions }) => [path ?? null, extensions.code]) ?? [];

const steps = {
  async signedIn() {
    const { data } = await client.query(gql`{ me { name } }`, {});
    return { data, renewals, ...since() };
  },
  async partial() {
    const { data, error } = await client.query(PARTIAL, {});
    since();
    const again = await client.query(PARTIAL, {});
    const fromCache = { codes: codesOf(again.error), ...since() };
    await client.query(PARTIAL, {}, { requestPolicy: "network-only" });
    return { data, codes: codesOf(error), fromCache, network: since().requests.length };
  },
  async degraded() {
    await client.query(PRICE, { id: "9" });
    const { data, error, extensions } = await client.query(PRICE, { id: "9" }, { requestPolicy: "network-only" });
    return { data, error: error ?? null, extensions };
  },
  async refused() {
    shortenWaits();
    const { data, error } = await client.query(gql`{ me { name } }`, {});
    return { data: data ?? null, codes: codesOf(error), ...since() };
  },
  async unreachable() {
    shortenWaits();
    let attempts = 0;
    globalThis.fetch = async () => {
      attempts += 1;
      throw new TypeError("fetch failed");
    };
    await client.query(gql`{ me { name } }`, {});
    const ofQuery = attempts;
    attempts = 0;
    await client.mutation(gql`mutation Cancel { cancelOrder(id: 1) { userErrors { code } } }`, {});
    return { ofQuery, ofMutation: attempts };
  },
};

const found = {};
for (const name of process.argv.slice(2)) found[name] = await steps[name]();
finish(found);
