import { useTranslation } from 'react-i18next';
import { useTitle } from '../ui/page';
import { tokenOf } from '../ui/remote';
import { Screen } from '../ui/screen';

/** A console on a page of its own, for whoever has its address. The address works once. */
export default function StandaloneScreen() {
  const { t } = useTranslation();
  useTitle(t('tab.console'));
  return (
    <main className="standalone">
      <Screen alone again={false} token={() => Promise.resolve(tokenOf(location.href))} />
    </main>
  );
}
