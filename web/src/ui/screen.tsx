import RFB from '@novnc/novnc';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Remote, type ConsoleProps, type Shown } from './remote';

interface Screened extends Shown {
  attention(): void;
}

function show(place: HTMLElement, socket: WebSocket, connected: () => void): Screened {
  const screen = new RFB(place, socket, { shared: true });
  screen.scaleViewport = true;
  screen.resizeSession = true;
  screen.background = '#0b0e11';
  screen.addEventListener('connect', connected);
  return {
    focus: () => screen.focus({ preventScroll: true }),
    blur: () => screen.blur(),
    close: () => screen.disconnect(),
    attention: () => screen.sendCtrlAltDel(),
  };
}

/** A guest's screen by noVNC. */
export function Screen(props: ConsoleProps) {
  const { t } = useTranslation();
  return (
    <Remote
      kind="vnc"
      label={t('tab.console')}
      show={show}
      buttons={(screen) => (
        <Button disabled={screen === null} onClick={() => screen?.attention()}>
          Ctrl+Alt+Del
        </Button>
      )}
      {...props}
    />
  );
}
