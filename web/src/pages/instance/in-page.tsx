import type { ComponentType } from 'react';
import { useTranslation } from 'react-i18next';
import { openConsole, type Server } from '../../api/compute';
import { tokenOf, type ConsoleProps } from '../../ui/remote';
import { NewWindow } from './window';

/** A guest's screen, in the page. Each connection asks for a token of its own. */
export function InPage({ server, kind, of: Screen }: { server: Server; kind: 'vnc' | 'spice'; of: ComponentType<ConsoleProps> }) {
  const { t } = useTranslation();
  return (
    <div className="panel">
      <Screen
        // A guest that was started again has another screen.
        key={server.status === 'ACTIVE' ? 'on' : 'off'}
        token={async () => tokenOf(await openConsole(server.id, kind))}
        off={server.status === 'ACTIVE' ? null : t('console.off')}
        tools={<NewWindow server={server} kind={kind} />}
      />
    </div>
  );
}
