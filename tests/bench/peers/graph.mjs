// The graph that both peers serve: types, resolvers over DataLoaders, and calls over keep-alive connections.
// Nothing is kept between requests; each has loaders of its own. Tokens are verified on each request.
import DataLoader from "dataloader";
import { createVerifier } from "fast-jwt";
import { GraphQLError } from "graphql";
import { Pool } from "undici";

const pools = Object.fromEntries(
  ["USERS", "ORDERS", "PRODUCTS"].map((name) => [
    name,
    new Pool(process.env[`${name}_SERVICE_URL`], { connections: 50, pipelining: 1 }),
  ]),
);
const verify = createVerifier({ key: process.env.JWT_SECRET, algorithms: ["HS256"], clockTolerance: 10_000, cache: false });

const types = (queries) => `
  scalar DateTime
  enum Tier { FREE PLUS PRO }
  enum OrderStatus { PENDING PAID SHIPPED DELIVERED CANCELLED }
  type Product { id: ID! name: String! price: Float! currency: String! inStock: Boolean! description: String! category: String! }
  type OrderItem { quantity: Int! unitPrice: Float! product: Product }
  type Order { id: ID! total: Float! currency: String! status: OrderStatus! createdAt: DateTime! items: [OrderItem!]! user: User }
  type User { id: ID! name: String email: String! tier: Tier! createdAt: DateTime! orders(first: Int! = 20): [Order!] }
  type ProductEdge { cursor: String! node: Product! }
  type ProductConnection { totalCount: Int! edges: [ProductEdge!]! }
  type OrderConnection { nodes: [Order!]! }
  type Query { user(id: ID!): User products(first: Int! = 20): ProductConnection ${queries} }
`;
export const webTypes = types("");
export const adminTypes = types("orders(first: Int! = 20): OrderConnection");

const upper = (value) => value.toUpperCase();

export const webResolvers = {
  Query: {
    user(_, { id }, context) {
      if (!context.isAdmin && context.viewer !== id) {
        const code = context.viewer ? "FORBIDDEN" : "UNAUTHENTICATED";
        throw new GraphQLError("This user may not be read.", { extensions: { code } });
      }
      return context.users.load(id);
    },
    async products(_, { first }, context) {
      const answer = await context.get("PRODUCTS", `/products?limit=${first}`);
      return { totalCount: answer.total, edges: answer.items.map((node, at) => ({ cursor: String(at), node })) };
    },
  },
  Product: { inStock: (product) => product.stock > 0 },
  OrderItem: { product: (item, _, context) => context.products.load(String(item.productId)) },
  Order: {
    status: (order) => upper(order.status),
    user: (order, _, context) => context.users.load(String(order.userId)),
  },
  User: {
    tier: (user) => upper(user.tier),
    orders: (user, { first }, context) => context.orders.load({ user: String(user.id), first }),
  },
};

export const adminResolvers = {
  ...webResolvers,
  Query: {
    ...webResolvers.Query,
    async orders(_, { first }, context) {
      return { nodes: (await context.get("ORDERS", `/orders?limit=${first}`, context.identity)).items };
    },
  },
};

export class Refused extends Error {
  constructor(status) {
    super("Refused.");
    this.status = status;
    this.statusCode = status;
  }
}

export class Context {
  constructor(authorization) {
    this.identity = {};
    if (authorization !== undefined) {
      let claims;
      try {
        claims = verify(authorization.replace(/^Bearer /, ""));
      } catch {
        throw new Refused(401);
      }
      if (claims.exp === undefined) throw new Refused(401);
      this.viewer = claims.sub;
      this.isAdmin = (claims.roles ?? []).includes("admin");
      this.identity = { authorization, "x-user-id": String(claims.sub) };
    }
    this.users = this.byId("USERS", "/users", this.identity);
    this.products = this.byId("PRODUCTS", "/products", {});
    this.orders = new DataLoader((keys) => this.loadOrders(keys), { cacheKeyFn: ({ user, first }) => `${user} ${first}` });
  }

  requireAdmin() {
    if (!this.isAdmin) throw new Refused(this.viewer ? 403 : 401);
    return this;
  }

  async get(service, path, headers = {}) {
    const { statusCode, body } = await pools[service].request({ method: "GET", path, headers });
    if (statusCode >= 400) {
      await body.dump();
      throw new GraphQLError(`The service answered ${statusCode}.`);
    }
    return body.json();
  }

  byId(service, path, headers) {
    return new DataLoader(async (ids) => {
      const answer = await this.get(service, `${path}?ids=${ids.join(",")}`, headers);
      const found = new Map(answer.items.map((item) => [String(item.id), item]));
      return ids.map((id) => found.get(id) ?? null);
    });
  }

  async loadOrders(keys) {
    const found = new Map();
    for (const first of new Set(keys.map((key) => key.first))) {
      const users = keys.filter((key) => key.first === first).map((key) => key.user);
      for (const user of users) found.set(`${user} ${first}`, []);
      const answer = await this.get("ORDERS", `/orders?userIds=${users.join(",")}&limit=${first}`, this.identity);
      for (const order of answer.items) found.get(`${order.userId} ${first}`)?.push(order);
    }
    return keys.map(({ user, first }) => found.get(`${user} ${first}`));
  }
}
