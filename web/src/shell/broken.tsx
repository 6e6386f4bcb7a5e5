import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Problem } from '../ui/problem';

/** A page that failed to draw itself, or whose code is gone since a newer cloud was started. */
export function Broken({ error }: { error: unknown }) {
  const { t } = useTranslation();
  return (
    <div className="stack" style={{ maxWidth: 720, margin: '24px auto', padding: '0 12px' }}>
      <Problem error={error instanceof Error ? error : new Error(String(error))} />
      <Button type="primary" style={{ alignSelf: 'flex-start' }} onClick={() => location.reload()}>
        {t('reload')}
      </Button>
    </div>
  );
}
