import RFB from '@novnc/novnc';
import { Button, Spin } from 'antd';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Mark } from './status';
import { problemText } from './problem';
import { FullscreenOutlined } from './icons';

/** The token in a console's URL, whatever name the cloud has outside. */
export const tokenOf = (url: string) => encodeURIComponent(new URL(url, location.href).searchParams.get('token') ?? '');

// The close code for a token that was used or has expired; the server's own.
const unknownToken = 4401;

type State = { is: 'connecting' | 'connected' } | { is: 'ended'; why: string };

interface Props {
  /** Gets a token for one connection. */
  token: () => Promise<string>;
  /** Whether a further token can be had. */
  again?: boolean;
  /** Why there is no screen; null when there is one. */
  off?: string | null;
  alone?: boolean;
  tools?: ReactNode;
}

/** A guest's screen by noVNC. */
export function Screen({ token, again = true, off = null, alone = false, tools }: Props) {
  const { t } = useTranslation();
  const [state, setState] = useState<State>({ is: 'connecting' });
  const [turn, setTurn] = useState(0);
  const target = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const beside = useRef<HTMLButtonElement>(null);
  const rfb = useRef<RFB | null>(null);
  const current = useRef(token);
  useEffect(() => {
    current.current = token;
  });

  useEffect(() => {
    if (off !== null || target.current === null) {
      return;
    }
    const place = target.current;
    let wanted = true;
    const end = (why: string) => {
      if (wanted) {
        setState({ is: 'ended', why });
      }
    };
    const open = async () => {
      let mine: string;
      try {
        mine = await current.current();
      } catch (error) {
        end(problemText(t, error as Error));
        return;
      }
      if (!wanted) {
        return;
      }
      const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
      const socket = new WebSocket(`${scheme}://${location.host}/console/vnc?token=${mine}`, ['binary']);
      socket.addEventListener('close', (event) => {
        const reasons: Record<number, string> = {
          1000: t('console.ended'),
          1001: t('console.goneAway'),
          1011: t('console.unreachable'),
          [unknownToken]: t('console.used'),
        };
        end(reasons[event.code] ?? t('console.lost'));
      });
      const screen = new RFB(place, socket, { shared: true });
      screen.scaleViewport = true;
      screen.resizeSession = true;
      screen.background = '#0b0e11';
      screen.addEventListener('connect', () => {
        setState({ is: 'connected' });
        screen.focus({ preventScroll: true });
      });
      rfb.current = screen;
    };
    void open();
    return () => {
      wanted = false;
      rfb.current?.disconnect();
      rfb.current = null;
    };
  }, [turn, off, t]);

  const connect = () => {
    setState({ is: 'connecting' });
    setTurn((n) => n + 1);
  };
  const connected = off === null && state.is === 'connected';
  return (
    <>
      <div className="tools" role="toolbar" aria-label={t('tab.console')}>
        {off !== null ? (
          <Mark tone="off">{off}</Mark>
        ) : (
          <Mark tone={state.is === 'connected' ? 'ok' : state.is === 'connecting' ? 'busy' : 'warn'} raw={state.is}>
            {t(state.is === 'ended' ? 'console.disconnected' : `console.${state.is}`)}
          </Mark>
        )}
        <span className="muted small">{connected && t('console.keys')}</span>
        <span className="grow" />
        <Button ref={beside} disabled={!connected} onClick={() => rfb.current?.sendCtrlAltDel()}>
          Ctrl+Alt+Del
        </Button>
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
            rfb.current?.blur();
            beside.current?.focus();
          }
        }}
      >
        <div className="target" ref={target} data-testid="screen" />
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
