import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { Empty } from '../ui/empty';
import { CompassOutlined } from '../ui/icons';

/** An address that leads nowhere. */
export function Lost() {
  const { t } = useTranslation();
  return (
    <Empty icon={<CompassOutlined />} title={t('lost.title')} text={t('lost.text')}>
      <Link to="/">{t('lost.home')}</Link>
    </Empty>
  );
}
