// What to try: shown in the first channel until it is closed, then never again.
import { html, Icon, IconButton } from "./ui.js";
import { Mrkdwn } from "./mrkdwn.js";
import { store } from "./store.js";

export function Tips({ state, channel }) {
  const first = state.channels.find((each) => each.type === "channel" && each.is_member);
  if (state.tipsClosed || !state.tips.length || channel.id !== first?.id) return null;
  const close = () => {
    store.closeTips();
    document.querySelector(".channel-pane .composer textarea")?.focus();
  };
  return html`<section class="tips" aria-label="What to try">
    <div class="tips-head"><h2><${Icon} name="sparkles" size=${16} /> What to try</h2>
      <${IconButton} icon="x" size=${16} label="Close what to try" onClick=${close} /></div>
    <ol tabindex="0">${state.tips.map((tip) => html`<li key=${tip}><${Mrkdwn} text=${tip} /></li>`)}</ol>
  </section>`;
}
