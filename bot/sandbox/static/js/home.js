// The app's Home tab.
import { html, Icon, useMemo } from "./ui.js";
import { Blocks } from "./blocks.js";
import { SurfaceContext, surfaceFor } from "./surface.js";

export function Home({ state }) {
  const view = state.home;
  const surface = useMemo(() => view && surfaceFor(`${state.me}/${view.id}`, { type: "view", id: view.id }), [state.me, view?.id]);
  if (!view) {
    return html`<div class="home empty" role="tabpanel" aria-labelledby="tab-home"><${Icon} name="house" size=${32} />
      <p>Nothing has been published to this Home tab yet.</p></div>`;
  }
  return html`<${SurfaceContext.Provider} value=${surface}>
    <div class="home" role="tabpanel" aria-labelledby="tab-home" data-testid="home" tabindex="0"><div class="home-inner">
      <${Blocks} blocks=${view.blocks} />
    </div></div><//>`;
}
