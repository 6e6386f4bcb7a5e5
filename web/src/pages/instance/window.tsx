import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { openConsole, type ConsoleKind, type Server } from '../../api/compute';
import { ExportOutlined } from '../../ui/icons';
import { tokenOf } from '../../ui/remote';

/** Opens a console on a page of its own, with a token of its own. */
export function NewWindow({ server, kind }: { server: Server; kind: ConsoleKind }) {
  const { t } = useTranslation();
  return (
    <Button
      icon={<ExportOutlined />}
      disabled={server.status !== 'ACTIVE'}
      onClick={() => {
        // The window is opened within the click, or the browser blocks it.
        const opened = window.open('about:blank');
        void openConsole(server.id, kind).then(
          (url) => opened?.location.replace(`/dashboard/${kind}?token=${tokenOf(url)}`),
          () => opened?.close(),
        );
      }}
    >
      {t('console.window')}
    </Button>
  );
}
