import { Button, Tooltip } from 'antd';
import { useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { showLine, type Line } from './line';
import { Remote, type ConsoleProps } from './remote';

interface Props extends ConsoleProps {
  /** What the guest wrote before; it is shown above what comes. */
  before?: () => Promise<string>;
}

/** A guest's serial line by xterm. */
export function SerialTerminal({ before, token, ...props }: Props) {
  const { t } = useTranslation();
  const written = useRef('');
  return (
    <Remote<Line>
      kind="serial"
      label={t('tab.serial')}
      token={async () => {
        // Without it the terminal works as well: it is empty until the guest writes.
        written.current = (await before?.().catch(() => '')) ?? '';
        return token();
      }}
      show={(place, address, connected) => showLine(place, address, connected, t('tab.serial'), written.current)}
      buttons={(line) => (
        <>
          <Button disabled={line === null} onClick={() => line?.copy()}>
            {t('serial.copy')}
          </Button>
          <Button disabled={line === null} onClick={() => line?.paste()}>
            {t('serial.paste')}
          </Button>
          <Tooltip title={t('serial.sizeHelp')}>
            <Button disabled={line === null} onClick={() => line?.tellSize()}>
              {t('serial.size')}
            </Button>
          </Tooltip>
        </>
      )}
      {...props}
    />
  );
}
