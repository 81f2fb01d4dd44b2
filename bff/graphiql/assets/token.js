// What a token says about its bearer. Read for a hint only: whether it holds is for the gateway to say.

/** The bare token of what someone pasted: often with "Bearer" before it, or broken over lines. */
export function tidy(text) {
  return text.replace(/^\s*bearer\s/i, "").replace(/\s+/g, "");
}

/**
 * What to show for a token: `text` for people, `state` ("none", "good" or "bad") for colours, and for a token that can
 * be read `name`, `isAdmin` and `isExpired`.
 */
export function describe(token, now_s) {
  if (token === "") return { state: "none", text: "nobody signed in" };
  const claims = claimsOf(token);
  if (claims === null) return { state: "bad", text: "not a token" };

  const isAdmin = claims.role === "admin" || (Array.isArray(claims.roles) && claims.roles.includes("admin"));
  const name = `${isAdmin ? "admin" : "user"} ${claims.sub ?? "without a name"}`;
  const about = (state, text, isExpired = false) => ({ state, text: `${name}, ${text}`, name, isAdmin, isExpired });
  if (typeof claims.exp !== "number") return about("bad", "never expires: the gateway refuses such a token");
  if (claims.exp <= now_s) return about("bad", "expired", true);
  if (claims.nbf > now_s) return about("bad", `valid only in ${duration(claims.nbf - now_s)}`);
  return about("good", `expires in ${duration(claims.exp - now_s)}`);
}

function claimsOf(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  try {
    const bytes = Uint8Array.from(atob(parts[1].replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && !Array.isArray(claims) ? claims : null;
  } catch {
    return null; // not base64url, or not JSON
  }
}

function duration(seconds) {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
