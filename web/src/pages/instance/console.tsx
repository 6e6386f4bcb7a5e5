import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { openConsole, type Server } from '../../api/compute';
import { Screen, tokenOf } from '../../ui/screen';
import { ExportOutlined } from '../../ui/icons';

/** The guest's screen, in the page. Each connection asks for a token of its own. */
export default function Console({ server }: { server: Server }) {
  const { t } = useTranslation();
  return (
    <div className="panel">
      <Screen
        // A guest that was started again has another screen.
        key={server.status === 'ACTIVE' ? 'on' : 'off'}
        token={async () => tokenOf(await openConsole(server.id))}
        off={server.status === 'ACTIVE' ? null : t('console.off')}
        tools={
          <Button
            icon={<ExportOutlined />}
            disabled={server.status !== 'ACTIVE'}
            onClick={() => {
              // The window is opened within the click, or the browser blocks it.
              const opened = window.open('about:blank');
              void openConsole(server.id).then(
                (url) => opened?.location.replace(`/dashboard/vnc?token=${tokenOf(url)}`),
                () => opened?.close(),
              );
            }}
          >
            {t('console.window')}
          </Button>
        }
      />
    </div>
  );
}
