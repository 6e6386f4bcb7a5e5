import { useTranslation } from 'react-i18next';
import { Alone } from '../ui/alone';
import { SpiceScreen } from '../ui/spice';

export default function StandaloneSpice() {
  const { t } = useTranslation();
  return <Alone title={t('tab.spice')} of={SpiceScreen} />;
}
