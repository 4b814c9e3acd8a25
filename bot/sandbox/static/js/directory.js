// Looks up people and channels by id, for every component that shows text.
import { createContext } from "./ui.js";

/** {me, user(id), channel(id), openLink(href) → handled, openProfile(id), openChannel(id)} */
export const Directory = createContext({ me: "", user: () => undefined, channel: () => undefined });
