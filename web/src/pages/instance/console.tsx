import { useTranslation } from 'react-i18next';
import { openConsole, type Server } from '../../api/compute';
import { tokenOf } from '../../ui/remote';
import { Screen } from '../../ui/screen';
import { NewWindow } from './window';

/** The guest's screen, in the page. Each connection asks for a token of its own. */
export default function Console({ server }: { server: Server }) {
  const { t } = useTranslation();
  return (
    <div className="panel">
      <Screen
        // A guest that was started again has another screen.
        key={server.status === 'ACTIVE' ? 'on' : 'off'}
        token={async () => tokenOf(await openConsole(server.id, 'vnc'))}
        off={server.status === 'ACTIVE' ? null : t('console.off')}
        tools={<NewWindow server={server} kind="vnc" />}
      />
    </div>
  );
}
