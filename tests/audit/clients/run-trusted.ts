// Runs the clients with trusted documents only: what their tools put into manifests, and what they didn't.
import { finish, since } from "./observed.js";
import { gql } from "@apollo/client";
import { client as apollo } from "./apollo.js";
import { Account } from "./src/account";
import { PRODUCT } from "./src/product.js";
import { client as urql } from "./urql.js";

const found: Record<string, unknown> = {};
const product = await apollo.query({ query: PRODUCT, variables: { id: "1" } });
found.apollo = { data: product.data, ...since() };
const other = await apollo.query({ query: gql`query Other { me { email } }` });
found.untrusted = { message: String(other.error?.message), ...since() };
const { data, error } = await urql.query(Account, { first: 1 });
found.urql = { data, error: error?.message ?? null, ...since() };
finish(found);
