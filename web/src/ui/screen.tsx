import RFB from '@novnc/novnc';
import { useTranslation } from 'react-i18next';
import { Attention, type Screened } from './attention';
import { openSocket, Remote, type ConsoleProps } from './remote';

function show(place: HTMLElement, address: string, connected: () => void): Screened {
  const socket = openSocket(address);
  const screen = new RFB(place, socket, { shared: true });
  screen.scaleViewport = true;
  screen.resizeSession = true;
  screen.background = '#0b0e11';
  screen.addEventListener('connect', connected);
  return {
    socket,
    focus: () => screen.focus({ preventScroll: true }),
    blur: () => screen.blur(),
    close: () => screen.disconnect(),
    attention: () => screen.sendCtrlAltDel(),
  };
}

/** A guest's screen by noVNC. */
export function Screen(props: ConsoleProps) {
  const { t } = useTranslation();
  return <Remote kind="vnc" label={t('tab.console')} show={show} buttons={(screen) => <Attention screen={screen} />} {...props} />;
}
