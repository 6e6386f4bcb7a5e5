import { useTranslation } from 'react-i18next';
import { Alone } from '../ui/alone';
import { SerialTerminal } from '../ui/terminal';

export default function StandaloneTerminal() {
  const { t } = useTranslation();
  return <Alone title={t('tab.serial')} of={SerialTerminal} />;
}
