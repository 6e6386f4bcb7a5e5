import { useTranslation } from 'react-i18next';
import { openConsole, readLog, type Server } from '../../api/compute';
import { tokenOf } from '../../ui/remote';
import { SerialTerminal } from '../../ui/terminal';
import { NewWindow } from './window';

/** The guest's serial line, in the page, below the end of its log. */
export default function Serial({ server }: { server: Server }) {
  const { t } = useTranslation();
  return (
    <div className="panel">
      <SerialTerminal
        key={server.status === 'ACTIVE' ? 'on' : 'off'}
        before={() => readLog(server.id, 100)}
        token={async () => tokenOf(await openConsole(server.id, 'serial'))}
        off={server.status === 'ACTIVE' ? null : t('serial.off')}
        tools={<NewWindow server={server} kind="serial" />}
      />
    </div>
  );
}
