// GraphQL over HTTP for GraphiQL: queries and mutations as JSON, subscriptions as server-sent events. The token goes
// into the Authorization header and nowhere else, which is why subscriptions do not use a WebSocket: it has no headers.

/**
 * A fetcher for GraphiQL that sends `token` with every request.
 *
 * `onAnswer(status, body)` hears of each answer or event and `onSilence()` of a gateway that gave none. A schema that
 * does not come is thrown, so that GraphiQL does not ask a second time in other words. What is thrown are GraphQL errors
 * as they came: of an `Error` GraphiQL would show the stack as well.
 */
export function makeFetcher({ endpoint, token, onAnswer, onSilence }) {
  return async function fetcher({ query, variables, operationName }) {
    const controller = new AbortController();
    const operation = operationOf(query, operationName);
    const isSubscription = operation?.operation === "subscription";
    let response;
    try {
      response = await fetch(endpoint, {
        method: "POST",
        headers: headersFor(token, isSubscription),
        body: JSON.stringify({ query, variables, operationName: operation?.name?.value }),
        signal: controller.signal,
        credentials: "omit",
        redirect: "error",
      });
    } catch {
      onSilence();
      throw [{ message: "The gateway gave no answer." }];
    }
    if (isSubscription && response.headers.get("content-type")?.startsWith("text/event-stream")) {
      const onEvent = (event) => onAnswer(response.status, event);
      return stoppable(events(response.body, controller.signal, onEvent), controller);
    }
    const body = await jsonOf(response);
    onAnswer(response.status, body);
    if (operationName === "IntrospectionQuery" && !body.data) {
      throw body.errors ?? [{ message: `The schema did not come: HTTP ${response.status}.` }];
    }
    return body;
  };
}

function headersFor(token, isSubscription) {
  const json = "application/graphql-response+json, application/json;q=0.9";
  const headers = { "content-type": "application/json", accept: isSubscription ? `text/event-stream, ${json}` : json };
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

/** The data of each event as JSON, until the event `complete`, the end of the stream or the signal. */
async function* events(body, signal, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split(/\r\n|\n|\r/);
        if (lines.some((line) => /^event: ?complete$/.test(line))) return;
        const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
        if (data.length === 0) continue; // a comment that keeps the line open
        const event = JSON.parse(data.join("\n"));
        onEvent(event);
        yield event;
      }
    }
  } catch {
    if (!signal.aborted) throw [{ message: "The gateway broke off the stream." }];
  } finally {
    await reader.cancel().catch(() => {}); // already broken off: there is nothing left to end
  }
}

/** `return()` of a generator waits for the event it is waiting for; breaking off the request first ends that wait. */
function stoppable(generator, controller) {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => generator.next(),
    return(value) {
      controller.abort();
      return generator.return(value);
    },
  };
}
