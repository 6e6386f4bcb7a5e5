import { useTranslation } from 'react-i18next';
import { Alone } from '../ui/alone';
import { Screen } from '../ui/screen';

export default function StandaloneScreen() {
  const { t } = useTranslation();
  return <Alone title={t('tab.console')} of={Screen} />;
}
