// A guest's serial line in a terminal. Without React, since a terminal keeps
// its own state.
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { openSocket, type Shown } from './remote';

// How many bytes may wait to be drawn. A guest that floods writes faster than
// anybody draws: what is beyond is left out, as the node does on its side.
const limit = 2 << 20;

export interface Line extends Shown {
  copy(): void;
  paste(): void;
  /** Types the command by which a guest learns the terminal's size: a serial line has no other way. */
  tellSize(): void;
}

/** Line feeds as a terminal wants them, whatever a log has. */
export const forTerminal = (log: string) => log.replace(/\r?\n/g, '\r\n');

export function showLine(place: HTMLElement, address: string, connected: () => void, label: string, before: string): Line {
  const socket = openSocket(address);
  const terminal = new Terminal({
    fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace',
    fontSize: 14,
    scrollback: 5000,
    screenReaderMode: true,
    theme: { background: '#0b0e11', foreground: '#d7dde4', cursor: '#d7dde4', selectionBackground: '#2d5f8a' },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  terminal.textarea?.setAttribute('aria-label', label);
  const resized = new ResizeObserver(() => fit.fit());
  resized.observe(place);

  // The log may hold questions of the guest to its terminal. They were asked in
  // the past: what the terminal answers while it reads them goes nowhere.
  let live = before === '';
  terminal.write(forTerminal(before), () => {
    live = true;
  });
  const encoder = new TextEncoder();
  const send = (bytes: Uint8Array<ArrayBuffer>) => {
    if (live && socket.readyState === WebSocket.OPEN) {
      socket.send(bytes);
    }
  };
  terminal.onData((text) => send(encoder.encode(text)));
  terminal.onBinary((text) => send(Uint8Array.from(text, (c) => c.charCodeAt(0))));

  let waiting = 0;
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', connected);
  socket.addEventListener('message', (event) => {
    const bytes = new Uint8Array(event.data as ArrayBuffer);
    if (waiting + bytes.length > limit) {
      return;
    }
    waiting += bytes.length;
    terminal.write(bytes, () => {
      waiting -= bytes.length;
    });
  });

  const copy = () => void navigator.clipboard?.writeText(terminal.getSelection());
  terminal.attachCustomKeyEventHandler((event) => {
    const chord = event.ctrlKey && event.shiftKey && !event.altKey;
    if (chord && event.code === 'KeyC' && terminal.hasSelection()) {
      if (event.type === 'keydown') {
        event.preventDefault();
        copy();
      }
      return false;
    }
    // The browser pastes by itself, and the terminal hears of it.
    return !(chord && event.code === 'KeyV');
  });
  return {
    socket,
    focus: () => terminal.focus(),
    blur: () => terminal.blur(),
    close: () => {
      resized.disconnect();
      socket.close();
      terminal.dispose();
    },
    copy: () => {
      copy();
      terminal.focus();
    },
    paste: () =>
      void navigator.clipboard?.readText().then((text) => {
        terminal.paste(text);
        terminal.focus();
      }),
    tellSize: () => {
      send(encoder.encode(`stty rows ${terminal.rows} cols ${terminal.cols}\r`));
      terminal.focus();
    },
  };
}
