// The panel of examples: a plugin of GraphiQL, open from the start. A click opens an example in a tab of its own,
// or goes to the tab where it is open already.

const { createElement: h, useEffect, useState } = React;
const { useEditorContext, usePluginStore } = GraphiQL.React;
const TITLE = "Examples";

/** `isFirstVisit` puts the first example into the editor. */
export function examplesPlugin(examples, isFirstVisit) {
  return {
    title: TITLE,
    icon: () =>
      h(
        "svg",
        { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5, strokeLinejoin: "round" },
        h("path", { d: "M12 3 3 8l9 5 9-5-9-5ZM3 12l9 5 9-5M3 16l9 5 9-5" }),
      ),
    content: () => h(Panel, { examples, isFirstVisit }),
  };
}

/**
 * A child of GraphiQL that opens the panel. GraphiQL's own `visiblePlugin` would choose it too, but leave it folded
 * away: only the button in the sidebar unfolds it.
 */
export function OpenPanel() {
  const { plugins } = usePluginStore();
  useEffect(() => document.querySelector(`[aria-label="Show ${TITLE}"]`)?.click(), [plugins]);
  return null;
}

function Panel({ examples, isFirstVisit }) {
  const { tabs, activeTabIndex, addTab, changeTab, queryEditor, variableEditor } = useEditorContext({ nonNull: true });
  const [pending, setPending] = useState(null);
  useFirst(isFirstVisit && examples.length > 0, () => setPending(examples[0]));

  // A new tab's editors are filled by GraphiQL while it renders, so ours go in after that, as if typed.
  useEffect(() => {
    if (pending === null || !queryEditor || !variableEditor) return;
    queryEditor.setValue(pending.query);
    variableEditor.setValue(variablesText(pending));
    setPending(null);
  }, [pending, queryEditor, variableEditor]);

  const open = (example) => {
    const index = tabs.findIndex(({ query }) => query === example.query);
    if (index >= 0) {
      changeTab(index);
    } else {
      addTab();
      setPending(example);
    }
  };
  const active = tabs[activeTabIndex]?.query;
  return h(
    "section",
    { className: "examples", "aria-label": TITLE },
    h("h2", null, TITLE),
    h("p", null, "Open one and run it with the play button or Ctrl+Enter."),
    h("ul", null, ...examples.map((example) => h("li", null, button(example, example.query === active, open)))),
  );
}

function button(example, isActive, open) {
  const kind = /^(query|mutation)\b/m.exec(example.query)?.[1] ?? "query";
  return h(
    "button",
    { type: "button", onClick: () => open(example), "aria-pressed": isActive },
    h("span", null, example.name),
    kind !== "query" && h("small", { className: kind }, kind),
    example.needs_token && h("small", { title: "This operation needs a token" }, "token"),
  );
}

function variablesText({ variables }) {
  return Object.keys(variables).length === 0 ? "" : JSON.stringify(variables, null, 2);
}

let isFirstDone = false;

/** Once a page, however often the panel is closed and opened again. */
function useFirst(isWanted, act) {
  useEffect(() => {
    if (!isWanted || isFirstDone) return;
    isFirstDone = true;
    act();
  }, []);
}
