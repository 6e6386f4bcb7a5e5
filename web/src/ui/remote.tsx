import { Button, Spin } from 'antd';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { ConsoleKind } from '../api/compute';
import { FullscreenOutlined } from './icons';
import { problemText } from './problem';
import { Mark } from './status';

/** The token in a console's URL, whatever name the cloud has outside: there, or in the path of the socket. */
export function tokenOf(url: string): string {
  const query = new URL(url, location.href).searchParams;
  const ofPath = new URLSearchParams((query.get('path') ?? '').split('?')[1]);
  return encodeURIComponent(query.get('token') ?? ofPath.get('token') ?? '');
}

export const openSocket = (address: string) => new WebSocket(address, ['binary']);

// What the browser says of a socket that is closed without a code, as for a token that was used or has expired.
const unknownToken = 1005;

type State = { is: 'connecting' | 'connected' } | { is: 'ended'; why: string };

/** What shows a guest in a place of the page. */
export interface Shown {
  /** By which it comes; a session of several has a first one. */
  socket: WebSocket;
  focus(): void;
  blur(): void;
  close(): void;
}

/** What a page with a console says about it. */
export interface ConsoleProps {
  /** Gets a token for one connection. */
  token: () => Promise<string>;
  /** Whether a further token can be had. */
  again?: boolean;
  /** Why there is no console; null when there is one. */
  off?: string | null;
  alone?: boolean;
  tools?: ReactNode;
}

interface Props<T extends Shown> extends ConsoleProps {
  kind: ConsoleKind;
  label: string;
  /** Shows in the place what comes by a socket to the address, and tells when there is something. */
  show: (place: HTMLElement, address: string, connected: () => void) => T;
  /** What can be done with the guest; null while it isn't connected. */
  buttons: (shown: T | null) => ReactNode;
}

/** A guest's console: the connection, what became of it, and how to get a new one. */
export function Remote<T extends Shown>({ kind, label, show, buttons, token, again = true, off = null, alone = false, tools }: Props<T>) {
  const { t } = useTranslation();
  const [state, setState] = useState<State>({ is: 'connecting' });
  const [turn, setTurn] = useState(0);
  const [shown, setShown] = useState<T | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const bar = useRef<HTMLDivElement>(null);
  const current = useRef({ token, show });
  useEffect(() => {
    current.current = { token, show };
  });

  useEffect(() => {
    if (off !== null || place.current === null) {
      return;
    }
    const target = place.current;
    let mine: T | null = null;
    let wanted = true;
    const end = (why: string) => {
      if (wanted) {
        setState({ is: 'ended', why });
      }
    };
    const open = async () => {
      let key: string;
      try {
        key = await current.current.token();
      } catch (error) {
        end(problemText(t, error as Error));
        return;
      }
      if (!wanted) {
        return;
      }
      const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
      const made = current.current.show(target, `${scheme}://${location.host}/console/${kind}?token=${key}`, () => {
        setState({ is: 'connected' });
        made.focus();
      });
      made.socket.addEventListener('close', (event) => {
        const reasons: Record<number, string> = {
          1000: t('console.ended'),
          1001: t('console.goneAway'),
          1011: t('console.unreachable'),
          [unknownToken]: t('console.used'),
        };
        end(reasons[event.code] ?? t('console.lost'));
      });
      mine = made;
      setShown(made);
    };
    void open();
    return () => {
      wanted = false;
      mine?.close();
      setShown(null);
    };
  }, [kind, turn, off, t]);

  const connect = () => {
    setState({ is: 'connecting' });
    setTurn((n) => n + 1);
  };
  const connected = off === null && state.is === 'connected';
  return (
    <>
      <div className="tools" role="toolbar" aria-label={label} ref={bar}>
        {off !== null ? (
          <Mark tone="off">{off}</Mark>
        ) : (
          <Mark tone={state.is === 'connected' ? 'ok' : state.is === 'connecting' ? 'busy' : 'warn'} raw={state.is}>
            {t(state.is === 'ended' ? 'console.disconnected' : `console.${state.is}`)}
          </Mark>
        )}
        <span className="muted small">{connected && t('console.keys')}</span>
        <span className="grow" />
        {buttons(connected ? shown : null)}
        <Button icon={<FullscreenOutlined />} disabled={!connected} onClick={() => void frame.current?.requestFullscreen()}>
          {t('console.full')}
        </Button>
        {tools}
      </div>
      <div
        ref={frame}
        className={`screen${alone ? ' alone' : ''}`}
        onKeyDownCapture={(event) => {
          // The guest gets every key, Tab included. This one leads out again.
          if (event.key === 'Escape' && event.shiftKey) {
            event.stopPropagation();
            shown?.blur();
            bar.current?.querySelector<HTMLElement>('button:enabled')?.focus();
          }
        }}
      >
        <div className="target" ref={place} data-testid="screen" />
        {off !== null && <div className="over">{off}</div>}
        {off === null && state.is === 'connecting' && (
          <div className="over">
            <Spin />
            {t('console.connecting')}
          </div>
        )}
        {off === null && state.is === 'ended' && (
          <div className="over" role="alert">
            {state.why}
            {again && (
              <Button type="primary" onClick={connect}>
                {t('console.again')}
              </Button>
            )}
          </div>
        )}
      </div>
    </>
  );
}
