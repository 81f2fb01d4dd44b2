// GraphQL over HTTP for GraphiQL. The token goes into the Authorization header and nowhere else.

/**
 * A fetcher for GraphiQL that sends `token` with every request.
 *
 * `onAnswer(status, body)` hears of each answer and `onSilence()` of a gateway that gave none. A schema that
 * does not come is thrown, so that GraphiQL does not ask a second time in other words. What is thrown are GraphQL errors
 * as they came: of an `Error` GraphiQL would show the stack as well.
 */
export function makeFetcher({ endpoint, token, onAnswer, onSilence }) {
  return async function fetcher({ query, variables, operationName }) {
    const operation = operationOf(query, operationName);
    let response;
    try {
      response = await fetch(endpoint, {
        method: "POST",
        headers: headersFor(token),
        body: JSON.stringify({ query, variables, operationName: operation?.name?.value }),
        credentials: "omit",
        redirect: "error",
      });
    } catch {
      onSilence();
      throw [{ message: "The gateway gave no answer." }];
    }
    const body = await jsonOf(response);
    onAnswer(response.status, body);
    if (operationName === "IntrospectionQuery" && !body.data) {
      throw body.errors ?? [{ message: `The schema did not come: HTTP ${response.status}.` }];
    }
    return body;
  };
}

/** The gateway's answer to a request to explain an operation instead of running it. */
export async function askToExplain({ endpoint, token }, { query, variables, operationName }) {
  const operation = operationOf(query, operationName);
  const response = await fetch(endpoint, {
    method: "POST",
    headers: headersFor(token),
    body: JSON.stringify({ query, variables, operationName: operation?.name?.value, extensions: { explain: true } }),
    credentials: "omit",
    redirect: "error",
  });
  return jsonOf(response);
}

function headersFor(token) {
  const headers = {
    "content-type": "application/json",
    accept: "application/graphql-response+json, application/json;q=0.9",
  };
  // A header takes printable ASCII only: anything else would fail here, mutely, and not at the gateway.
  if (token !== "") headers.authorization = `Bearer ${token.replace(/[^\x21-\x7e]/g, "?")}`;
  return headers;
}

/**
 * The operation to run. GraphiQL learns a document's operations a moment after it was put into the editor: until then
 * it names one of the document before, and a document's only operation needs no name.
 */
function operationOf(query, operationName) {
  let definitions;
  try {
    ({ definitions } = GraphiQL.GraphQL.parse(query));
  } catch {
    return undefined; // the gateway says what is wrong with it
  }
  const operations = definitions.filter(({ kind }) => kind === "OperationDefinition");
  const only = operations.length === 1 ? operations[0] : undefined;
  return operations.find(({ name }) => name?.value === operationName) ?? only;
}

async function jsonOf(response) {
  try {
    return await response.json();
  } catch {
    return { errors: [{ message: `HTTP ${response.status}, and the body is not JSON.` }] };
  }
}
