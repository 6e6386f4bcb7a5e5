import { useTranslation } from 'react-i18next';
import { useTitle } from '../ui/page';
import { tokenOf } from '../ui/remote';
import { SerialTerminal } from '../ui/terminal';

/** A serial console on a page of its own, for whoever has its token. The token works once. */
export default function StandaloneTerminal() {
  const { t } = useTranslation();
  useTitle(t('tab.serial'));
  return (
    <main className="standalone">
      <SerialTerminal alone again={false} token={() => Promise.resolve(tokenOf(location.href))} />
    </main>
  );
}
