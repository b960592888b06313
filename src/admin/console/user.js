// The user of the page: name, roles, sign-out. The page disables buttons by role; the daemon decides.

import { at, get } from "./api.js";
import { byId, el, shown } from "./dom.js";

// Activities of the roles, as the daemon's refusals name them (src/users/role.rs).
const ACTIVITIES = { switcher: "switch sub-accounts", payout: "change payout addresses" };

// Name, roles and means of identification, once they are known.
let user = undefined;

export function setUpUser() {
  byId("sign-out").addEventListener("click", signOut);
}

// Reads and shows the user, unless it is known.
export async function showUser() {
  if (user) return;
  user = await get("whoami");
  byId("user-name").replaceChildren(shown(user.name, "name"), ` (${user.roles.join(", ")})`);
  byId("sign-out").hidden = user.means !== "session";
  byId("user").hidden = false;
}

// Another user may sign in.
export function forgetUser() {
  user = undefined;
  byId("user").hidden = true;
}

// Enables a button of an activity, if the user may do that and the page is ready for it.
export function enable(button, role, isReady = true) {
  const mayUse = !user || user.roles.some((it) => it === role || it === "admin");
  button.disabled = !(mayUse && isReady);
  button.title = mayUse ? "" : `user '${user.name}' may not ${ACTIVITIES[role]} (role ${role})`;
}

async function signOut() {
  let cause;
  try {
    // The answer leads to another page, which a script need not read.
    const response = await fetch(at("logout"), { method: "POST", body: new URLSearchParams(), redirect: "manual" });
    if (response.type === "opaqueredirect") {
      location.assign(at("login"));
      return;
    }
    cause = `status ${response.status}`;
  } catch (error) {
    cause = error.message;
  }
  byId("user-name").append(el("span", { class: "failed" }, ` not signed out: ${cause}`));
}
