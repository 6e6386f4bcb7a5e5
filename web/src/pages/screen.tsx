import { getRouteApi } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { useTitle } from '../ui/page';
import { Screen } from '../ui/screen';

const route = getRouteApi('/vnc');

/** A console on a page of its own, for whoever has its address. The address works once. */
export default function StandaloneScreen() {
  const { t } = useTranslation();
  useTitle(t('tab.console'));
  const { token } = route.useSearch();
  return (
    <main className="standalone">
      <Screen alone again={false} token={() => Promise.resolve(encodeURIComponent(token))} />
    </main>
  );
}
