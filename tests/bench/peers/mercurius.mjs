// Fastify and Mercurius, with its JIT compiling an operation when it is first asked for.
import Fastify from "fastify";
import mercurius from "mercurius";
import { Context, adminResolvers, adminTypes, webResolvers, webTypes } from "./graph.mjs";

const app = Fastify({ logger: false });
const mount = (prefix, schema, resolvers, context) =>
  app.register(async (scope) => {
    await scope.register(mercurius, { schema, resolvers, context, jit: 1, path: `${prefix}/graphql`, graphiql: false });
  });
mount("/web", webTypes, webResolvers, (request) => new Context(request.headers.authorization));
mount("/admin", adminTypes, adminResolvers, (request) => new Context(request.headers.authorization).requireAdmin());
app.get("/ready", async () => ({ status: "ready" }));
await app.listen({ port: Number(process.env.PORT), host: process.env.HOST });
