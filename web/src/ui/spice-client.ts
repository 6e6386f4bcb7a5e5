// A guest's screen by spice-html5, which is loaded from files of its own
// (scripts/spice-html5.ts). It finds its places in the page by their ids.
import type { Screened } from './attention';

// What we use of it; it comes without types.
interface Channel {
  ws?: WebSocket;
  state: string;
  cleanup(): void;
}

interface Session extends Channel {
  ws: WebSocket;
  display?: Channel;
  inputs?: Channel;
  cursor?: Channel;
}

interface Options {
  uri: string;
  password: string;
  screen_id: string;
  onsuccess: () => void;
  onerror: () => void;
}

export interface Library {
  SpiceMainConn: new (options: Options) => Session;
  /** To the session that the page calls `sc`. */
  sendCtrlAltDel(): void;
  /** 0 for a key that it doesn't know. */
  keycode_to_end_scan(code: number): number;
}

const folder = `${import.meta.env.BASE_URL}spice-html5/`;
export const licence = `${folder}COPYING.LESSER.txt`;

export async function loadLibrary(): Promise<Library> {
  const [main, utils] = (await Promise.all([import(/* @vite-ignore */ `${folder}main.js`), import(/* @vite-ignore */ `${folder}utils.js`)])) as [Library, Library];
  return { SpiceMainConn: main.SpiceMainConn, sendCtrlAltDel: main.sendCtrlAltDel, keycode_to_end_scan: utils.keycode_to_end_scan };
}

const stop = (event: Event) => event.stopPropagation();

export function showSpice({ SpiceMainConn, sendCtrlAltDel, keycode_to_end_scan }: Library, place: HTMLElement, address: string, connected: () => void): Screened {
  const screen = document.createElement('div');
  screen.id = 'spice-screen';
  screen.className = 'spice';
  place.append(screen);
  const canvas = () => screen.querySelector('canvas');

  // The library draws the guest's pixels one to one. It measures the mouse within
  // what it drew, so that the place can be filled from outside.
  const fit = () => {
    const scale = Math.min(place.clientWidth / screen.offsetWidth, place.clientHeight / screen.offsetHeight);
    screen.style.transform = Number.isFinite(scale) ? `translate(${(place.clientWidth - scale * screen.offsetWidth) / 2}px, 0) scale(${scale})` : '';
  };
  const sizes = new ResizeObserver(fit);
  sizes.observe(place);
  sizes.observe(screen);

  // It takes the keys when the mouse passes over, and drops them as it leaves: here
  // the screen is entered by a click or by Tab, as the others are. At keys that it
  // doesn't know, such as those that an input method takes, it would open a box.
  for (const passing of ['mouseover', 'mouseout']) {
    screen.addEventListener(passing, stop, true);
  }
  screen.addEventListener('mousedown', () => canvas()?.focus({ preventScroll: true }), true);
  for (const key of ['keydown', 'keyup'] as const) {
    screen.addEventListener(
      key,
      (event) => {
        if (keycode_to_end_scan(event.keyCode) === 0) {
          event.stopPropagation();
        }
      },
      true,
    );
  }

  const session = new SpiceMainConn({
    uri: address,
    password: '', // the address is the secret
    screen_id: screen.id,
    onsuccess: connected,
    onerror: () => undefined, // the socket tells why it was closed
  });
  const socket = session.ws;
  // Its own end looks its places up, which may be gone by now.
  const close = () => {
    session.state = 'closing';
    for (const channel of [session.inputs, session.cursor, session.display, session]) {
      channel?.cleanup();
    }
    sizes.disconnect();
    screen.remove();
  };
  socket.addEventListener('close', close);
  return {
    socket,
    focus: () => canvas()?.focus({ preventScroll: true }),
    blur: () => canvas()?.blur(),
    close,
    attention: () => {
      Object.assign(globalThis, { sc: session });
      sendCtrlAltDel();
    },
  };
}
