// Apollo Server 5 behind node's own HTTP server, by its integration interface: cheaper than through a web framework.
import { createServer } from "node:http";
import { ApolloServer, HeaderMap } from "@apollo/server";
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from "@apollo/server/plugin/disabled";
import { Context, Refused, adminResolvers, adminTypes, webResolvers, webTypes } from "./graph.mjs";

// Plugins that would watch each field are off: they would make it dearer than it need be.
const plugins = [
  ApolloServerPluginCacheControlDisabled(),
  ApolloServerPluginInlineTraceDisabled(),
  ApolloServerPluginLandingPageDisabled(),
  ApolloServerPluginUsageReportingDisabled(),
];
const options = { introspection: false, includeStacktraceInErrorResponses: false, stopOnTerminationSignals: false, plugins };
const web = new ApolloServer({ typeDefs: webTypes, resolvers: webResolvers, ...options });
const admin = new ApolloServer({ typeDefs: adminTypes, resolvers: adminResolvers, ...options });
await web.start();
await admin.start();
const endpoints = {
  "/web/graphql": [web, (authorization) => new Context(authorization)],
  "/admin/graphql": [admin, (authorization) => new Context(authorization).requireAdmin()],
};

async function answer(request, response) {
  const endpoint = endpoints[request.url];
  if (!endpoint) return end(response, request.url === "/ready" ? 200 : 404, {}, "{}");
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = new HeaderMap();
  for (const name in request.headers) headers.set(name, String(request.headers[name]));
  let context;
  try {
    context = endpoint[1](request.headers.authorization);
  } catch (error) {
    return end(response, error instanceof Refused ? error.status : 500, {}, '{"errors":[{"message":"Refused."}]}');
  }
  const { status, headers: answered, body } = await endpoint[0].executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method: request.method, headers, search: "", body: JSON.parse(Buffer.concat(chunks).toString()) },
    context: async () => context,
  });
  end(response, status ?? 200, Object.fromEntries(answered), body.string);
}

function end(response, status, headers, text) {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

createServer((request, response) => {
  answer(request, response).catch(() => end(response, 500, {}, "{}"));
}).listen(Number(process.env.PORT), process.env.HOST);
