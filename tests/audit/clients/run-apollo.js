// Runs apollo.js and place-order.js of the page.
import { finish, shortenWaits, since, warnings } from "./observed.js";
import { CombinedGraphQLErrors, gql } from "@apollo/client";
import { client } from "./apollo.js";
import { placeOrder } from "./place-order.js";
import { renewals } from "./session.js";

const PAGE = gql`
  query Products($after: String) {
    products(first: 2, after: $after) { edges { cursor node { id name } } pageInfo { hasNextPage endCursor } }
  }
`;
const PRICE = gql`query Price($id: ID!) { product(id: $id) { id price } }`;
const PARTIAL = gql`{ product(id: 1) { id name } user(id: 2) { id name } }`;
const ids = (observable) => observable.getCurrentResult().data?.products?.edges.map(({ node }) => node.id) ?? [];

async function until(holds) {
  for (let turn = 0; turn < 1000 && !holds(); turn++) await new Promise((resume) => setTimeout(resume, 10));
}

const steps = {
  async signedIn() {
    const { data } = await client.query({ query: gql`{ me { name } }` });
    return { data, renewals, ...since() };
  },
  async pages() {
    const observable = client.watchQuery({ query: PAGE });
    observable.subscribe(() => {});
    await until(() => ids(observable).length === 2);
    const { endCursor } = observable.getCurrentResult().data.products.pageInfo;
    await observable.fetchMore({ variables: { after: endCursor } });
    await until(() => ids(observable).length === 4);
    return ids(observable);
  },
  async partial() {
    const { data, error } = await client.query({ query: PARTIAL });
    since();
    const again = await client.query({ query: PARTIAL });
    const fromCache = { data: again.data, error: again.error ?? null, ...since() };
    return { data, codes: error.errors.map(({ path, extensions }) => [path, extensions.code]), fromCache };
  },
  async degraded() {
    await client.query({ query: PRICE, variables: { id: "9" } });
    const { data, error } = await client.query({ query: PRICE, variables: { id: "9" }, fetchPolicy: "network-only" });
    return { data, error: error ?? null, warnings };
  },
  async placed() {
    shortenWaits();
    const mistaken = await placeOrder([{ productId: "1", quantity: 0 }], "a key of this form");
    since();
    const placed = await placeOrder([{ productId: "1", quantity: 2 }], process.env.KEY);
    return { mistaken: mistaken.userErrors.map(({ code }) => code), placed, ...since() };
  },
  async failedAtAService() {
    const mutation = gql`mutation Cancel { cancelOrder(id: 9001) { userErrors { code } } }`;
    const { error } = await client.mutate({ mutation });
    return { codes: error.errors.map(({ extensions }) => extensions.code), renewals, ...since() };
  },
  async refused() {
    shortenWaits();
    const { data, error } = await client.query({ query: gql`{ me { name } }` });
    const codes = CombinedGraphQLErrors.is(error) ? error.errors.map(({ extensions }) => extensions.code) : String(error);
    return { data: data ?? null, codes, ...since() };
  },
  async unreachable() {
    shortenWaits();
    const outcome = ({ error }) => CombinedGraphQLErrors.is(error);
    let attempts = 0;
    globalThis.fetch = async () => {
      attempts += 1;
      throw new TypeError("fetch failed");
    };
    const query = outcome(await client.query({ query: gql`{ me { name } }` }));
    const ofQuery = attempts;
    attempts = 0;
    const cancel = gql`mutation Cancel { cancelOrder(id: 1) { userErrors { code } } }`;
    const mutation = outcome(await client.mutate({ mutation: cancel }));
    return { ofQuery, ofMutation: attempts, answered: query || mutation };
  },
};

const found = {};
for (const name of process.argv.slice(2)) found[name] = await steps[name]();
finish(found);
