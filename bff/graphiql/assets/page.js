// Puts the page together: the bar with the token, the notice below it, and GraphiQL. The token lives in this tab's
// session storage alone; all else that is kept (tabs, history, theme) never holds it.

import { OpenPanel, examplesPlugin } from "./examples.js";
import { explainPlugin } from "./explain.js";
import { describe, tidy } from "./token.js";
import { askToExplain, makeFetcher } from "./transport.js";

const h = React.createElement;
const TOKEN_KEY = "bff:token";
const config = JSON.parse(document.getElementById("config").textContent);
const field = document.getElementById("token");
const clear = document.getElementById("clear");
const who = document.getElementById("who");
const notice = document.getElementById("notice");
const root = ReactDOM.createRoot(document.getElementById("graphiql"));

// On hover GraphiQL would fetch any image that an answer names, from any host.
GraphiQL.React.ImagePreview.shouldRender = () => false;

// Each variant has its own tabs and history; the theme is the same everywhere.
const shared = GraphiQL.createLocalStorage({ namespace: "bff" });
const own = GraphiQL.createLocalStorage({ namespace: `bff:${config.variant}` });
const placeOf = (key) => (key === "graphiql:theme" ? shared : own);
const storage = {
  getItem: (key) => placeOf(key).getItem(key),
  setItem: (key, value) => placeOf(key).setItem(key, value),
  removeItem: (key) => placeOf(key).removeItem(key),
  clear: () => own.clear(),
  get length() {
    return own.length;
  },
};

const plugins = [
  examplesPlugin(config.examples, storage.getItem("graphiql:tabState") === null),
  explainPlugin((request) => askToExplain({ endpoint: config.endpoint, token }, request)),
];

// In `bff dev` everybody may be a demo viewer, and is the first one until another choice is made in this tab.
const { viewers } = config;
let token = tidy(sessionStorage.getItem(TOKEN_KEY) ?? viewers[0]?.token ?? "");

/** GraphiQL with a fetcher of its own for this token: a new fetcher makes it fetch the schema anew. */
function render() {
  const sent = token;
  const isCurrent = () => sent === token; // an answer to an older token is no news
  const fetcher = makeFetcher({
    endpoint: config.endpoint,
    token: sent,
    onAnswer: (status, body) => isCurrent() && showNotice(refusal(status, body)),
    onSilence: () => isCurrent() && showNotice("The gateway gave no answer. Is it still running?"),
  });
  root.render(
    h(GraphiQL, {
      fetcher,
      storage,
      plugins,
      defaultQuery: "# A new operation. Ctrl+Space completes, Ctrl+Enter runs it.\n",
      defaultEditorToolsVisibility: "variables",
      // The history would write headers into local storage, and the token has a place of its own.
      isHeadersEditorEnabled: false,
      shouldPersistHeaders: false,
      children: [h(OpenPanel, { key: "open" }), h(ForgetRefusal, { key: "forget" })],
    }),
  );
}

/**
 * A child of GraphiQL, which shows a schema's refusal where answers stand, and leaves it there when the next token is
 * let in: this takes it away again.
 */
function ForgetRefusal() {
  const { responseEditor } = GraphiQL.React.useEditorContext({ nonNull: true });
  const { fetchError } = GraphiQL.React.useSchemaStore();
  const shown = React.useRef(null);
  React.useEffect(() => {
    const isOver = !fetchError && shown.current !== null;
    if (isOver && responseEditor?.getValue() === shown.current) responseEditor.setValue("");
    shown.current = fetchError;
  }, [fetchError, responseEditor]);
  return null;
}

/** The notice for an answer that someone was not let in, with what to do about it; empty for any other answer. */
function refusal(status, body) {
  const isRefused = status === 401 || status === 403;
  const isMissed = token === "" && body.errors?.some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
  if (!isRefused && !isMissed) return "";

  const command = `bff token --sub 1${config.adminOnly ? " --role admin" : ""}`;
  const isOffered = viewers.some((viewer) => viewer.token !== token);
  const help = isOffered ? " Or choose a demo viewer above." : ` \`bff dev\` prints ready-made tokens, and \`${command}\` makes one.`;
  const { name, isAdmin, isExpired } = describe(token, Date.now() / 1000);
  if (isExpired) return `The token above has expired.${help}`;
  if (config.adminOnly && name && !isAdmin) {
    return `This graph needs an administrator's token; the one above is of ${name}.${help}`;
  }
  const reason = body.errors?.[0]?.message ?? `HTTP ${status}.`;
  if (token !== "") return `The gateway refused the token above: ${reason}${help}`;
  if (config.adminOnly) return `This graph needs an administrator's token: paste one above.${help}`;
  return `This ${isRefused ? "graph" : "operation"} needs a token: paste one above.${help}`;
}

/** Shows a notice as text, what stands in backquotes as code; an empty one is hidden. */
function showNotice(text) {
  const nodes = text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
  notice.replaceChildren(...nodes.filter((node) => node !== ""));
}

function showWho() {
  const { state, text } = describe(token, Date.now() / 1000);
  who.textContent = text;
  who.title = token === "" ? "" : "as the token says; the gateway checks it";
  who.dataset.state = state;
  clear.hidden = field.value === "";
}

/** Takes over what stands in the field. */
function take() {
  const next = tidy(field.value);
  const isNew = next !== token;
  token = next;
  if (token === "" && viewers.length === 0) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, token);
  showWho();
  if (isNew) render();
}

let typing;
field.value = token;
field.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(take, 250); // no schema for every letter typed
});
field.addEventListener("change", take);
clear.addEventListener("click", () => {
  field.value = "";
  take();
  field.focus();
});
document.getElementById("viewers").replaceChildren(
  ...viewers.map((viewer) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = viewer.name;
    button.title = `Sign in as ${viewer.name}`;
    button.addEventListener("click", () => {
      field.value = viewer.token;
      take();
    });
    return button;
  }),
);
setInterval(showWho, 10_000);
showWho();
render();
