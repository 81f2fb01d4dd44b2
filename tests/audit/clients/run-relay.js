// Runs environment.js of the page with what the compiler made of src/Account.js.
import { finish, since } from "./observed.js";
import relay from "relay-runtime";
import { createEnvironment } from "./environment.js";
import { renewals } from "./session.js";
import account from "./src/__generated__/AccountQuery.graphql.js";
import products from "./src/__generated__/AccountProductsQuery.graphql.js";

async function run(query, variables) {
  const environment = createEnvironment();
  const operation = relay.createOperationDescriptor(query, variables);
  try {
    const data = await relay.fetchQuery(environment, query, variables).toPromise();
    environment.retain(operation);
    return { data, store: environment.getStore().getSource().toJSON() };
  } catch (error) {
    return { codes: error.source.errors.map(({ extensions }) => extensions.code) };
  }
}

const found = { account: (await run(account, { first: 1 })).data, ...since(), renewals };
const { store } = await run(products, { first: 2 });
found.names = Object.values(store).filter(({ __typename }) => __typename === "Product").map(({ name }) => name);
found.invalid = (await run(account, {})).codes;
finish(found);
